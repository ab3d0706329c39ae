"""Runs and versions on an MLflow server; what cannot be sent now is sent later."""

import logging
import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field

from ..config import Project, Settings, read_settings
from ..errors import ProjectError
from ..files import hash_json
from ..terminal import get_logger
from .local import Run

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
    """The server of a project."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.settings = read_settings(project.root, _SETTINGS_FILE, MlflowSettings)

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
        return str(self.client.create_experiment(self.settings.name, files))

    def send(self, runs: Sequence[Run], champion: str | None = None) -> int:
        """Send what the server lacks of the runs, and point its alias `champion` at a version; how many were sent.

        Raises ProjectError where the server cannot be reached or refuses; what was sent before stays.
        """
        try:
            sent = sum(map(self._send, runs))
            if champion is not None:
                self._move_champion(champion)
        except ProjectError:
            raise
        except Exception as error:  # whatever the server does
            # What follows is the HTTP library's account of its retries.
            reason = str(error).strip().split("\n")[0].partition(" with exception")[0][:200].rstrip(".")
            place = f"uri in config/mlflow.yaml (or {URI_VARIABLE})"
            advice = f"Nothing is lost: start the server or correct {place}, then `runs sync` sends it."
            raise ProjectError(f"{self.shown_uri} did not take it: {reason}. {advice}") from error
        return sent

    def show(self, port: int) -> None:
        """Show runs and models in the browser, until interrupted."""
        print(f"Soon at http://127.0.0.1:{port}/#/experiments/{self.experiment}?workflowType=machine_learning")
        from mlflow.cli import cli

        cli(["server", "--backend-store-uri", self.uri, "--workers", "1", "--host", "127.0.0.1", "--port", str(port)])

    def _send(self, run: Run) -> bool:
        """Send a run whole, unless the server has it as it is; whether it was sent.

        The tag `record` is the hash of what the server has. To send a run once more does no harm.
        """
        from mlflow.entities import Metric, Param, RunTag

        client, there, record = self.client, self._find(run), hash_json(run.model_dump(mode="json"))
        # Somebody who deleted a run there does not want it back.
        if there.info.lifecycle_stage == "deleted" or there.data.tags.get("record") == record:
            return False
        place, known, now = there.info.run_id, there.data, int(datetime.now(UTC).timestamp() * 1000)
        tags = {"mlflow.note.content": f"{run.state}: {run.reason}".rstrip(": ")}
        tags |= {"state": run.state, "mlflow.source.git.commit": run.parameters.get("commit", "")}
        # To change a parameter is refused.
        parameters = [Param(name, str(value)) for name, value in run.parameters.items() if name not in known.params]
        metrics = [
            Metric(name, value, now, step)
            for name, steps in run.metrics.items()
            for step, value in steps.items()
            if known.metrics.get(name) != list(steps.values())[-1]
        ]
        client.log_batch(place, metrics, parameters, [RunTag(name, value) for name, value in tags.items() if value])
        if run.files:
            client.log_artifacts(place, str(run.folder / "files"))
        if run.version:
            self._register(place, run.version)
        if run.state != "training":
            client.set_terminated(place, "FAILED" if run.state == "failed" else "FINISHED", now)
        client.set_tag(place, "record", record)
        return True

    def _find(self, run: Run) -> Any:
        """The run there, never two for one folder; a new one if need be."""
        mine = f"tags.journal = '{run.folder.name}'"
        for found in self.client.search_runs([self.experiment], mine, run_view_type=_ANY_STAGE):
            return found
        tags = {"journal": run.folder.name, "mlflow.source.name": _PACKAGE, "mlflow.source.type": "LOCAL"}
        return self.client.create_run(self.experiment, int(run.started.timestamp() * 1000), tags, run.folder.name)

    def _register(self, run: str, version: str) -> None:
        """Send a version's files and register them as the champion; one that was pruned meanwhile is passed over."""
        from mlflow.models import Model

        client, name, folder = self.client, self.settings.name, self.project.models / "versioned" / version
        if not folder.is_dir() or any(entry.run_id == run for entry in self._find_registered(version)):
            return
        flavor = {"loader_module": f"{_PACKAGE}.tracking.pyfunc", "data": version, "env": {}}
        model = Model(run_id=run, flavors={"python_function": flavor | {"python_version": platform.python_version()}})
        client.log_text(run, model.to_yaml(), "model/MLmodel")
        client.log_artifacts(run, str(folder), f"model/{version}")
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        client.create_model_version(name, f"runs:/{run}/model", run, {"version": version})
        self._move_champion(version)

    def _move_champion(self, version: str) -> None:
        numbers = [int(entry.version) for entry in self._find_registered(version)]
        if not numbers:
            problem = f"{version} is not registered at {self.shown_uri}, and no run in reports/runs made it"
            raise ProjectError(f"{problem}; train and promote again.")
        self.client.set_registered_model_alias(self.settings.name, "champion", str(max(numbers)))

    def _find_registered(self, version: str) -> list[Any]:
        found = f"name = '{self.settings.name}' and tags.version = '{version}'"
        return list(self.client.search_model_versions(found))


def send_to_mlflow(project: Project, runs: Sequence[Run], champion: str | None = None) -> None:
    """Send runs at the end of a stage, which goes on whatever the server does; without settings, they stay here."""
    if (project.root / "config" / _SETTINGS_FILE).is_file():
        try:
            Destination(project).send(runs, champion)
        except ProjectError as error:
            _logger.warning("Not sent to MLflow: %s", error)
