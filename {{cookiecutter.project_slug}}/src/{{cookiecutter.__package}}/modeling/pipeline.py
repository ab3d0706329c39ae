"""The stages in their order: for `pipeline`, for the command line, and for what dvc.yaml is held against.

A stage of one's own is a function here and a line in `STAGES`, and with DVC its stage in dvc.yaml. Libraries are
imported within the functions, so that the command line starts without them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ..config import Project

DATA_LOG = "data_processing.log"
TRAINING_LOG = "training.log"


@dataclass(frozen=True)
class Stage:
    """A command and a step of the pipeline: what it runs, whose docstring is its help, and its file in `logs/`."""

    name: str
    run: Callable[[Project], None]
    log: str = TRAINING_LOG


def run_data(project: Project) -> None:
    """Load the raw files, check each row against config/schema.yaml, and split them."""
    from ..data.preparation import prepare_data

    prepare_data(project)


def run_train(project: Project) -> None:
    """Train what config/model.yaml says and write models/candidate."""
    from .training import train_model

    train_model(project)


def run_evaluate(project: Project) -> None:
    """Measure the candidate on rows it never saw; write reports/."""
    from .evaluation import evaluate_model

    evaluate_model(project)


STAGES = (
    Stage("data", run_data, DATA_LOG),
    Stage("train", run_train),
    Stage("evaluate", run_evaluate),
)
"""What makes a measured candidate. `promote` comes after and is no stage: to try something out must promote nothing."""


def run_pipeline(project: Project) -> str:
    """Run the stages, then `promote_model`; what that says. Raises ProjectError where one of them could not finish."""
    from .promotion import promote_model

    for stage in STAGES:
        stage.run(project)
    return promote_model(project)
