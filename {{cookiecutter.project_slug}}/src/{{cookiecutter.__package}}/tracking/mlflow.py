"""Runs and versions on an MLflow server, sent from the journal; what cannot be sent now is sent later."""

import json
import logging
import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from ..config import Settings, read_settings
from ..errors import ProjectError
from ..files import write_bytes
from ..terminal import get_logger
from .local import Destination, Event, Journal, list_journals

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

URI_VARIABLE = "MLFLOW_TRACKING_URI"

_SETTINGS_FILE = "mlflow.yaml"
_SENT_FILE = "sent.json"
_SQLITE = "sqlite:///"
_PACKAGE = __name__.partition(".")[0]
_LONGEST_PARAMETER = 6000
_ANY_STAGE = 3  # mlflow.entities.ViewType.ALL
_ENVIRONMENT = {
    # A server that is gone should cost seconds, not minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes that only language models need
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

_logger = get_logger(__name__)


class MlflowSettings(Settings):
    """`config/mlflow.yaml`; `uri` gives way to the environment variable `MLFLOW_TRACKING_URI`."""

    uri: Annotated[str, Field(min_length=1)] = f"{_SQLITE}mlflow.db"
    name: Annotated[str, Field(min_length=1)]


@dataclass
class MlflowDestination(Destination):
    """The server of a project; it is given up for the rest of the process once it does not answer."""

    is_used: bool = field(init=False)
    known_runs: dict[Journal, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        # Without its settings, runs stay on this disk; a wrong one is said before anything is trained.
        self.is_used = (self.project.root / "config" / _SETTINGS_FILE).is_file() and bool(self.settings)

    @cached_property
    def settings(self) -> MlflowSettings:
        """The settings of `config/mlflow.yaml`."""
        return read_settings(self.project.root, _SETTINGS_FILE, MlflowSettings)

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

    @cached_property
    def experiment(self) -> str:
        """The id of the experiment, which is made if need be."""
        found = self.client.get_experiment_by_name(self.settings.name)
        if found is not None:
            return str(found.experiment_id)
        tags = {"mlflow.experimentKind": "custom_model_development"}  # not one of language models
        return str(self.client.create_experiment(self.settings.name, self.artifacts, tags))

    def send(self, journal: Journal) -> None:
        """Send what has been added to a run since the last time; what cannot be sent is kept."""
        self._try(lambda: send_journal(self, journal))

    def point_champion(self, version: str) -> None:
        """Move the alias `champion`, if the version is known there."""
        self._try(lambda: move_champion(self, version))

    def _try(self, action: Callable[[], object]) -> None:
        if not self.is_used:
            return
        try:
            action()
        except Exception as error:  # whatever the server does, training goes on
            self.is_used = False
            _logger.warning("Not sent to MLflow: %s Nothing is lost; `runs sync` sends it later.", explain(self, error))


def synchronize(destination: MlflowDestination, champion: str | None) -> int:
    """Send all that the server lacks and point `champion` at `latest`; the number of runs that were sent.

    Raises:
        ProjectError: the server cannot be reached or refuses; what was sent before stays.
    """
    try:
        sent = sum(send_journal(destination, journal) for journal in list_journals(destination.project))
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


def send_journal(destination: MlflowDestination, journal: Journal) -> bool:
    """Send the events of a run that the server does not have yet; whether there were any."""
    from filelock import FileLock

    with FileLock(journal.folder / ".sending"):
        run = destination.known_runs.get(journal) or _find_run(destination, journal)
        if run is None:
            return False
        destination.known_runs[journal] = run
        receipts = _read_receipts(journal)
        sent = receipts.get(destination.shown_uri)
        if sent is None or sent["run"] != run:
            sent = receipts[destination.shown_uri] = {"run": run, "events": 0}
        missing = journal.events()[sent["events"] :]
        for event in missing:
            _send_event(destination, journal, run, event)
            sent["events"] += 1
            write_bytes(journal.folder / _SENT_FILE, json.dumps(receipts).encode())
    return bool(missing)


def move_champion(destination: MlflowDestination, version: str) -> None:
    """Point the alias `champion` at the registered model that was made from a version.

    Raises:
        ProjectError: the version is not registered.
    """
    numbers = [int(entry.version) for entry in _find_registered(destination, version)]
    if not numbers:
        raise ProjectError(
            f"{version} is not registered at {destination.shown_uri}, and no run in reports/runs made it; "
            "train and promote again."
        )
    destination.client.set_registered_model_alias(destination.settings.name, "champion", str(max(numbers)))


def explain(destination: MlflowDestination, error: Exception) -> str:
    """One line on why the server could not be used."""
    if isinstance(error, ProjectError):
        return str(error)
    # What follows is the HTTP library's account of its retries.
    reason = str(error).strip().split("\n")[0].partition(" with exception")[0]
    return f"{destination.shown_uri} did not take it: {reason[:200].rstrip('.')}."


def _read_receipts(journal: Journal) -> dict[str, dict[str, Any]]:
    """What each server, by its URI, has of a run: its id there, and the number of events."""
    try:
        receipts: dict[str, dict[str, Any]] = json.loads((journal.folder / _SENT_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return receipts


def _find_run(destination: MlflowDestination, journal: Journal) -> str | None:
    """The id of the run there, never two for one journal; None where somebody deleted it, who does not want it back."""
    client, experiment = destination.client, destination.experiment
    found = client.search_runs([experiment], f"tags.journal = '{journal.name}'", run_view_type=_ANY_STAGE)
    if found:
        return None if found[0].info.lifecycle_stage == "deleted" else str(found[0].info.run_id)
    started = next((_milliseconds(event) for event in journal.events()), None)
    tags = {"journal": journal.name, "mlflow.source.name": _PACKAGE, "mlflow.source.type": "LOCAL"}
    return str(client.create_run(experiment, started, tags, journal.name).info.run_id)


def _send_event(destination: MlflowDestination, journal: Journal, run: str, event: Event) -> None:
    from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag

    client, at = destination.client, _milliseconds(event)
    match event["kind"]:
        case "parameters":
            values = {name: str(value)[:_LONGEST_PARAMETER] for name, value in event["values"].items()}
            tags = [RunTag("mlflow.source.git.commit", values["commit"])] if values.get("commit") else []
            client.log_batch(run, params=[Param(name, value) for name, value in values.items()], tags=tags)
            if "data" in values:
                place = json.dumps({"uri": destination.project.pipeline.paths.raw.as_posix()})
                client.log_inputs(run, [DatasetInput(Dataset("raw", values["data"][:36], "local", place))])
        case "metrics":
            measured = [Metric(name, float(value), at, event["step"]) for name, value in event["values"].items()]
            client.log_batch(run, measured)
        case "stored":
            client.log_artifact(run, str(journal.file(event["file"])), Path(event["file"]).parent.as_posix())
        case "candidate":
            client.set_tag(run, "candidate", event["sha256"])
        case "version":
            _register(destination, run, event)
        case "reached":
            _send_state(client, run, event, at)


def _send_state(client: "MlflowClient", run: str, event: Event, at: int) -> None:
    state, reason = event["state"], event["reason"]
    client.set_tag(run, "state", state)
    client.set_tag(run, "mlflow.note.content", f"{state}: {reason}" if reason else state)
    if reason:
        client.set_tag(run, "reason", reason)
    if state != "training":
        client.set_terminated(run, "FAILED" if state == "failed" else "FINISHED", at)


def _register(destination: MlflowDestination, run: str, event: Event) -> None:
    """Send a version's files and register them; a version that was pruned meanwhile is passed over."""
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    client, name, version = destination.client, destination.settings.name, event["name"]
    folder = destination.project.root / event["folder"]
    if not folder.is_dir():
        _logger.warning("%s was removed before it was sent to MLflow; it is not registered.", version)
        return
    if any(entry.run_id == run for entry in _find_registered(destination, version)):
        return
    model = Model(run_id=run)
    loader = {"loader_module": f"{_PACKAGE}.tracking.pyfunc", "data": version}
    model.add_flavor("python_function", **loader, python_version=platform.python_version(), env={})
    with tempfile.TemporaryDirectory() as temporary:
        model.save(str(Path(temporary) / "MLmodel"))
        client.log_artifact(run, str(Path(temporary) / "MLmodel"), "model")
    client.log_artifacts(run, str(folder), f"model/{version}")
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    client.create_model_version(name, f"runs:/{run}/model", run, {"version": version})


def _find_registered(destination: MlflowDestination, version: str) -> list["ModelVersion"]:
    entries = destination.client.search_model_versions(f"name = '{destination.settings.name}'")
    return [entry for entry in entries if entry.tags.get("version") == version]


def _milliseconds(event: Event) -> int:
    return int(datetime.fromisoformat(event["at"]).timestamp() * 1000)
