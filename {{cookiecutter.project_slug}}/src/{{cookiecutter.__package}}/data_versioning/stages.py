"""The pipeline by way of DVC: only the stages whose dependencies changed are run."""

from ..config import Project
from ..errors import ProjectError
from ..modeling.outcome import promote_if_new
from .pointers import require_versions, track_raw_files, track_versions
from .program import run_dvc


def reproduce(project: Project) -> str:
    """Run what is out of date of `dvc.yaml`, then `promote`; one line that says what became of it.

    New raw files and new versions get their pointers.

    Raises:
        PromotionRefusedError: the candidate differs from `latest` and is not good enough.
        ProjectError: a stage could not finish; its former output stays.
    """
    require_versions(project)
    track_raw_files(project)
    if not run_dvc(project, "repro"):
        raise ProjectError("The pipeline stopped; what it made before is still there. The reason stands above.")
    try:
        return promote_if_new(project)
    finally:
        track_versions(project)
