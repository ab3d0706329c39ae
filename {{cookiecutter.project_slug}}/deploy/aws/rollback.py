"""`make deploy-rollback`: the version before answers again, or, where a canary is under way, there is none any more."""

from .account import open_account
from .command import Environment, run_command
from .package import ProjectError, find_project
from .traffic import find_before, move, read_alias


def rollback(environment: Environment = "staging") -> None:
    """Let the version answer that did before the last deploy; once more, the one before that."""
    account = open_account(find_project().root, environment, "function_name")
    alias = read_alias(account)
    target = alias.version if alias.canary else find_before(account, alias.version)
    if not target:
        name = account.outputs.function_name
        raise ProjectError(f"{name} has no version before {alias.version} to go back to.")
    move(account, target)
    print(f"{environment} answers with version {target}; version {alias.canary or alias.version} gets no requests")


if __name__ == "__main__":
    run_command(rollback)
