"""The whole way from raw files to `latest`, in one call."""

from ..config import Project
from ..data_processing.adoption.adopting import superseded_version
from ..data_processing.preparation import prepare_data
from .evaluation import evaluate_model
from .manifest import read_manifest
from .promotion import promote_model
from .registry import Registry
from .training import train_model


def run_pipeline(project: Project) -> str:
    """Run `data`, `train`, `evaluate` and `promote`; one line that says what became of it.

    A candidate whose files are those of `latest` is not compared with itself: nothing changed, and
    nothing is promoted.

    Raises:
        PromotionRefusedError: the candidate differs from `latest` and is not good enough.
        ProjectError: a stage could not finish.
    """
    prepare_data(project)
    train_model(project)
    evaluate_model(project)
    return promote_if_new(project)


def promote_if_new(project: Project) -> str:
    """Run `promote` unless the candidate's files are those of `latest`; one line that says what became of it.

    Raises:
        PromotionRefusedError: the candidate differs from `latest` and is not good enough.
        ProjectError: the candidate is missing, was changed, or was not evaluated.
    """
    registry = Registry(project.models)
    latest = registry.latest()
    candidate = read_manifest(project.candidate)
    if latest is not None and candidate.files.items() <= registry.manifest(latest).files.items():
        return f"models/latest stays {latest}: the same data and settings gave the same model"
    return f"models/latest is now {promote_model(project, new_schema=is_superseded(project))}"


def is_superseded(project: Project) -> bool:
    """Whether `latest` belongs to the table before the one that was adopted, so that comparing makes no sense."""
    latest = Registry(project.models).latest()
    return latest is not None and latest == superseded_version(project)
