"""The `monitor` stage: recent rows against those that the latest model was trained on."""

import logging
import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from ..config import Project, read_settings
from ..errors import ProjectError
from ..files import staged_folder, write_bytes, write_json
from ..modeling.dataset import align_answers
from ..modeling.manifest import Manifest
from ..modeling.metrics import compute_metrics
from ..modeling.prediction import load_latest
from ..modeling.registry import Registry
from ..plots import plot_compared_counts, plot_stability, save_figure
from ..terminal import track
from .checks import Check, MonitoringSettings, check_window, settle
from .reference import read_reference
from .window import Window, read_request_window, read_table_window

_SHOWN = ("subject", "statistic", "effect", "p_value", "adjusted_p_value", "detail", "is_drift")

_logger = logging.getLogger(__name__)


class Verdict(NamedTuple):
    """What a run came to, what drifted first; the exit code is 3 for drift, else 0."""

    checks: pl.DataFrame
    findings: list[str]
    messages: list[str]
    exit_code: int


def monitor_model(project: Project, table: Path | None = None, now: datetime | None = None) -> Verdict:
    """Compare the requests of the last `window_hours`, or a table, with `latest`'s reference; write `drift.json`.

    Raises ProjectError where there is no model, there are too few rows, or a file or setting is wrong.
    """
    settings = read_settings(project.root, "monitoring.yaml", MonitoringSettings)
    now = now or datetime.now(UTC)
    start = now - timedelta(hours=settings.window_hours)
    model = load_latest(project)
    manifest = model.manifest
    reference = read_reference(Registry(project.models).folder(str(manifest.version)))
    rows = read_table_window(project, model, table) if table else read_request_window(project, manifest, start)
    if rows.rows < settings.minimum_rows:
        limit = f"minimum_rows of config/monitoring.yaml is {settings.minimum_rows}"
        raise ProjectError(f"Only {rows.rows} rows ({rows.source}), {limit}: take a longer time, or more rows.")
    checks = list(check_window(reference, manifest, rows))
    settle(checks, settings)
    return _report(project, manifest, rows, checks, settings, now)


def _report(
    project: Project, manifest: Manifest, rows: Window, checks: list[Check], settings: MonitoringSettings, now: datetime
) -> Verdict:
    checks = sorted(checks, key=lambda check: (not check.is_drift, check.adjusted_p_value, -check.effect))
    drifted = {check.subject: check.detail for check in checks if check.is_drift}
    messages = [f"{manifest.version}: {rows.rows} rows ({rows.source}), {len(checks)} checks", *rows.notes]
    messages += ["Predictions were not compared: none are kept for these rows"] if rows.scores is None else []
    found = [f"Drift: {finding} ({detail})" for finding, detail in drifted.items()]
    messages += found or [f"No drift, at a false alarm rate of {settings.false_alarm_rate:g}"]
    frame = pl.DataFrame([{name: getattr(check, name) for name in _SHOWN} for check in checks])
    verdict = Verdict(frame, list(drifted), messages, 3 if drifted else 0)
    write_bytes(project.reports / "tables" / "drift.csv", frame.write_csv().encode())
    content = {
        "at": now.isoformat(timespec="seconds"),
        "version": manifest.version,
        "source": rows.source,
        "rows": rows.rows,
        "valid_rows": rows.rows - (rows.broken or 0),
        "drift": bool(drifted),
        "exit_code": verdict.exit_code,
        "findings": frame.filter("is_drift").to_dicts(),
        "performance": _measure(manifest, rows),
        "messages": messages,
        "pictures": _draw(project, checks, settings.maximum_pictures),
    }
    write_json(project.reports / "drift.json", content)
    for message in messages:
        _logger.info("%s", message)
    return verdict


def _measure(manifest: Manifest, window: Window) -> dict[str, Any] | None:
    """Each metric of the rows whose truth is known, and of the test rows at promotion; None without any."""
    if window.truth is None or window.scores is None or np.isnan(window.truth).all():
        return None
    known = ~np.isnan(window.truth)
    truth = window.truth[known].astype(np.int64 if manifest.labels else np.float64)
    answers = align_answers(window.scores[known], manifest.labels, manifest.weights, manifest.table)
    live = compute_metrics(manifest.table.task, truth, answers)
    finite = {name: value if math.isfinite(value) else None for name, value in live.items()}
    return {"rows": len(truth), "live": finite, "test": manifest.metrics.get("test", {})}


def _draw(project: Project, checks: list[Check], most: int) -> dict[str, str]:
    """Draw the distributions that changed most; the picture of each, by its subject."""
    changed = sorted(checks, key=lambda check: check.effect, reverse=True)
    pictures: dict[str, str] = {}
    with staged_folder(project.reports / "figures" / "drift") as folder:
        if most:
            names, effects = [check.subject for check in changed], [check.effect for check in changed]
            save_figure(plot_stability(names, effects, [check.is_drift for check in changed]), folder / "stability.png")
        for place, check in enumerate(track(changed[:most], "Drawing columns"), start=1):
            figure = plot_compared_counts(check.bins, check.reference, check.window, check.subject)
            letters = re.sub(r"\W+", "_", check.subject)[:50]
            pictures[check.subject] = f"{place}_{letters}.png"
            save_figure(figure, folder / pictures[check.subject])
    return pictures
