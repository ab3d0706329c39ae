"""The last step of the pipeline: what becomes of a candidate that was measured."""

import json

from ..config import Project
from ..errors import ProjectError
from ..schema import is_same_table
from .manifest import GOLDEN_FILE, Manifest, read_manifest
from .registry import Registry

ADOPTED_FILE = "adopted.json"
"""In `config/`, where the table came by `adopt`: `supersedes` names the version that was `latest` then."""


def promote_if_new(project: Project) -> str:
    """Run `promote` unless the candidate is `latest` once more; one line that says what became of it.

    Raises PromotionRefusedError where the candidate differs from `latest` and is not good enough, and ProjectError
    where it is missing, was changed, or was not evaluated.
    """
    registry = Registry(project.models)
    latest = registry.latest()
    candidate = read_manifest(project.candidate)
    if latest is not None and _is_same_model(candidate, registry.manifest(latest)):
        return f"models/latest stays {latest}: the same data and settings gave the same model"
    # Its libraries take seconds to import, and where nothing changed none is needed.
    from .promotion import promote_model

    return f"models/latest is now {promote_model(project, new_schema=is_superseded(project))}"


def is_superseded(project: Project) -> bool:
    """Whether `latest` belongs to the table before the one that was adopted, so that comparing makes no sense."""
    latest = Registry(project.models).latest()
    try:
        record = json.loads((project.root / "config" / ADOPTED_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except ValueError as error:
        raise ProjectError(f"config/{ADOPTED_FILE} is not valid JSON; restore it, or remove it.") from error
    return latest is not None and isinstance(record, dict) and record.get("supersedes") == latest


def _is_same_model(candidate: Manifest, latest: Manifest) -> bool:
    # A version that was made before there were golden rows is the same without them. The same weights under other
    # limits are another model: the API takes other rows.
    files = {name: file for name, file in candidate.files.items() if name != GOLDEN_FILE or name in latest.files}
    return files.items() <= latest.files.items() and is_same_table(candidate.table, latest.table)
