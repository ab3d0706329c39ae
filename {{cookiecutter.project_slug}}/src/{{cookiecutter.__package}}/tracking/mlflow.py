"""Runs and versions on an MLflow server, sent from the journal; what cannot be sent now is sent later."""

import logging
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, RootModel, ValidationError

from ..config import Project, Settings, read_settings
from ..errors import ProjectError
from ..files import write_bytes
from ..terminal import get_logger
from .events import Candidate, Event, Metrics, Parameters, Reached, Stored, Version
from .local import Journal, list_journals

if TYPE_CHECKING:
    from mlflow import MlflowClient

URI_VARIABLE = "MLFLOW_TRACKING_URI"
CHAMPION = "champion"
JOURNAL_TAG = "journal"
VERSION_TAG = "version"
MODEL_FOLDER = "model"

_SETTINGS_FILE = "mlflow.yaml"
_SENT_FILE = "sent.json"
_SQLITE = "sqlite:///"
_LONGEST_PARAMETER = 6000
_ENVIRONMENT = {
    # A server that is gone should cost seconds, not minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

_logger = get_logger(__name__)


class MlflowSettings(Settings):
    """`config/mlflow.yaml`; `uri` gives way to the environment variable `MLFLOW_TRACKING_URI`."""

    uri: Annotated[str, Field(min_length=1)] = f"{_SQLITE}mlflow.db"
    name: Annotated[str, Field(min_length=1)]


class _Sent(BaseModel):
    """How much of a journal a server has: the run's id there, and the number of events."""

    run: str
    events: int = 0


class _Receipts(RootModel[dict[str, _Sent]]):
    """What each server has of a journal, by its URI."""


@dataclass
class MlflowDestination:
    """The server of a project; it is given up for the rest of the process once it does not answer."""

    project: Project
    settings: MlflowSettings
    is_reachable: bool = field(default=True, init=False)
    known_runs: set[str] = field(default_factory=set, init=False)

    @property
    def uri(self) -> str:
        """Where runs go; an SQLite file is relative to the project."""
        uri = os.environ.get(URI_VARIABLE) or self.settings.uri
        if uri.startswith(_SQLITE):
            return _SQLITE + (self.project.root / uri.removeprefix(_SQLITE)).as_posix()
        return uri

    @property
    def shown_uri(self) -> str:
        """The URI without a password that may be in it."""
        parts = urlsplit(self.uri)
        return self.uri if parts.password is None else self.uri.replace(f"{parts.username}:{parts.password}@", "")

    @property
    def artifacts(self) -> str | None:
        """Where files go, as a URI; None where the server decides."""
        return (self.project.root / "mlartifacts").as_uri() if self.uri.startswith(_SQLITE) else None

    @cached_property
    def client(self) -> "MlflowClient":
        """A client of the server."""
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        for name in ("alembic", "mlflow"):  # which tell of each table of a new database
            logging.getLogger(name).setLevel(logging.ERROR)
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def send(self, journal: Journal) -> None:
        """Send what has been added to a run since the last time; what cannot be sent is kept."""
        self._try(lambda: send_journal(self, journal))

    def point_champion(self, version: str) -> None:
        """Move the alias `champion`, if the version is known there."""
        self._try(lambda: move_champion(self, version))

    def _try(self, action: Callable[[], None]) -> None:
        if not self.is_reachable:
            return
        try:
            action()
        except Exception as error:  # whatever the server does, training goes on
            self.is_reachable = False
            _logger.warning("Not sent to MLflow: %s Nothing is lost; `runs sync` sends it later.", explain(self, error))


def find_destination(project: Project) -> MlflowDestination | None:
    """As `open_destination`; None where `config/mlflow.yaml` was removed, so that runs stay on this disk."""
    return open_destination(project) if (project.root / "config" / _SETTINGS_FILE).is_file() else None


def open_destination(project: Project) -> MlflowDestination:
    """The server that `config/mlflow.yaml` or the environment names.

    Raises:
        ProjectError: the file is missing, or has a wrong or unknown setting.
    """
    return MlflowDestination(project, read_settings(project.root, _SETTINGS_FILE, MlflowSettings))


def synchronize(destination: MlflowDestination, champion: str | None) -> int:
    """Send all that the server lacks and point `champion` at `latest`; the number of runs that were sent.

    Raises:
        ProjectError: the server cannot be reached or refuses; what was sent before stays.
    """
    sent = 0
    try:
        for journal in list_journals(destination.project):
            if _is_sent(destination, journal):
                continue
            send_journal(destination, journal)
            sent += 1
        if champion is not None:
            move_champion(destination, champion)
    except ProjectError:
        raise
    except Exception as error:
        raise ProjectError(
            f"{explain(destination, error)} Start the server or correct uri in config/mlflow.yaml "
            f"(or {URI_VARIABLE}), then run `runs sync` again."
        ) from error
    return sent


def send_journal(destination: MlflowDestination, journal: Journal) -> None:
    """Send the events of a run that the server does not have yet."""
    from filelock import FileLock

    with FileLock(journal.folder / ".sending"):
        receipts = _read_receipts(journal)
        sent = _find_sent(destination, receipts)
        if sent is None:
            sent = receipts.root[destination.shown_uri] = _Sent(run=_find_run(destination, journal))
        events = journal.events()
        for number in range(sent.events, len(events)):
            _send_event(destination, journal, sent.run, events[number])
            sent.events = number + 1
            write_bytes(journal.folder / _SENT_FILE, receipts.model_dump_json().encode())


def move_champion(destination: MlflowDestination, version: str) -> None:
    """Point the alias `champion` at the registered model that was made from a version.

    Raises:
        ProjectError: the version is not registered.
    """
    client, name = destination.client, destination.settings.name
    found = client.search_model_versions(f"name = '{name}'")
    numbers = [entry.version for entry in found if entry.tags.get(VERSION_TAG) == version]
    if not numbers:
        raise ProjectError(
            f"{version} is not registered at {destination.shown_uri}, and no run in reports/runs made it; "
            "train and promote again."
        )
    client.set_registered_model_alias(name, CHAMPION, str(max(numbers, key=int)))


def explain(destination: MlflowDestination, error: Exception) -> str:
    """One line on why the server could not be used."""
    if isinstance(error, ProjectError):
        return str(error)
    # What follows is the HTTP library's account of its retries.
    reason = str(error).strip().split("\n")[0].partition(" with exception")[0]
    return f"{destination.shown_uri} did not take it: {reason[:200].rstrip('.')}."


def _is_sent(destination: MlflowDestination, journal: Journal) -> bool:
    sent = _find_sent(destination, _read_receipts(journal))
    return sent is not None and sent.events >= len(journal.events())


def _read_receipts(journal: Journal) -> _Receipts:
    try:
        return _Receipts.model_validate_json((journal.folder / _SENT_FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return _Receipts({})


def _find_sent(destination: MlflowDestination, receipts: _Receipts) -> _Sent | None:
    """What this server has of a run; None where that is nothing."""
    from mlflow.exceptions import MlflowException

    sent = receipts.root.get(destination.shown_uri)
    if sent is None or sent.run in destination.known_runs:
        return sent
    try:
        run = destination.client.get_run(sent.run)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":  # a new database under the old name
            return None
        raise
    if run.info.lifecycle_stage == "deleted":  # by somebody there, who does not want it back
        return _Sent(run=sent.run, events=sys.maxsize)
    destination.known_runs.add(sent.run)
    return sent


def _find_run(destination: MlflowDestination, journal: Journal) -> str:
    """The id of the run there, which is made if need be: never two for one journal."""
    client = destination.client
    experiment = _find_experiment(destination)
    found = client.search_runs([experiment], f"tags.{JOURNAL_TAG} = '{journal.name}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    events = journal.events()
    started = _milliseconds(events[0]) if events else None
    run = client.create_run(experiment, started, {JOURNAL_TAG: journal.name}, journal.name)
    return str(run.info.run_id)


def _find_experiment(destination: MlflowDestination) -> str:
    client, name = destination.client, destination.settings.name
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return str(client.create_experiment(name, artifact_location=destination.artifacts))
    return str(experiment.experiment_id)


def _send_event(destination: MlflowDestination, journal: Journal, run: str, event: Event) -> None:
    from mlflow.entities import Metric, Param

    client, at = destination.client, _milliseconds(event)
    match event:
        case Parameters():
            values = [Param(name, str(value)[:_LONGEST_PARAMETER]) for name, value in event.values.items()]
            client.log_batch(run, params=values)
        case Metrics():
            client.log_batch(run, [Metric(name, value, at, event.step) for name, value in event.values.items()])
        case Stored():
            client.log_artifact(run, str(journal.file(event.file)), str(Path(event.file).parent.as_posix()))
        case Candidate():
            client.set_tag(run, "candidate", event.sha256)
        case Version():
            _register(destination, run, event)
        case Reached():
            client.set_tag(run, "state", event.state)
            if event.reason:
                client.set_tag(run, "reason", event.reason)
            if event.state != "training":
                client.set_terminated(run, "FAILED" if event.state == "failed" else "FINISHED", at)


def _register(destination: MlflowDestination, run: str, event: Version) -> None:
    """Send a version's files and register them; a version that was pruned meanwhile is passed over."""
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    client, name = destination.client, destination.settings.name
    folder = destination.project.root / event.folder
    if not folder.is_dir():
        _logger.warning("%s was removed before it was sent to MLflow; it is not registered.", event.name)
        return
    registered = client.search_model_versions(f"name = '{name}'")
    if any(entry.run_id == run and entry.tags.get(VERSION_TAG) == event.name for entry in registered):
        return
    package = __name__.split(".", maxsplit=1)[0]
    model = Model(run_id=run)
    model.add_flavor(
        "python_function",
        loader_module=f"{package}.tracking.pyfunc",
        data=event.name,
        python_version=platform.python_version(),
        env={},
    )
    with tempfile.TemporaryDirectory() as temporary:
        model.save(str(Path(temporary) / "MLmodel"))
        client.log_artifact(run, str(Path(temporary) / "MLmodel"), MODEL_FOLDER)
    client.log_artifacts(run, str(folder), f"{MODEL_FOLDER}/{event.name}")
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    client.create_model_version(name, f"runs:/{run}/{MODEL_FOLDER}", run, {VERSION_TAG: event.name})


def _milliseconds(event: Event) -> int:
    return int(event.at.timestamp() * 1000)
