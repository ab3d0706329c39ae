"""A real MLflow server on loopback gets all that the journal has, whatever happens to it meanwhile."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.evaluation import evaluate_model
from {{ cookiecutter.__package }}.modeling.pipeline import run_pipeline
from {{ cookiecutter.__package }}.modeling.promotion import promote_model, roll_back
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.modeling.training import train_model
from {{ cookiecutter.__package }}.tracking.events import Metrics
from {{ cookiecutter.__package }}.tracking.local import list_journals
from {{ cookiecutter.__package }}.tracking.mlflow import (
    URI_VARIABLE,
    open_destination,
    synchronize,
)

from .toys import change_config, write_config

NAME = "toy"
TRIALS = 40
SEARCH = {"trials": TRIALS, "space": {"logistic_regression": {"C": [1.0 + number for number in range(TRIALS)]}}}

LOAD_AND_PREDICT = """
import sys
import mlflow
import pandas
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
rows = pandas.DataFrame(dict(size=[5.0, 85.0, -1.0], age=[3, None, 4], colour=["red"] * 3, striped=[True] * 3))
scored = model.predict(rows)
predictions = [value if isinstance(value, str) else None for value in scored["prediction"]]
print(predictions, scored["error"].notna().tolist())
"""


@dataclass
class Server:
    """An MLflow server with a database of its own; it may be stopped and started again."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        options = ["--workers", "1", "--backend-store-uri", f"sqlite:///{(self.folder / 'mlflow.db').as_posix()}"]
        files = ["--artifacts-destination", (self.folder / "files").as_uri()]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.process = subprocess.Popen(
            [*command, *options, *files],
            env=os.environ | quiet,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise TimeoutError(self.uri)

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
            self.process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("mlflow"), _free_port())
    server.start()
    yield server
    server.kill()


@pytest.fixture
def client(server: Server) -> MlflowClient:
    return MlflowClient(tracking_uri=server.uri, registry_uri=server.uri)


@pytest.fixture
def project(trained_toy: Project, server: Server, request: pytest.FixtureRequest) -> Project:
    """A toy with prepared rows and no model, whose runs go to an experiment of its own."""
    shutil.rmtree(trained_toy.models)
    return _track(trained_toy, server.uri, f"{NAME} {request.node.name}")


@pytest.fixture(autouse=True)
def unset_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URI_VARIABLE, raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _track(project: Project, uri: str, name: str) -> Project:
    write_config(project.root, "mlflow", {"uri": uri, "name": name})
    gate = project.model.gate.model_dump() | {"maximum_latency_ms": 10_000}
    project = change_config(project, "model", gate=gate)
    return change_config(project, "tracking", enabled=True)


def _runs(project: Project, client: MlflowClient) -> list[Run]:
    experiment = client.get_experiment_by_name(open_destination(project).settings.name)
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))


def _champion(project: Project, client: MlflowClient) -> str:
    name = open_destination(project).settings.name
    return str(client.get_model_version_by_alias(name, "champion").tags["version"])


def test_a_pipeline_leaves_run_parameters_metrics_pictures_and_the_champion(
    project: Project, client: MlflowClient
) -> None:
    run_pipeline(project)
    (run,) = _runs(project, client)
    assert run.info.status == "FINISHED"
    assert run.data.params["estimator"] == "logistic_regression"
    manifest = Registry(project.models).manifest("v1")
    assert run.data.metrics["test_log_loss"] == pytest.approx(manifest.metrics["test"]["log_loss"])
    pictures = {file.path for file in client.list_artifacts(run.info.run_id, "figures/evaluation")}
    assert {"figures/evaluation/confusion_matrix.png", "figures/evaluation/calibration.png"} <= pictures
    assert _champion(project, client) == "v1"


def test_the_champion_follows_a_rollback(project: Project, client: MlflowClient) -> None:
    run_pipeline(project)
    evaluate_model(project)
    promote_model(project, force_reason="to have two")
    assert _champion(project, client) == "v2"
    roll_back(project)
    assert _champion(project, client) == "v1"


def test_a_registered_version_predicts_like_the_command(project: Project) -> None:
    run_pipeline(project)
    destination = open_destination(project)
    arguments = [destination.uri, f"models:/{destination.settings.name}@champion"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD_AND_PREDICT, *arguments], capture_output=True, text=True
    )
    assert done.stdout.strip() == "['small', 'big', None] [False, False, True]", done.stderr


