"""The versions as tables for the terminal."""

from typing import Any

from rich.table import Table

from ..config import Project
from ..errors import ProjectError
from ..terminal import get_logger, make_table
from .manifest import Manifest
from .registry import Registry

_logger = get_logger(__name__)


def list_versions(project: Project) -> Table:
    """Each version: when, what, its test metrics; `latest` is marked. What is wrong with one is logged."""
    registry = Registry(project.models)
    manifests: dict[str, Manifest | None] = {}
    latest = None
    try:
        latest = registry.latest()
    except ProjectError as error:
        _logger.warning("%s", error)
    for version in registry.versions():
        try:
            manifests[version] = registry.manifest(version)
        except ProjectError as error:
            manifests[version] = None
            _logger.warning("%s", error)
    names = list(dict.fromkeys(name for manifest in manifests.values() if manifest for name in _test_metrics(manifest)))
    table = make_table("version", "created", "estimator", "runtime", "rows", *names)
    for version, manifest in manifests.items():
        shown = f"{version} (latest)" if version == latest else version
        if manifest is None:
            table.add_row(shown, "cannot be read")
            continue
        test = _test_metrics(manifest)
        values = (f"{test[name]:.4f}" if name in test else "" for name in names)
        rows = str(manifest.data.rows.get("train", ""))
        table.add_row(shown, manifest.created_at, manifest.estimator, manifest.runtime, rows, *values)
    return table


def compare_versions(project: Project, left: str, right: str) -> Table:
    """Metrics, settings and data of two versions side by side; what differs is marked.

    Raises ProjectError where there is no such version.
    """
    registry = Registry(project.models)
    sides = [_describe(registry.manifest(version)) for version in (left, right)]
    table = make_table("", left, right, "")
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        values = [side.get(name, "") for side in sides]
        table.add_row(name, *values, "" if values[0] == values[1] else "differs")
    return table


def _test_metrics(manifest: Manifest) -> dict[str, float]:
    return manifest.metrics.get("test", {})


def _describe(manifest: Manifest) -> dict[str, str]:
    described: dict[str, Any] = {"created": manifest.created_at, "estimator": manifest.estimator}
    described |= {f"test {name}": f"{value:.4f}" for name, value in _test_metrics(manifest).items()}
    described |= {f"hyperparameter {name}": value for name, value in manifest.hyperparameters.items()}
    described |= {f"{split} rows": rows for split, rows in manifest.data.rows.items()}
    described |= {"features": len(manifest.features), "seed": manifest.seed, "runtime": manifest.runtime}
    described |= {"data": manifest.data.sha256[:12], "commit": manifest.commit}
    described |= {f"package {name}": number for name, number in manifest.environment.items()}
    return {name: str(value) for name, value in described.items()}
