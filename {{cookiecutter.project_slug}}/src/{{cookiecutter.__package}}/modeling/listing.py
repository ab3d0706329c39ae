"""The versions as tables for the terminal."""

from typing import Any

from rich.table import Table

from ..config import Project
from ..terminal import make_table
from .manifest import Manifest
from .registry import Registry


def list_versions(project: Project) -> Table:
    """Each version: when, what, its test metrics; `latest` is marked."""
    registry = Registry(project.models)
    latest = registry.latest()
    manifests = [registry.manifest(version) for version in registry.versions()]
    names = list(dict.fromkeys(name for manifest in manifests for name in manifest.metrics["test"]))
    table = make_table("version", "created", "estimator", "runtime", "rows", *names)
    for manifest in manifests:
        marker = " (latest)" if manifest.version == latest else ""
        test = manifest.metrics["test"]
        table.add_row(
            f"{manifest.version}{marker}",
            manifest.created_at,
            manifest.estimator,
            manifest.runtime,
            str(manifest.data.rows["train"]),
            *(f"{test[name]:.4f}" if name in test else "" for name in names),
        )
    return table


def compare_versions(project: Project, left: str, right: str) -> Table:
    """Metrics, settings and data of two versions side by side; what differs is marked.

    Raises:
        ProjectError: there is no such version.
    """
    registry = Registry(project.models)
    sides = [_describe(registry.manifest(version)) for version in (left, right)]
    table = make_table("", left, right, "")
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        values = [side.get(name, "") for side in sides]
        table.add_row(name, *values, "" if values[0] == values[1] else "differs")
    return table


def _describe(manifest: Manifest) -> dict[str, str]:
    described: dict[str, Any] = {"created": manifest.created_at, "estimator": manifest.estimator}
    described |= {f"test {name}": f"{value:.4f}" for name, value in manifest.metrics["test"].items()}
    described |= {f"hyperparameter {name}": value for name, value in manifest.hyperparameters.items()}
    described |= {f"{split} rows": rows for split, rows in manifest.data.rows.items()}
    described |= {"features": len(manifest.features), "seed": manifest.seed, "runtime": manifest.runtime}
    described |= {"data": manifest.data.sha256[:12]}
    described |= {f"package {name}": number for name, number in manifest.environment.items()}
    return {name: str(value) for name, value in described.items()}