def test_training_outlives_a_server_that_is_killed_and_sync_sends_the_rest(
    project: Project, client: MlflowClient, server: Server
) -> None:
    searching = change_config(project, "model", search=SEARCH)
    training = threading.Thread(target=train_model, args=(searching,))
    training.start()
    _wait_for_trials(searching, 3)
    server.kill()
    training.join()
    (journal,) = list_journals(searching)
    assert sum(isinstance(event, Metrics) for event in journal.events()) == TRIALS
    assert (searching.candidate / "manifest.json").is_file()

    server.start()
    (cut,) = _runs(searching, client)
    assert len(client.get_metric_history(cut.info.run_id, "search_log_loss")) < TRIALS
    assert synchronize(open_destination(searching), None) == 1
    (whole,) = _runs(searching, client)
    assert whole.info.status == "FINISHED"
    history = client.get_metric_history(whole.info.run_id, "search_log_loss")
    assert sorted(metric.step for metric in history) == list(range(TRIALS))


def _wait_for_trials(project: Project, number: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for journal in list_journals(project):
            if sum(isinstance(event, Metrics) for event in journal.events()) >= number:
                return
        time.sleep(0.01)
    raise TimeoutError


def test_a_server_that_never_was_stops_nothing_and_is_named(
    project: Project, client: MlflowClient, server: Server
) -> None:
    absent = _track(project, f"http://127.0.0.1:{_free_port()}", NAME)
    assert run_pipeline(absent) == "models/latest is now v1"
    with pytest.raises(ProjectError, match=r"Start the server or correct uri in config/mlflow.yaml"):
        synchronize(open_destination(absent), "v1")
    found = _track(project, server.uri, "found again")
    assert synchronize(open_destination(found), "v1") == 1
    assert _champion(found, client) == "v1"
    assert synchronize(open_destination(found), "v1") == 0


def test_another_server_gets_all_runs(project: Project, client: MlflowClient) -> None:
    train_model(project)
    moved = _track(project, f"{open_destination(project).uri}/", "moved")
    assert synchronize(open_destination(moved), None) == 1
    assert len(_runs(moved, client)) == 1


def test_sending_twice_makes_no_second_run(project: Project, client: MlflowClient) -> None:
    run_pipeline(project)
    (journal,) = list_journals(project)
    (journal.folder / "sent.json").unlink()
    synchronize(open_destination(project), "v1")
    assert len(_runs(project, client)) == 1
    assert len(client.search_model_versions(f"name = '{open_destination(project).settings.name}'")) == 1


def test_a_version_that_was_removed_before_it_was_sent_is_passed_over(
    project: Project, client: MlflowClient, server: Server
) -> None:
    run_pipeline(_track(project, f"http://127.0.0.1:{_free_port()}", NAME))
    shutil.rmtree(Registry(project.models).folder("v1"))
    found = _track(project, server.uri, "removed")
    assert synchronize(open_destination(found), None) == 1
    assert len(_runs(found, client)) == 1
    assert client.search_model_versions("name = 'removed'") == []
    with pytest.raises(ProjectError, match="v1 is not registered"):
        synchronize(open_destination(found), "v1")


def test_a_run_that_the_server_lost_is_sent_again(project: Project, client: MlflowClient) -> None:
    train_model(project)
    (run,) = _runs(project, client)
    (journal,) = list_journals(project)
    receipts = journal.folder / "sent.json"
    receipts.write_text(receipts.read_text(encoding="utf-8").replace(run.info.run_id, "0" * 32), encoding="utf-8")
    client.delete_run(run.info.run_id)
    assert synchronize(open_destination(project), None) == 1
    assert [each.data.params for each in _runs(project, client)] == [run.data.params]


def test_a_run_that_was_deleted_there_is_not_sent_again(project: Project, client: MlflowClient) -> None:
    train_model(project)
    (run,) = _runs(project, client)
    client.delete_run(run.info.run_id)
    evaluate_model(project)
    assert synchronize(open_destination(project), None) == 0
    assert _runs(project, client) == []


def test_runs_stay_here_where_the_settings_were_removed(project: Project, client: MlflowClient) -> None:
    (project.root / "config" / "mlflow.yaml").rename(project.root / "aside.yaml")
    train_model(project)
    (project.root / "aside.yaml").rename(project.root / "config" / "mlflow.yaml")
    assert len(list_journals(project)) == 1
    assert _runs(project, client) == []


def test_a_password_in_the_address_is_neither_shown_nor_kept(
    project: Project, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URI_VARIABLE, server.uri.replace("//", "//someone:secret@"))
    train_model(project)
    destination = open_destination(project)
    assert destination.shown_uri == server.uri
    (journal,) = list_journals(project)
    assert "secret" not in (journal.folder / "sent.json").read_text(encoding="utf-8")
