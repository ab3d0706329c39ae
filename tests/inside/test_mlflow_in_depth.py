"""A real MLflow server on loopback gets all that a run has, whatever happens to it meanwhile."""

import os
import signal

import pytest
from demo_project.config import Project
from demo_project.errors import ProjectError
from demo_project.modeling.promotion import promote_model
from demo_project.tracking.mlflow import URI_VARIABLE, Destination
from demo_project.tracking.run import list_runs, open_run
from mlflow import MlflowClient

from .test_mlflow import Server, _champion, _free_address, _log_run, _runs, _track, client, project, server  # noqa: F401
from .toys import read_files


def test_a_parameter_that_is_logged_anew_stops_nothing(project: Project, client: MlflowClient) -> None:
    with open_run(project) as run:
        run.log_parameters({"estimator": "ridge"})
        run.reach("trained", candidate="candidate")
    with open_run(project, "candidate") as run:
        run.log_parameters({"estimator": "random_forest", "max_depth": 3})
    (found,) = _runs(project, client)
    assert found.data.params | {"commit": ""} == {"commit": "", "estimator": "ridge", "max_depth": "3"}
    assert found.info.status == "FINISHED"


def test_a_server_that_never_was_stops_nothing_and_another_gets_all_of_it_once(
    trained_toy: Project, client: MlflowClient
) -> None:
    absent = _track(trained_toy, _free_address(), "absent")
    assert promote_model(absent, force_reason="to have one") == "models/latest is now v2"
    with pytest.raises(ProjectError, match=r"start the server or correct uri in config/mlflow.yaml"):
        Destination(absent).send(list_runs(absent), "v2")
    found = _track(absent, client.tracking_uri, "found")
    assert Destination(found).send(list_runs(found), "v2") == 1
    assert _champion(found, client) == "v2"
    assert Destination(found).send(list_runs(found), "v2") == 0


def test_a_version_that_was_removed_before_it_was_sent_is_passed_over(project: Project, client: MlflowClient) -> None:
    with open_run(project) as run:
        run.reach("promoted", version="v2")
    assert [run.data.tags["state"] for run in _runs(project, client)] == ["promoted"]
    with pytest.raises(ProjectError, match="v2 is not registered"):
        Destination(project).send([], "v2")


def test_a_run_that_was_deleted_there_is_not_sent_again(project: Project, client: MlflowClient) -> None:
    _log_run(project)
    (run,) = _runs(project, client)
    client.delete_run(run.info.run_id)
    (kept,) = list_runs(project)
    kept.reach("evaluated")
    assert Destination(project).send([kept]) == 0
    assert _runs(project, client) == []


def test_runs_stay_here_where_the_settings_were_removed(project: Project, client: MlflowClient) -> None:
    settings = project.root / "config" / "mlflow.yaml"
    aside = settings.rename(settings.with_name("aside"))
    _log_run(project)
    aside.rename(settings)
    assert (len(list_runs(project)), _runs(project, client)) == (1, [])


def test_a_password_in_the_address_is_refused_and_neither_shown_nor_kept(
    project: Project, client: MlflowClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(URI_VARIABLE, client.tracking_uri.replace("//", "//someone:secret@"))
    _log_run(project)
    assert "use MLFLOW_TRACKING_PASSWORD" in caplog.text
    assert "secret" not in caplog.text
    assert b"secret" not in b"".join(read_files(project.root).values())


def test_a_run_outlives_a_server_that_is_killed(project: Project, server: Server) -> None:
    with open_run(project) as run:
        run.log_metrics({"before": 0.0})
        os.killpg(server.process.pid, signal.SIGKILL)  # in the last test, so that it need not be started again
        server.process.wait()
        run.log_metrics({"after": 0.5})
        run.reach("trained")
    (found,) = list_runs(project)
    assert found.state == "trained"
    assert found.metrics == {"before": 0.0, "after": 0.5}
