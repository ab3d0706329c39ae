"""Runs and versions on an MLflow server, sent from the journal; what cannot be sent now is sent later."""

import json
import logging
import os
import platform
import re
from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from filelock import FileLock
from pydantic import Field

from ..config import Project, Settings, read_settings
from ..errors import ProjectError
from ..terminal import get_logger
from .local import list_runs, read_events

URI_VARIABLE = "MLFLOW_TRACKING_URI"

_SETTINGS_FILE = "mlflow.yaml"
_SQLITE = "sqlite:///"
_PACKAGE = __name__.partition(".")[0]
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


class Destination:
    """The server of a project; it is given up for the rest of the process once it does not answer."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._known: dict[Path, tuple[str, int]] = {}  # what _find_run gives
        # Without its settings, runs stay on this disk; a wrong one is said before anything is trained.
        self._is_used = (project.root / "config" / _SETTINGS_FILE).is_file() and bool(self.settings)

    @cached_property
    def settings(self) -> MlflowSettings:
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
        return re.sub("//[^/:]*:[^/]*@", "//", self.uri)

    @cached_property
    def client(self) -> Any:  # an MlflowClient
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
        # A server decides itself where files go.
        files = (self.project.root / "mlartifacts").as_uri() if self.uri.startswith(_SQLITE) else None
        tags = {"mlflow.experimentKind": "custom_model_development"}  # not one of language models
        return str(self.client.create_experiment(self.settings.name, files, tags))

    def send(self, run: Path) -> None:
        """Send what has been added to a run since the last time; what cannot be sent is kept."""
        self._try(lambda: self._send_missing(run))

    def point_champion(self, version: str) -> None:
        """Point the alias `champion` at the model that was registered from a version."""
        self._try(lambda: self._move_champion(version))

    def synchronize(self, champion: str | None) -> int:
        """Send all that the server lacks and point `champion` at `latest`; the number of runs that were sent.

        Raises ProjectError where the server cannot be reached or refuses; what was sent before stays.
        """
        try:
            sent = sum(map(self._send_missing, list_runs(self.project)))
            if champion is not None:
                self._move_champion(champion)
        except Exception as error:
            place = f"uri in config/mlflow.yaml (or {URI_VARIABLE})"
            advice = f"Start the server or correct {place}, then run `runs sync` again."
            raise ProjectError(self._explain(error, advice)) from error
        return sent

    def show(self, port: int) -> None:
        """Show a database of this disk in the browser, until interrupted; a server does that itself."""
        if not self.uri.startswith(_SQLITE):
            print(f"The server shows them itself: {self.shown_uri}")
            return
        print(f"Soon at http://127.0.0.1:{port}/#/experiments/{self.experiment}?workflowType=machine_learning")
        from mlflow.cli import cli

        cli(["server", "--backend-store-uri", self.uri, "--workers", "1", "--host", "127.0.0.1", "--port", str(port)])

    def _try(self, action: Callable[[], object]) -> None:
        if not self._is_used:
            return
        try:
            action()
        except Exception as error:  # whatever the server does, training goes on
            self._is_used = False
            reason = self._explain(error, "Nothing is lost; `runs sync` sends it later.")
            _logger.warning("Not sent to MLflow: %s", reason)

    def _explain(self, error: Exception, advice: str) -> str:
        if isinstance(error, ProjectError):
            return str(error)
        # What follows is the HTTP library's account of its retries.
        reason = str(error).strip().split("\n")[0].partition(" with exception")[0]
        return f"{self.shown_uri} did not take it: {reason[:200].rstrip('.')}. {advice}"

    def _send_missing(self, folder: Path) -> bool:
        """Send the events of a run that the server does not have yet; whether there were any.

        The run's tag `events` counts those that it has. To send one twice does no harm: it has its own time.
        """
        with FileLock(folder / ".sending"):
            run, sent = self._known.get(folder) or self._find_run(folder)
            missing = read_events(folder)[sent:] if run else []
            for count, event in enumerate(missing, start=sent + 1):
                self._send_event(folder, run, event, count)
                self._known[folder] = run, count
        return bool(missing)

    def _find_run(self, folder: Path) -> tuple[str, int]:
        """The run's id there, never two for one folder, and the number of events that were sent.

        The id is empty where somebody deleted the run, who does not want it back.
        """
        mine = f"tags.journal = '{folder.name}'"
        for run in self.client.search_runs([self.experiment], mine, run_view_type=_ANY_STAGE):
            is_deleted = run.info.lifecycle_stage == "deleted"
            return "" if is_deleted else str(run.info.run_id), int(run.data.tags.get("events", 0))
        started = next((_milliseconds(event) for event in read_events(folder)), None)
        tags = {"journal": folder.name, "mlflow.source.name": _PACKAGE, "mlflow.source.type": "LOCAL"}
        return str(self.client.create_run(self.experiment, started, tags, folder.name).info.run_id), 0

    def _send_event(self, folder: Path, run: str, event: dict[str, Any], count: int) -> None:
        from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag

        client, at = self.client, _milliseconds(event)
        tags, parameters, metrics = {"events": str(count)}, [], []
        match event:
            case {"kind": "parameters", "values": values}:
                known = client.get_run(run).data.params  # to change one is refused
                parameters = [Param(name, str(value)) for name, value in values.items() if name not in known]
                tags["mlflow.source.git.commit"] = values.get("commit", "")
                if "data" in values:
                    place = json.dumps({"uri": "data/raw"})
                    client.log_inputs(run, [DatasetInput(Dataset("raw", values["data"][:36], "local", place))])
            case {"kind": "metrics", "values": values, "step": step}:
                metrics = [Metric(name, float(value), at, step) for name, value in values.items()]
            case {"kind": "stored", "file": file}:
                client.log_artifact(run, str(folder / "files" / file), Path(file).parent.as_posix())
            case {"kind": "candidate", "sha256": sha256}:
                tags["candidate"] = sha256
            case {"kind": "version", "name": version, "folder": files}:
                self._register(run, version, self.project.root / files)
            case {"kind": "reached", "state": state, "reason": reason}:
                tags |= {"state": state, "reason": reason, "mlflow.note.content": f"{state}: {reason}".rstrip(": ")}
                if state != "training":
                    client.set_terminated(run, "FAILED" if state == "failed" else "FINISHED", at)
        client.log_batch(run, metrics, parameters, [RunTag(name, value) for name, value in tags.items() if value])

    def _register(self, run: str, version: str, folder: Path) -> None:
        """Send a version's files and register them; a version that was pruned meanwhile is passed over."""
        from mlflow.models import Model

        client, name = self.client, self.settings.name
        if not folder.is_dir():
            _logger.warning("%s was removed before it was sent to MLflow; it is not registered.", version)
            return
        if any(entry.run_id == run for entry in self._find_registered(version)):
            return
        flavor = {"loader_module": f"{_PACKAGE}.tracking.pyfunc", "data": version, "env": {}}
        model = Model(run_id=run, flavors={"python_function": flavor | {"python_version": platform.python_version()}})
        client.log_text(run, model.to_yaml(), "model/MLmodel")
        client.log_artifacts(run, str(folder), f"model/{version}")
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        client.create_model_version(name, f"runs:/{run}/model", run, {"version": version})

    def _move_champion(self, version: str) -> None:
        numbers = [int(entry.version) for entry in self._find_registered(version)]
        if not numbers:
            problem = f"{version} is not registered at {self.shown_uri}, and no run in reports/runs made it"
            raise ProjectError(f"{problem}; train and promote again.")
        self.client.set_registered_model_alias(self.settings.name, "champion", str(max(numbers)))

    def _find_registered(self, version: str) -> list[Any]:
        found = f"name = '{self.settings.name}' and tags.version = '{version}'"
        return list(self.client.search_model_versions(found))


def _milliseconds(event: dict[str, Any]) -> int:
    return int(datetime.fromisoformat(event["at"]).timestamp() * 1000)
