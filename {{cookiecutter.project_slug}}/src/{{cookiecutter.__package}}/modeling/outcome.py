"""The last step of the pipeline: what becomes of a candidate that was measured."""

import json

from ..config import Project
from ..errors import ProjectError
from ..schema import is_same_table
from .manifest import Manifest, read_manifest
from .registry import Registry


def promote_if_new(project: Project) -> str:
    """Run `promote` unless the candidate is `latest` once more; one line that says what became of it.

    Raises:
        PromotionRefusedError: the candidate differs from `latest` and is not good enough.
        ProjectError: the candidate is missing, was changed, or was not evaluated.
    """
    registry = Registry(project.models)
    latest = registry.latest()
    candidate = read_manifest(project.candidate)
    if latest is not None and _is_same_model(candidate, registry.manifest(latest)):
        return f"models/latest stays {latest}: the same data and settings gave the same model"
    # Its libraries take seconds to import, and where nothing changed none is needed.
    from .promotion import promote_model

    return f"models/latest is now {promote_model(project, new_schema=is_superseded(project))}"


def _is_same_model(candidate: Manifest, latest: Manifest) -> bool:
    # The same weights under other limits are another model: the API takes other rows.
    return candidate.files.items() <= latest.files.items() and is_same_table(candidate.table, latest.table)


def is_superseded(project: Project) -> bool:
    """Whether `latest` belongs to the table before the one that was adopted, so that comparing makes no sense."""
    record = project.root / "config" / "adopted.json"
    latest = Registry(project.models).latest()
    if latest is None or not record.exists():
        return False
    try:
        return bool(json.loads(record.read_bytes())["supersedes"] == latest)
    except (ValueError, TypeError, KeyError) as error:
        raise ProjectError("config/adopted.json is damaged; restore it, or remove it.") from error
