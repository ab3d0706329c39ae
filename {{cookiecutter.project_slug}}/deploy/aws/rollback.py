"""`make deploy-rollback`: the version before answers again, or, where a canary is under way, there is none any more."""

from {{ cookiecutter.__package }}.config import find_project
from {{ cookiecutter.__package }}.errors import ProjectError

from .account import open_account
from .command import Environment, run_command
from .settings import read_outputs
from .traffic import move, read_alias


def rollback(environment: Environment = "staging") -> None:
    """Let the version answer that did before the last deploy; once more, and the later one answers again."""
    outputs = read_outputs(find_project().root, environment)
    outputs.need("function_name")
    account = open_account(outputs)
    alias = read_alias(account)
    if alias is None or not (alias.canary or alias.before):
        raise ProjectError(f"{outputs.function_name} has no version before this one to go back to.")
    version, before = (alias.version, alias.before) if alias.canary else (alias.before, alias.version)
    move(account, version, before)
    left = alias.canary or alias.version
    print(f"{environment} answers with version {version} again; version {left} gets no requests")


if __name__ == "__main__":
    run_command(rollback)
