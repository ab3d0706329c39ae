"""The whole way from raw files to `latest`, in one call."""

from ..config import Project
from ..data_processing.adoption.adopting import superseded_version
from ..data_processing.preparation import prepare_data
from ..schema import is_same_table
from .evaluation import evaluate_model
from .manifest import Manifest
from .promotion import promote_model
from .registry import Registry
from .training import train_model


def run_pipeline(project: Project) -> str:
    """Run `data`, `train`, `evaluate` and `promote`; one line that says what became of it.

    A candidate whose files and table are those of `latest` is not compared with itself: nothing
    changed, and nothing is promoted.

    Raises:
        PromotionRefusedError: the candidate differs from `latest` and is not good enough.
        ProjectError: a stage could not finish.
    """
    prepare_data(project)
    candidate = train_model(project)
    evaluate_model(project)
    registry = Registry(project.models)
    latest = registry.latest()
    if latest is not None and _is_same_model(candidate, registry.manifest(latest)):
        return f"models/latest stays {latest}: the same data and settings gave the same model"
    return f"models/latest is now {promote_model(project, new_schema=is_superseded(project))}"


def _is_same_model(candidate: Manifest, latest: Manifest) -> bool:
    # The same weights under other limits are another model: the API takes other rows.
    return candidate.files.items() <= latest.files.items() and is_same_table(candidate.table, latest.table)


def is_superseded(project: Project) -> bool:
    """Whether `latest` belongs to the table before the one that was adopted, so that comparing makes no sense."""
    latest = Registry(project.models).latest()
    return latest is not None and latest == superseded_version(project)
