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
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from .account import Account, error_code
from .package import PROJECT, ProjectError
from .terminal import console, say

PREFIX = PROJECT.replace("_", "-")
"""What names of jobs begin with, by which the deploy role may start them."""

NEEDED = ("data_bucket", "models_bucket", "training_repository_url", "training_role_arn")
"""The outputs without which no job runs."""

ENDED = {"Completed", "Failed", "Stopped"}
POLL_SECONDS = 5.0

_TAKEN_BACK = ": the spot instance was taken back; SageMaker starts over when there is another"


def name_job() -> str:
    """A name that no other job has: stopping it stops nobody else's."""
    return f"{PREFIX}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@contextmanager
def terminable() -> Iterator[None]:
    """Let a polite kill, as a CI server's when it cancels, end the block as Ctrl-C does."""
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


@dataclass
class Job:
    """A job; `kind` is Training or Processing, `section` that of its settings in `config/aws.yaml`.

    `places` says where in its logs reading goes on.
    """

    account: Account
    kind: str
    section: str
    name: str = field(default_factory=name_job)
    places: dict[str, str] = field(default_factory=dict)

    @terminable()
    def run(self, **request: Any) -> dict[str, Any]:
        """Start it and show its log until it ends; what SageMaker says of it then.

        Whatever ends the wait, Ctrl-C among it, stops the job. Raises ProjectError where it has not completed.
        """
        try:
            # Within, since an interrupted call may have started it.
            self._call("create", **request)
            described = self._follow()
        except BaseException:
            self._stop()
            raise
        self.check_end(described)
        return described

    def check_end(self, described: dict[str, Any]) -> None:
        """Raise ProjectError where it has not completed: why, and what helps."""
        status = described[f"{self.kind}JobStatus"]
        if status == "Completed":
            return
        state = described.get("SecondaryStatus", status)
        reason = str(described.get("ExitMessage") or described.get("FailureReason") or "SageMaker does not say why")
        settings = f"{self.section} in config/aws.yaml"
        if "CapacityError" in reason:
            reason = f"{reason} Try again later, or choose another instance_type of {settings}."
        elif "MaxRuntimeExceeded" in f"{state} {reason}":
            reason = f"It took longer than maximum_minutes of {settings}."
        elif state in ("MaxWaitTimeExceeded", "Interrupted"):
            remedy = "raise maximum_wait_minutes, or set `spot: false`"
            reason = f"No spot instance stayed long enough; {remedy}, of {settings}."
        elif status == "Stopped":
            reason = "Somebody stopped it."
        raise ProjectError(f"{self.name} did not complete ({state}): {reason}")

    def _follow(self) -> dict[str, Any]:
        former, columns = "", (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task(self.name, total=None)
            while True:
                described: dict[str, Any] = self._call("describe")
                has_ended = described[f"{self.kind}JobStatus"] in ENDED
                state = described.get("SecondaryStatus", described[f"{self.kind}JobStatus"])
                if state != former:
                    progress.update(task, description=f"{self.name}: {state}")
                    say(f"{self.name}: {state}{_TAKEN_BACK if state == 'Interrupted' else ''}")
                    former = state
                # After the state: what was logged until the end is there once it says so, or a moment later.
                if has_ended:
                    time.sleep(POLL_SECONDS)
                for line in self._new_lines():
                    say(f"  {line}")
                if has_ended:
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
        except logs.exceptions.ResourceNotFoundException:  # nothing was logged yet
            return
        except ClientError as error:
            yield f"(its log cannot be read: {error})"

    def _stop(self) -> None:
        kind = self.kind.lower()
        try:
            self._call("stop")
            say(f"Asked SageMaker to stop {self.name}")
        except (BotoCoreError, ClientError) as error:
            if error_code(error) not in ("ValidationException", "ResourceNotFound"):  # it never started, or has ended
                say(f"{self.name} may still run; stop it: aws sagemaker stop-{kind}-job --{kind}-job-name {self.name}")

    def _call(self, action: str, **request: Any) -> Any:
        name = {f"{self.kind}JobName": self.name}
        return getattr(self.account.client("sagemaker"), f"{action}_{self.kind.lower()}_job")(**name, **request)
