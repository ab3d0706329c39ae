"""The whole way from raw files to `latest`, in one call."""

from ..config import Project
from ..data.preparation import prepare_data
from .evaluation import evaluate_model
from .outcome import promote_if_new
from .training import train_model


def run_pipeline(project: Project) -> str:
    """Run `data`, `train`, `evaluate` and `promote`; one line that says what became of it.

    A candidate that is `latest` once more is not compared with itself, and not promoted.

    Raises:
        PromotionRefusedError: the candidate differs from `latest` and is not good enough.
        ProjectError: a stage could not finish.
    """
    prepare_data(project)
    train_model(project)
    evaluate_model(project)
    return promote_if_new(project)
