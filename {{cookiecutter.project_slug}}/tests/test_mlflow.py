"""A real MLflow server on loopback gets all that a run has, whatever happens to it meanwhile."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.modeling.promotion import promote_model, roll_back
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.tracking.mlflow import URI_VARIABLE, Destination
from {{ cookiecutter.__package }}.tracking.run import list_runs, open_run

from .toys import measure, write_config

pytestmark = pytest.mark.filterwarnings("default")  # MLflow's own are many


class Server(NamedTuple):
    uri: str
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An MLflow server with a database of its own."""
    folder, uri = tmp_path_factory.mktemp("mlflow"), _free_address()
    where = ["--port", uri.rpartition(":")[2], "--workers", "1"]
    kept = ["--backend-store-uri", f"sqlite:///{(folder / 'mlflow.db').as_posix()}"]
    kept += ["--artifacts-destination", (folder / "files").as_uri()]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *where, *kept],
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    for _ in range(2_400):
        with suppress(OSError):
            urllib.request.urlopen(f"{uri}/health", timeout=5).close()
            break
        time.sleep(0.1)
    yield Server(uri, process)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def client(server: Server, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.delenv(URI_VARIABLE, raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    return MlflowClient(server.uri, server.uri)


@pytest.fixture
def project(toy: Project, client: MlflowClient, request: pytest.FixtureRequest) -> Project:
    """A toy whose runs go to an experiment of its own."""
    return _track(toy, client.tracking_uri, request.node.name)


def _free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def _track(project: Project, uri: str, name: str) -> Project:
    write_config(project.root, "mlflow", {"uri": uri, "name": name})
    return project


def _log_run(project: Project, **parameters: str) -> None:
    with open_run(project) as run:
        run.log_parameters({"estimator": "ridge", "data": "0123456789abcdef", **parameters})
        run.log_metrics({"validation_r2": 0.5})
        run.reach("trained")


def _runs(project: Project, client: MlflowClient) -> list[Run]:
    experiment = client.get_experiment_by_name(Destination(project).settings.name)
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))


def _champion(project: Project, client: MlflowClient) -> str:
    name = Destination(project).settings.name
    return str(client.get_model_version_by_alias(name, "champion").tags["version"])


def test_a_promoted_run_is_registered_once_predicts_and_the_champion_follows_latest(
    trained_toy: Project, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted = _track(trained_toy, client.tracking_uri, "promoted")
    measure(promoted)
    promote_model(promoted, force_reason="to have two")
    (run,) = _runs(promoted, client)
    assert run.info.status == "FINISHED"
    manifest = Registry(promoted.models).manifest("v2")
    assert run.data.metrics["test_log_loss"] == pytest.approx(manifest.metrics["test"]["log_loss"])
    assert client.list_artifacts(run.info.run_id, "figures/evaluation") != []

    monkeypatch.setenv(URI_VARIABLE, client.tracking_uri)
    model = mlflow.pyfunc.load_model("models:/promoted@champion")
    rows = pd.DataFrame({"size": [5.0, 85.0, -1.0], "age": [3, None, 4], "colour": ["red"] * 3, "striped": [True] * 3})
    scored = model.predict(rows)
    assert scored["prediction"].tolist()[:2] == ["small", "big"]
    assert scored["error"].notna().tolist() == [False, False, True]

    client.delete_tag(run.info.run_id, "record")  # as of a run that was sent in part
    assert Destination(promoted).send(list_runs(promoted), "v2") == 1
    assert Destination(promoted).send(list_runs(promoted), "v2") == 0
    assert len(_runs(promoted, client)) == 1
    registered = client.search_model_versions("name = 'promoted'")
    assert sorted(entry.tags["version"] for entry in registered) == ["v1", "v2"]

    promote_model(promoted, force_reason="to have three")
    assert _champion(promoted, client) == "v3"
    roll_back(promoted)
    assert _champion(promoted, client) == "v2"


def test_a_run_tells_its_data_and_what_became_of_it(project: Project, client: MlflowClient) -> None:
    _log_run(project, long="x" * 10_000)
    (run,) = _runs(project, client)
    assert run.data.params["estimator"] == "ridge"
    assert run.data.params["long"].startswith("xxx")
    assert run.data.params["data"] == "0123456789abcdef"
    assert (run.data.tags["state"], run.data.tags["reason"]) == ("trained", "")


def test_sync_sends_what_a_run_logged_while_the_server_was_away(project: Project, client: MlflowClient) -> None:
    _log_run(project)
    (run,) = list_runs(project)
    run.log_metrics({"search_r2": 0.5})
    for sent in (1, 0):
        assert Destination(project).send([run]) == sent
    (found,) = _runs(project, client)
    assert found.info.status == "FINISHED"
    assert found.data.metrics["search_r2"] == 0.5
    assert len(client.get_metric_history(found.info.run_id, "validation_r2")) == 1


def test_a_server_that_is_away_is_one_warning(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    _log_run(_track(project, _free_address(), "away"))
    assert [run.state for run in list_runs(project)] == ["trained"]
    assert "Nothing is lost: start the server or correct uri in config/mlflow.yaml" in caplog.text
    assert caplog.text.count("Not sent to MLflow") == 1
