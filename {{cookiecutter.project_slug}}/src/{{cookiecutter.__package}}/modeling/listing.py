"""The versions as a table for the terminal."""

from rich.table import Table

from ..config import Project
from ..utils.tables import make_table
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
