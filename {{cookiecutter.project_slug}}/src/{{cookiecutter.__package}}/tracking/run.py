"""A run as the stages see it: they log, and each sends it on at its end, where the project sends runs."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from ..config import Project, Settings, read_settings
from ..errors import PromotionRefusedError
from ..git import describe_commit
from .local import Run, list_runs
# {% if cookiecutter.tracking == "mlflow" %}
from .mlflow import send_to_mlflow
# {% endif %}


class TrackingSettings(Settings):
    """`config/tracking.yaml`: whether runs are logged."""

    enabled: bool = True


@contextmanager
def start_run(project: Project) -> Iterator[Run]:
    """A new run, which ends as failed where the block does."""
    with _follow(project, _new_run(project)) as run:
        run.log_parameters({"commit": describe_commit(project.root)})
        yield run


def resume_run(project: Project, candidate: str) -> AbstractContextManager[Run]:
    """The newest run that made a candidate (sha256 of its manifest), or a new one where it was made elsewhere."""
    run = _new_run(project, candidate)
    made = [known for known in list_runs(project) if known.candidate == candidate] if run.enabled else []
    return _follow(project, [run, *made][-1])


def point_champion(project: Project, version: str) -> None:
    """Say which version is `latest`, where runs are sent to."""
    # {% if cookiecutter.tracking == "mlflow" %}
    if _is_enabled(project):
        send_to_mlflow(project, [], version)
    # {% endif %}


def _send(project: Project, run: Run) -> None:
    """Send a run to where the project sends runs."""
    # {% if cookiecutter.tracking == "mlflow" %}
    if run.enabled:
        send_to_mlflow(project, [run])
    # {% endif %}


def _new_run(project: Project, candidate: str = "") -> Run:
    run = Run(enabled=_is_enabled(project), candidate=candidate)
    run.folder = project.reports / "runs" / run.started.strftime("%Y%m%d-%H%M%S-%f")
    return run


@contextmanager
def _follow(project: Project, run: Run) -> Iterator[Run]:
    try:
        yield run
    except BaseException as error:
        state = "refused" if isinstance(error, PromotionRefusedError) else "failed"
        run.reach(state, str(error) or type(error).__name__)
        raise
    finally:
        _send(project, run)


def _is_enabled(project: Project) -> bool:
    return read_settings(project.root, "tracking.yaml", TrackingSettings).enabled
