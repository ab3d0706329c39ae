"""A job of SageMaker's, from its start to its end; none is left behind."""

import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from .account import Account, error_code, explained
from .package import PROJECT, ProjectError

PREFIX = PROJECT.replace("_", "-")
"""What names of jobs begin with, by which the deploy role may start them."""

ENDED = {"Completed", "Failed", "Stopped"}
POLL_SECONDS = 5.0

_TAKEN_BACK = "the spot instance was taken back; SageMaker starts over when there is another"


@dataclass
class Job:
    """A job; `kind` is Training or Processing, and `places` says where in its logs reading goes on."""

    account: Account
    kind: str
    name: str
    places: dict[str, str] = field(default_factory=dict)

    def run(self, **request: Any) -> dict[str, Any]:
        """Start it and show its log until it ends; what SageMaker says of it then.

        Whatever ends the wait, Ctrl-C among it, stops the job. Raises ProjectError where it cannot start or has failed.
        """
        sagemaker, has_ended = self.account.client("sagemaker"), False
        with explained(), terminable():
            try:
                # Within, since an interrupted call may have started it.
                self._call(sagemaker, "create", **request)
                described = self._follow(sagemaker)
                has_ended = True
            finally:
                if not has_ended:
                    self._stop(sagemaker)
        return described

    def _follow(self, sagemaker: Any) -> dict[str, Any]:
        console, former = Console(stderr=True, highlight=False), ""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task(self.name, total=None)
            while True:
                described: dict[str, Any] = self._call(sagemaker, "describe")
                status = str(described[f"{self.kind}JobStatus"])
                state = str(described.get("SecondaryStatus", status))
                if state != former:
                    progress.update(task, description=f"{self.name}: {state}")
                    more = f": {_TAKEN_BACK}" if state == "Interrupted" else ""
                    console.print(f"{self.name}: {state}{more}", markup=False, soft_wrap=True)
                    former = state
                # After the state: what was logged until the end is there once it says so, or a moment later.
                if status in ENDED:
                    time.sleep(POLL_SECONDS)
                for line in self._new_lines():
                    console.print(f"  {line}", markup=False, soft_wrap=True)
                if status in ENDED:
                    return described
                time.sleep(POLL_SECONDS)

    def _new_lines(self) -> Iterator[str]:
        """What its machines logged since the last time; nothing where its log cannot be read."""
        logs, group = self.account.client("logs"), f"/aws/sagemaker/{self.kind}Jobs"
        try:
            streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{self.name}/")["logStreams"]
            for stream in (stream["logStreamName"] for stream in streams):
                while True:
                    place = {"nextToken": self.places[stream]} if stream in self.places else {}
                    read = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **place)
                    yield from (event["message"].rstrip("\n") for event in read["events"])
                    if self.places.get(stream) == read["nextForwardToken"]:
                        break
                    self.places[stream] = read["nextForwardToken"]
        except ClientError as error:
            if error_code(error) != "ResourceNotFoundException":  # nothing was logged yet
                yield f"(its log cannot be read: {error})"

    def _stop(self, sagemaker: Any) -> None:
        command = f"aws sagemaker stop-{self.kind.lower()}-job --{self.kind.lower()}-job-name {self.name}"
        console = Console(stderr=True, highlight=False)
        try:
            self._call(sagemaker, "stop")
        except ClientError as error:
            if error_code(error) not in ("ValidationException", "ResourceNotFound"):  # it never started, or has ended
                console.print(f"{self.name} may still run; stop it: {command}", markup=False, soft_wrap=True)
        except BotoCoreError:
            console.print(f"{self.name} may still run; stop it: {command}", markup=False, soft_wrap=True)
        else:
            console.print(f"Asked SageMaker to stop {self.name}", markup=False, soft_wrap=True)

    def _call(self, sagemaker: Any, action: str, **request: Any) -> Any:
        name = {f"{self.kind}JobName": self.name}
        return getattr(sagemaker, f"{action}_{self.kind.lower()}_job")(**name, **request)


def name_job() -> str:
    """A name that no other job has: stopping it stops nobody else's."""
    return f"{PREFIX}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def check_end(described: dict[str, Any], kind: str, name: str, section: str) -> None:
    """Raise ProjectError where a job has not completed: why, and what helps; `section` is that of its settings."""
    status, state = described[f"{kind}JobStatus"], described.get("SecondaryStatus")
    if status == "Completed":
        return
    reason = str(described.get("ExitMessage") or described.get("FailureReason") or "SageMaker does not say why")
    settings = f"{section} in config/aws.yaml"
    if "CapacityError" in reason:
        reason = f"{reason} Try again later, or choose another instance_type of {settings}."
    elif state == "MaxRuntimeExceeded" or "MaxRuntimeExceeded" in reason:
        reason = f"It took longer than maximum_minutes of {settings}."
    elif state in ("MaxWaitTimeExceeded", "Interrupted"):
        reason = (
            f"No spot instance stayed long enough; raise maximum_wait_minutes, or set `spot: false`, of {settings}."
        )
    elif status == "Stopped":
        reason = "Somebody stopped it."
    raise ProjectError(f"{name} did not complete ({state or status}): {reason}")


@contextmanager
def terminable() -> Iterator[None]:
    """Let a polite kill, as a CI server's when it cancels, end the block as Ctrl-C does."""
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
