"""A real MLflow server on loopback gets all that the journal has, whatever happens to it meanwhile."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from {{ cookiecutter.__package }}.config import Project
from {{ cookiecutter.__package }}.errors import ProjectError
from {{ cookiecutter.__package }}.modeling.evaluation import evaluate_model
from {{ cookiecutter.__package }}.modeling.promotion import promote_model, roll_back
from {{ cookiecutter.__package }}.modeling.registry import Registry
from {{ cookiecutter.__package }}.tracking.local import add_event, list_runs, summarize_run
from {{ cookiecutter.__package }}.tracking.mlflow import URI_VARIABLE, Destination
from {{ cookiecutter.__package }}.tracking.run import start_run

from .toys import change_config, write_config

pytestmark = pytest.mark.filterwarnings("default")  # MLflow's own are many


@dataclass
class Server:
    """An MLflow server with a database of its own."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it where it does not run."""
        if self.process is not None:
            return
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        kept = ["--backend-store-uri", f"sqlite:///{(self.folder / 'mlflow.db').as_posix()}"]
        files = ["--artifacts-destination", (self.folder / "files").as_uri()]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *where, *kept, *files],
            env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 240
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
def only_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("mlflow"), _free_port())
    server.start()
    yield server
    server.kill()


@pytest.fixture
def server(only_server: Server) -> Server:
    only_server.start()
    return only_server


@pytest.fixture
def client(server: Server) -> MlflowClient:
    return MlflowClient(tracking_uri=server.uri, registry_uri=server.uri)


@pytest.fixture
def project(toy: Project, server: Server, request: pytest.FixtureRequest) -> Project:
    """A toy whose runs go to an experiment of its own."""
    return _track(toy, server.uri, request.node.name)


