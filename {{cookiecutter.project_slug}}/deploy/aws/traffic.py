"""Which version of the function answers: its alias, a share of it for a canary, and the way back.

A version says in its description after which one it came, and that never changes: the alias itself, and who moves it,
need no memory.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from .account import Account, explained
from .package import ProjectError
from .terminal import bar, say

POLL_SECONDS = 5.0

_AFTER = ", after version "


@dataclass(frozen=True)
class Alias:
    """The alias: the version that it names, the canary beside it, "" for none, and its present state."""

    version: str
    canary: str
    revision: str


def read_alias(account: Account) -> Alias:
    """The alias as it is now. Raises ProjectError where there is none."""
    client, outputs = account.client("lambda"), account.outputs
    try:
        found = client.get_alias(FunctionName=outputs.function_name, Name=outputs.function_alias)
    except client.exceptions.ResourceNotFoundException as error:
        raise ProjectError(
            f"{outputs.function_name} has no alias {outputs.function_alias}; "
            f"run `make infra-apply ENVIRONMENT={outputs.environment}`."
        ) from error
    weights = (found.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    return Alias(found["FunctionVersion"], next(iter(weights), ""), found["RevisionId"])


def move(account: Account, version: str, canary: str = "", share: float = 0.0) -> None:
    """Let a version answer, and a canary a share of the requests; AWS refuses where another moves it meanwhile."""
    outputs = account.outputs
    account.client("lambda").update_alias(
        FunctionName=outputs.function_name,
        Name=outputs.function_alias,
        FunctionVersion=version,
        RoutingConfig={"AdditionalVersionWeights": {canary: share} if canary else {}},
        RevisionId=read_alias(account).revision,
    )


def describe_version(image: str, former: str) -> str:
    """What a version says of itself: its image, and the version that answers before it."""
    return f"{image}{_AFTER}{former}"


def find_before(account: Account, version: str) -> str:
    """The version after which one came; "" where it was the first."""
    client, name = account.client("lambda"), account.outputs.function_name
    found = client.get_function_configuration(FunctionName=name, Qualifier=version)
    said = str(found.get("Description", "")).partition(_AFTER)[2]
    if said:
        return said
    # The infrastructure publishes one, too, where it changes the function's settings, and says nothing in it.
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=name)
    numbers = (each["Version"] for page in pages for each in page["Versions"])
    earlier = [int(number) for number in numbers if number.isdigit() and int(number) < int(version)]
    return str(max(earlier, default=""))


def shift(account: Account, version: str, share: float, seconds: float, check: Callable[[], None]) -> None:
    """Give a version a share of the requests, watch the alarm, give it all, and check what is answered then.

    Where the alarm fires, the check fails, or whatever else ends the wait, the version before answers alone again.
    Raises ProjectError where the alarm fires; without `seconds` nothing is watched.
    """
    former = read_alias(account).version
    if seconds:
        try:
            check_alarm(account)
        except ProjectError as error:
            remedy = "find out why first; where this version mends it, `make deploy CANARY=no`"
            raise ProjectError(f"{error}. Nothing moved: {remedy}.") from error
    try:
        if seconds:
            move(account, former, version, share)
            watch(account, seconds, f"Version {version} gets {share:.0%} of the requests")
        move(account, version)
        check()
    except BaseException:
        _go_back(account, former, version)
        raise


def watch(account: Account, seconds: float, description: str) -> None:
    """Wait, and raise ProjectError as soon as the alarm fires."""
    deadline = time.monotonic() + seconds
    say(f"{description}; {account.outputs.alarm_name} is watched for {seconds:.0f} s")
    with bar(description, seconds) as advance:
        while (left := deadline - time.monotonic()) > 0:
            check_alarm(account)
            pause = min(POLL_SECONDS, left)
            time.sleep(pause)
            advance(pause)
    check_alarm(account)


def check_alarm(account: Account) -> None:
    """Raise ProjectError where the alarm fires, or is not there to be watched."""
    name = account.outputs.alarm_name
    found = account.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    if not found:
        raise ProjectError(f"The alarm {name}, which a deploy watches, is not there; run `make infra-apply`")
    if found[0]["StateValue"] == "ALARM":
        raise ProjectError(f"The alarm {name} fires: {found[0].get('StateReason', '').rstrip('.')}")


def _go_back(account: Account, former: str, version: str) -> None:
    try:
        with explained():
            move(account, former)
        say(f"Version {former} answers all requests")
    except ProjectError as error:
        command = f"make deploy-rollback ENVIRONMENT={account.outputs.environment}"
        say(f"{error} Version {version} may get requests still: run `{command}`")
