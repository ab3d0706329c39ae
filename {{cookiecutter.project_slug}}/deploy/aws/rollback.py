"""`make deploy-rollback`: the version before answers again, or, where a canary is under way, there is none any more."""

from .account import open_account
from .command import Environment, run_command
from .package import ProjectError, find_project
from .settings import read_outputs
from .traffic import find_before, move, read_alias


def rollback(environment: Environment = "staging") -> None:
    """Let the version answer that did before the last deploy; once more, the one before that."""
    outputs = read_outputs(find_project().root, environment)
    outputs.need("function_name")
    account = open_account(outputs)
    alias = read_alias(account)
    target = alias.version if alias.canary else find_before(account, alias.version)
    if not target:
        raise ProjectError(f"{outputs.function_name} has no version before {alias.version} to go back to.")
    move(account, target)
    print(f"{environment} answers with version {target}; version {alias.canary or alias.version} gets no requests")


if __name__ == "__main__":
    run_command(rollback)