@pytest.fixture(scope="module")
def promoted(finished_toy: Project, only_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A toy whose candidate was evaluated and promoted, as v2, before the eyes of MLflow."""
    root = shutil.copytree(finished_toy.root, tmp_path_factory.mktemp("promoted") / "project")
    project = _track(Project(root), only_server.uri, "promoted")
    evaluate_model(project)
    promote_model(project, force_reason="to have two")
    return project


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
    return change_config(project, "tracking", enabled=True)


def _log_run(project: Project, **parameters: str) -> None:
    with start_run(project) as run:
        run.log_parameters({"estimator": "ridge", "data": "0123456789abcdef", **parameters})
        run.log_metrics({"validation_r2": 0.5})
        run.reach("trained")


def _runs(project: Project, client: MlflowClient) -> list[Run]:
    experiment = client.get_experiment_by_name(Destination(project).settings.name)
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))


def _champion(project: Project, client: MlflowClient) -> str:
    name = Destination(project).settings.name
    return str(client.get_model_version_by_alias(name, "champion").tags["version"])


def test_a_run_has_its_pictures_and_its_version_predicts_like_the_command(
    promoted: Project, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = _runs(promoted, client)
    assert run.info.status == "FINISHED"
    manifest = Registry(promoted.models).manifest("v2")
    assert run.data.metrics["test_log_loss"] == pytest.approx(manifest.metrics["test"]["log_loss"])
    assert client.list_artifacts(run.info.run_id, "figures/evaluation") != []
    monkeypatch.setenv(URI_VARIABLE, Destination(promoted).uri)
    model = mlflow.pyfunc.load_model("models:/promoted@champion")
    rows = pd.DataFrame({"size": [5.0, 85.0, -1.0], "age": [3, None, 4], "colour": ["red"] * 3, "striped": [True] * 3})
    scored = model.predict(rows)
    assert scored["prediction"].tolist()[:2] == ["small", "big"]
    assert scored["error"].notna().tolist() == [False, False, True]


def test_sending_twice_makes_no_second_run_and_no_second_version(promoted: Project, client: MlflowClient) -> None:
    versions = len(client.search_model_versions("name = 'promoted'"))
    (folder,) = list_runs(promoted)
    (folder / "sent.json").unlink()
    Destination(promoted).synchronize("v2")
    assert len(_runs(promoted, client)) == 1
    assert len(client.search_model_versions("name = 'promoted'")) == versions


def test_the_champion_follows_latest_back_and_forth(promoted: Project, client: MlflowClient) -> None:
    assert _champion(promoted, client) == "v2"
    promote_model(promoted, force_reason="to have three")
    assert _champion(promoted, client) == "v3"
    roll_back(promoted)
    assert _champion(promoted, client) == "v2"


def test_a_run_tells_its_data_its_source_and_what_became_of_it(project: Project, client: MlflowClient) -> None:
    _log_run(project, long="x" * 10_000)
    (run,) = _runs(project, client)
    assert run.data.params["estimator"] == "ridge"
    assert run.data.params["long"].startswith("xxx")
    assert [entry.dataset.digest for entry in run.inputs.dataset_inputs] == ["0123456789abcdef"]
    assert run.data.tags["mlflow.source.name"] == "{{ cookiecutter.__package }}"
    assert run.data.tags["mlflow.note.content"] == "trained"


def test_sync_sends_what_a_run_logged_while_the_server_was_away(project: Project, client: MlflowClient) -> None:
    with start_run(project) as run:
        run.log_metrics({"search_r2": 0.0}, step=0)
    (folder,) = list_runs(project)
    for step in range(1, 4):
        add_event(folder, "metrics", values={"search_r2": step / 4}, step=step)
    add_event(folder, "reached", state="trained", reason="")
    (cut,) = _runs(project, client)
    assert len(client.get_metric_history(cut.info.run_id, "search_r2")) == 1
    assert Destination(project).synchronize(None) == 1
    (whole,) = _runs(project, client)
    assert whole.info.status == "FINISHED"
    history = client.get_metric_history(whole.info.run_id, "search_r2")
    assert sorted(metric.step for metric in history) == [0, 1, 2, 3]


def test_a_server_that_never_was_stops_nothing_and_another_gets_all_of_it_once(
    trained_toy: Project, client: MlflowClient, server: Server
) -> None:
    absent = _track(trained_toy, f"http://127.0.0.1:{_free_port()}", "absent")
    assert promote_model(absent, force_reason="to have one") == "v2"
    with pytest.raises(ProjectError, match=r"Start the server or correct uri in config/mlflow.yaml"):
        Destination(absent).synchronize("v2")
    found = _track(absent, server.uri, "found")
    assert Destination(found).synchronize("v2") == 1
    assert _champion(found, client) == "v2"
    assert Destination(found).synchronize("v2") == 0


def test_a_version_that_was_removed_before_it_was_sent_is_passed_over(project: Project, client: MlflowClient) -> None:
    with start_run(_track(project, f"http://127.0.0.1:{_free_port()}", "absent")) as run:
        run.log_version("v2", project.models / "versioned" / "v2")
    found = Destination(_track(project, Destination(project).uri, "removed"))
    with pytest.raises(ProjectError, match="v2 is not registered"):
        found.synchronize("v2")
    assert len(_runs(found.project, client)) == 1
    assert client.search_model_versions("name = 'removed'") == []


def test_a_run_that_was_deleted_there_is_not_sent_again(project: Project, client: MlflowClient) -> None:
    _log_run(project)
    (run,) = _runs(project, client)
    client.delete_run(run.info.run_id)
    (folder,) = list_runs(project)
    add_event(folder, "reached", state="evaluated", reason="")
    assert Destination(project).synchronize(None) == 0
    assert _runs(project, client) == []


def test_runs_stay_here_where_the_settings_were_removed(project: Project, client: MlflowClient) -> None:
    settings = project.root / "config" / "mlflow.yaml"
    content = settings.read_bytes()
    settings.unlink()
    _log_run(project)
    settings.write_bytes(content)
    assert len(list_runs(project)) == 1
    assert _runs(project, client) == []


def test_a_password_in_the_address_is_neither_shown_nor_kept(
    project: Project, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URI_VARIABLE, server.uri.replace("//", "//someone:secret@"))
    _log_run(project)
    assert Destination(project).shown_uri == server.uri
    (folder,) = list_runs(project)
    assert "secret" not in (folder / "sent.json").read_text(encoding="utf-8")


def test_a_run_outlives_a_server_that_is_killed(project: Project, server: Server) -> None:
    with start_run(project) as run:
        run.log_metrics({"search_r2": 0.0}, step=0)
        server.kill()  # the last test, so that it need not be started again
        for step in range(1, 4):
            run.log_metrics({"search_r2": step / 4}, step)
        run.reach("trained")
    (folder,) = list_runs(project)
    found = summarize_run(folder)
    assert found.state == "trained"
    assert list(found.metrics["search_r2"]) == [0, 1, 2, 3]
