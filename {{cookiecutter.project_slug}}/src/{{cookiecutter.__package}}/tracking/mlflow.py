"""Runs and versions on an MLflow server; what cannot be sent now is sent later."""

import logging
import os
import platform
import re
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..config import Project, Settings, read_settings
from ..errors import ProjectError
from ..files import hash_json

if TYPE_CHECKING:
    from .run import Run

URI_VARIABLE = "MLFLOW_TRACKING_URI"

_SQLITE = "sqlite:///"
_ANY_STAGE = 3  # mlflow.entities.ViewType.ALL
_ENVIRONMENT = {
    # A server that is gone should cost seconds, not minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

_logger = logging.getLogger(__name__)


class MlflowSettings(Settings):
    """`config/mlflow.yaml`; `uri` gives way to the environment variable `MLFLOW_TRACKING_URI`."""

    uri: str = f"{_SQLITE}mlflow.db"
    name: str


class Destination:
    """The server of a project. Raises ProjectError where its settings are wrong, or its address has a password."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.settings = read_settings(project.root, "mlflow.yaml", MlflowSettings)
        self.uri = os.environ.get(URI_VARIABLE) or self.settings.uri
        if re.search("//[^/]*:[^/]*@", self.uri):
            raise ProjectError("MLflow's address has a password, and is shown: use MLFLOW_TRACKING_PASSWORD.")
        if self.uri.startswith(_SQLITE):  # whose file is relative to the project
            self.uri = _SQLITE + (project.root / self.uri.removeprefix(_SQLITE)).as_posix()

    @cached_property
    def client(self) -> Any:  # an MlflowClient
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.ERROR)  # which tells of each table of a new database
        return MlflowClient(self.uri, self.uri)

    @cached_property
    def experiment(self) -> str:
        """The id of the experiment, which is made if need be."""
        found = self.client.get_experiment_by_name(self.settings.name)
        if found is not None:
            return str(found.experiment_id)
        # A server decides itself where files go.
        files = (self.project.root / "mlartifacts").as_uri() if self.uri.startswith(_SQLITE) else None
        return str(self.client.create_experiment(self.settings.name, files))

    def send(self, runs: list["Run"], champion: str | None = None) -> int:
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
            place = f"uri in config/mlflow.yaml (or {URI_VARIABLE})"
            advice = f"Nothing is lost: start the server or correct {place}, then `runs sync` sends it."
            # What follows is the HTTP library's account of its retries.
            reason = str(error).partition(" with exception")[0].strip().split("\n")[0][:200]
            raise ProjectError(f"{self.uri} did not take it: {reason}\n{advice}") from error
        return sent

    def _send(self, run: "Run") -> bool:
        """Send a run whole, unless the server has it as it is, by the hash in its tag `record`; whether it was sent."""
        from mlflow.entities import Metric, Param, RunTag

        client, name, record = self.client, run.folder.name, hash_json(run.model_dump(mode="json"))
        there, *_ = client.search_runs([self.experiment], f"tags.journal = '{name}'", _ANY_STAGE) or [
            client.create_run(self.experiment, int(run.started.timestamp() * 1000), {"journal": name}, name)
        ]
        # Somebody who deleted a run there does not want it back.
        if there.info.lifecycle_stage == "deleted" or there.data.tags.get("record") == record:
            return False
        place, known, now = there.info.run_id, there.data, int(datetime.now(UTC).timestamp() * 1000)
        tags = {"state": run.state, "reason": run.reason, "mlflow.source.git.commit": run.parameters.get("commit", "")}
        # To change a parameter is refused.
        parameters = [Param(name, str(value)) for name, value in run.parameters.items() if name not in known.params]
        new = {name: value for name, value in run.metrics.items() if known.metrics.get(name) != value}
        metrics = [Metric(name, value, now, 0) for name, value in new.items()]
        client.log_batch(place, metrics, parameters, [RunTag(name, value) for name, value in tags.items()])
        if (run.folder / "files").is_dir():
            client.log_artifacts(place, str(run.folder / "files"))
        if run.version:
            self._register(place, run.version)
        if run.state != "training":
            client.set_terminated(place, "FAILED" if run.state == "failed" else "FINISHED", now)
        client.set_tag(place, "record", record)
        return True

    def _register(self, run: str, version: str) -> None:
        """Send a version's files and register them as the champion; one that was pruned meanwhile is passed over."""
        client, name, folder = self.client, self.settings.name, self.project.models / "versioned" / version
        if not folder.is_dir() or client.search_model_versions(f"run_id = '{run}' and tags.version = '{version}'"):
            return
        loader, python = f"{__package__}.pyfunc", platform.python_version()
        flavor = {"loader_module": loader, "data": version, "python_version": python}
        client.log_dict(run, {"run_id": run, "flavors": {"python_function": flavor}}, "model/MLmodel")
        client.log_artifacts(run, str(folder), f"model/{version}")
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        client.create_model_version(name, f"runs:/{run}/model", run, {"version": version})
        self._move_champion(version)

    def _move_champion(self, version: str) -> None:
        found = self.client.search_model_versions(f"name = '{self.settings.name}' and tags.version = '{version}'")
        if not found:
            raise ProjectError(f"{version} is not registered at {self.uri}; `runs sync` does so, if a run made it.")
        newest = max(int(entry.version) for entry in found)
        self.client.set_registered_model_alias(self.settings.name, "champion", str(newest))


def send_to_mlflow(project: Project, runs: list["Run"], champion: str | None = None) -> None:
    """Send runs at the end of a stage, which goes on whatever the server does; without settings, they stay here."""
    if (project.root / "config" / "mlflow.yaml").is_file():
        try:
            Destination(project).send(runs, champion)
        except ProjectError as error:
            _logger.warning("Not sent to MLflow: %s", error)
