"""Which version of the function answers: its alias, a share of it for a canary, and the way back.

The alias says in its description which version was there before, so that whoever deploys next can go back.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from {{ cookiecutter.__package }}.errors import ProjectError

from .account import Account, error_code, explained

POLL_SECONDS = 5.0

_BEFORE = "before: "


@dataclass(frozen=True)
class Alias:
    """The alias: the version that it names, the canary beside it and the version before it, each "" for none."""

    version: str
    canary: str
    before: str
    revision: str


def read_alias(account: Account) -> Alias | None:
    """The alias as it is now; None where there is none yet."""
    with explained():
        try:
            found = account.client("lambda").get_alias(**_name(account))
        except ClientError as error:
            if error_code(error) == "ResourceNotFoundException":
                return None
            raise
    weights = (found.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    description = found.get("Description", "")
    before = description.removeprefix(_BEFORE) if description.startswith(_BEFORE) else ""
    return Alias(found["FunctionVersion"], next(iter(weights), ""), before, found.get("RevisionId", ""))


def move(account: Account, version: str, before: str, canary: str = "", share: float = 0.0) -> None:
    """Let a version answer, and a canary a share of the requests. Raises ProjectError where another moves it."""
    alias = read_alias(account)
    change = {
        **_name(account),
        "FunctionVersion": version,
        "Description": f"{_BEFORE}{before}",
        "RoutingConfig": {"AdditionalVersionWeights": {canary: share} if canary else {}},
    }
    with explained():
        if alias is None:
            account.client("lambda").create_alias(**change)
        else:
            account.client("lambda").update_alias(**change, RevisionId=alias.revision)


def shift(account: Account, version: str, share: float, seconds: float, check: Callable[[], None]) -> None:
    """Give a version a share of the requests, watch the alarm, give it all, and check what is answered then.

    Where the alarm fires, the check fails, or whatever else ends the wait, the version before answers alone again.
    Raises ProjectError where the alarm fires; without `seconds` nothing is watched.
    """
    former = read_alias(account)
    if former is None:
        move(account, version, "")
        check()
        return
    if seconds:
        try:
            check_alarm(account)
        except ProjectError as error:
            remedy = "find out why first; where this version mends it, `make deploy CANARY=no`"
            raise ProjectError(f"{error}. Nothing moved: {remedy}.") from error
    try:
        if seconds:
            move(account, former.version, former.before, version, share)
            watch(account, seconds, f"Version {version} gets {share:.0%} of the requests")
        move(account, version, former.version)
        check()
    except BaseException:
        move(account, former.version, former.before)
        Console(stderr=True).print(f"Version {former.version} answers all requests", highlight=False)
        raise


def watch(account: Account, seconds: float, description: str) -> None:
    """Wait, and raise ProjectError as soon as the alarm fires."""
    console, deadline = Console(stderr=True, highlight=False), time.monotonic() + seconds
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    console.print(f"{description}; {account.outputs.alarm_name} is watched for {seconds:.0f} s", soft_wrap=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(description, total=seconds)
        while (left := deadline - time.monotonic()) > 0:
            check_alarm(account)
            time.sleep(min(POLL_SECONDS, left))
            progress.update(task, completed=seconds - left)
    check_alarm(account)


def check_alarm(account: Account) -> None:
    """Raise ProjectError where the alarm fires, or is not there to be watched."""
    name = account.outputs.alarm_name
    with explained():
        alarms = account.client("cloudwatch").describe_alarms(AlarmNames=[name])
    found: list[dict[str, Any]] = [*alarms.get("MetricAlarms", ()), *alarms.get("CompositeAlarms", ())]
    if not found:
        raise ProjectError(f"The alarm {name}, which a deploy watches, is not there; run `make infra-apply`.")
    if found[0]["StateValue"] == "ALARM":
        raise ProjectError(f"The alarm {name} fires: {found[0].get('StateReason', '')}")


def _name(account: Account) -> dict[str, str]:
    return {"FunctionName": account.outputs.function_name, "Name": account.outputs.function_alias}
