"""The last step of the pipeline: what becomes of a candidate that was measured."""

from ..config import Project
from .manifest import read_manifest
from .registry import Registry


def promote_if_new(project: Project) -> str:
    """Run `promote` unless the candidate's files are those of `latest`; one line that says what became of it.

    A candidate is not compared with itself: nothing changed, and nothing is promoted.

    Raises:
        PromotionRefusedError: the candidate differs from `latest` and is not good enough.
        ProjectError: the candidate is missing, was changed, or was not evaluated.
    """
    registry = Registry(project.models)
    latest = registry.latest()
    candidate = read_manifest(project.candidate)
    if latest is not None and candidate.files.items() <= registry.manifest(latest).files.items():
        return f"models/latest stays {latest}: the same data and settings gave the same model"
    # Its libraries take seconds to import, and where nothing changed none is needed.
    from .promotion import promote_model

    return f"models/latest is now {promote_model(project, new_schema=is_superseded(project))}"


def is_superseded(project: Project) -> bool:
    """Whether `latest` belongs to the table before the one that was adopted, so that comparing makes no sense."""
    from ..data_processing.adoption.adopting import superseded_version

    latest = Registry(project.models).latest()
    return latest is not None and latest == superseded_version(project)
