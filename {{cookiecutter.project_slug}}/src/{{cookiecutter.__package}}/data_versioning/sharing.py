"""`push` and `pull`: what this commit points at, sent to the remote or fetched from it."""

from ..config import Project
from ..errors import ProjectError
from .pointers import track_raw_files, track_versions
from .program import run_dvc
from .remotes import Remote, describe_needs, require_remote


def push(project: Project) -> Remote:
    """Send what the pointers of this project stand for; what the remote has already is not sent again.

    Raises:
        ProjectError: there is no remote, or not everything arrived; what did stays there.
    """
    remote = require_remote(project)
    track_raw_files(project)
    track_versions(project)
    if not run_dvc(project, "push"):
        raise ProjectError(
            f"Not everything reached {remote.url}; DVC says why above. Nothing is lost, and what arrived is not sent "
            f"again. {describe_needs(remote)} Then run `push` again."
        )
    return remote


def pull(project: Project) -> Remote:
    """Fetch what the pointers of this project stand for, and put it in place.

    Raises:
        ProjectError: there is no remote, or not everything came; files that were changed here stay as they are.
    """
    remote = require_remote(project)
    if not run_dvc(project, "pull"):
        raise ProjectError(
            f"Not everything came from {remote.url}; DVC says why above. Nothing that you changed was written over. "
            f"{describe_needs(remote)} What nobody pushed cannot be pulled. Then run `pull` again."
        )
    return remote
