"""The `monitor` stage: recent rows against those that the latest model was trained on."""

import json
import math
import re
from collections.abc import Collection
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from ..config import MonitoringSettings, Project, read_settings
from ..errors import ProjectError
from ..files import staged_folder, write_bytes, write_json
from ..modeling.dataset import align_answers
from ..modeling.manifest import Manifest
from ..modeling.metrics import compute_metrics
from ..modeling.prediction import load_latest
from ..modeling.registry import Registry
from ..plots import plot_compared_counts, plot_compared_numbers, plot_stability, save_figure
from ..terminal import get_logger, track
from .checks import Check, check_columns, check_predictions, settle
from .reference import read_reference
from .window import Window, read_request_window, read_table_window

_logger = get_logger(__name__)


class Verdict(NamedTuple):
    """What a run came to; the exit code is 3 for drift that is not cooling down, else 0."""

    checks: pl.DataFrame
    findings: list[str]
    messages: list[str]
    exit_code: int


def monitor_model(
    project: Project,
    table: Path | None = None,
    labels: Path | None = None,
    since: str | None = None,
    window: str | None = None,
    now: datetime | None = None,
) -> Verdict:
    """Compare logged requests, or the rows of a table, with the reference of `latest`; write `reports/drift.json`.

    Requests are those `since` a moment (ISO 8601; UTC if it does not say), or of the last 12h or 7d (`window`).
    Raises ProjectError where there is no model, there are too few rows, or a file or setting is wrong.
    """
    settings = read_settings(project.root, "monitoring.yaml", MonitoringSettings)
    now = now or datetime.now(UTC)
    start = _find_start(since, window, now, settings.window_hours)
    if table is not None and (since is not None or window is not None):
        raise ProjectError("--since and --window choose logged requests; with --table all its rows are taken.")
    model = load_latest(project)
    manifest = model.manifest
    reference = read_reference(Registry(project.models).folder(str(manifest.version)))
    if table is None:
        rows = read_request_window(project, manifest, start, labels, settings.maximum_rows)
    else:
        rows = read_table_window(project, model, table, labels, settings.maximum_rows)
    limit = f"minimum_rows of config/monitoring.yaml is {settings.minimum_rows}"
    if rows.rows < settings.minimum_rows:
        raise ProjectError(f"Only {rows.rows} rows ({rows.source}), {limit}: take a longer time, or more rows.")
    known = np.count_nonzero(~np.isnan(rows.truth))
    if labels is not None and known < settings.minimum_rows:
        raise ProjectError(
            f"{labels} has labels for only {known} of the {rows.rows} rows, {limit}: "
            "bring more labels, or leave --labels out."
        )
    checks = [*check_columns(reference, manifest, rows), *check_predictions(reference, manifest, rows)]
    settle(checks, settings)
    return _report(project, manifest, rows, checks, settings, now)


def summarize(verdict: Verdict, rows: int = 30) -> pl.DataFrame:
    """The checks that counted something, at most so many: what drifted first, then by significance."""
    counted = verdict.checks.filter(pl.col("statistic") > 0)
    shown = counted.sort(~pl.col("is_drift"), "adjusted_p_value", maintain_order=True).head(rows)
    return shown.select("subject", "kind", "effect", "limit", "adjusted_p_value", "detail", "is_drift")


def _find_start(since: str | None, window: str | None, now: datetime, hours: float) -> datetime:
    if since is not None and window is not None:
        raise ProjectError("Give --since or --window, not both.")
    if since is not None:
        try:
            moment = datetime.fromisoformat(since)
        except ValueError as error:
            raise ProjectError(f"--since {since} is no date: write 2026-01-31 or 2026-01-31T12:00.") from error
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    match = re.fullmatch(r"([1-9]\d{0,4})([hd])", window or "")
    if window is not None and match is None:
        raise ProjectError(f"--window {window} is no length of time: write 12h or 7d.")
    return now - timedelta(hours=int(match[1]) * (24 if match[2] == "d" else 1) if match else hours)


def _report(
    project: Project, manifest: Manifest, rows: Window, checks: list[Check], settings: MonitoringSettings, now: datetime
) -> Verdict:
    drifted = {f"{check.subject}: {check.kind}": check.detail for check in checks if check.is_drift}
    quiet = _silence_known(project, manifest, list(drifted), now, timedelta(hours=settings.cooldown_hours))
    messages = [f"{manifest.version}: {rows.rows} rows ({rows.source}), {len(checks)} checks", *rows.notes]
    messages += ["Predictions were not compared: none are kept for these rows"] if rows.scores is None else []
    found = [f"Drift: {finding} ({detail})" for finding, detail in drifted.items()]
    messages += found or [f"No drift, at a false alarm rate of {settings.false_alarm_rate:g}"]
    if quiet:
        until, names = max(quiet.values()).isoformat(timespec="minutes"), ", ".join(quiet)
        messages.append(f"Alarmed before, so quiet until {until} (cooldown_hours of config/monitoring.yaml): {names}")
    frame = pl.DataFrame([asdict(check) | {"pair": None} for check in checks]).drop("pair")
    verdict = Verdict(frame, list(drifted), messages, 3 if len(quiet) < len(drifted) else 0)
    write_bytes(project.reports / "tables" / "drift.csv", frame.write_csv().encode())
    content = {
        "at": now.isoformat(timespec="seconds"),
        "version": manifest.version,
        "source": rows.source,
        "rows": rows.rows,
        "valid_rows": len(rows.truth),
        "drift": bool(drifted),
        "exit_code": verdict.exit_code,
        "findings": frame.filter("is_drift").to_dicts(),
        "cooling_down": {finding: until.isoformat() for finding, until in quiet.items()},
        "performance": _measure(manifest, rows),
        "messages": messages,
        "pictures": _draw(project, checks, settings.maximum_pictures),
    }
    write_json(project.reports / "drift.json", content)
    for message in messages:
        _logger.info("%s", message)
    return verdict


def _silence_known(
    project: Project, manifest: Manifest, found: list[str], now: datetime, cooldown: timedelta
) -> dict[str, datetime]:
    """Until when findings that were alarmed before stay quiet; the others are new alarms, and recorded."""
    path = project.models / "drift_alarms.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        known = {finding: datetime.fromisoformat(at) for finding, at in content.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ProjectError(f"{path} is damaged ({error}); remove it, and the next drift alarms at once.") from error
    # What the retraining that a version comes from did not mend, the next one would not mend either.
    promoted = datetime.fromisoformat(manifest.created_at) if manifest.created_at else datetime.min.replace(tzinfo=UTC)
    quiet = {name: end for name in found if name in known and now < (end := max(known[name], promoted) + cooldown)}
    if len(quiet) < len(found):
        known |= {finding: now for finding in found if finding not in quiet}
        write_json(path, {finding: at.isoformat() for finding, at in sorted(known.items())})
    return quiet


def _measure(manifest: Manifest, window: Window) -> dict[str, Any] | None:
    """Each metric of the labelled rows, and of the test rows at promotion; None without labels."""
    if window.labelled is None:
        return None
    scores, truth = window.labelled
    answers = align_answers(scores, manifest.labels, manifest.weights, manifest.table)
    live = compute_metrics(manifest.table.task, truth, answers)
    finite = {name: value if math.isfinite(value) else None for name, value in live.items()}
    return {"rows": len(truth), "live": finite, "test": manifest.metrics.get("test", {})}


def _draw(project: Project, checks: list[Check], most: int) -> dict[str, str]:
    """Draw the distributions that changed most; the picture of each, by its subject."""
    changed = sorted((check for check in checks if check.pair), key=lambda check: check.effect, reverse=True)
    drawn = [check.pair for check in changed[:most] if check.pair]
    pictures: dict[str, str] = {}
    with staged_folder(project.reports / "figures" / "drift") as folder:
        if drawn:
            names, effects = [check.subject for check in changed], [check.effect for check in changed]
            save_figure(plot_stability(names, effects, [check.is_drift for check in changed]), folder / "stability.png")
        for pair in track(drawn, "Drawing columns"):
            rest = (pair.reference, pair.window, pair.subject)
            figure = plot_compared_counts(pair.names, *rest) if pair.names else plot_compared_numbers(pair.edges, *rest)
            pictures[pair.subject] = name_picture(pair.subject, pictures.values())
            save_figure(figure, folder / pictures[pair.subject])
    return pictures


def name_picture(subject: str, taken: Collection[str]) -> str:
    """A file name of the subject's letters and digits that differs from the others by more than case."""
    stem = "column_" + re.sub(r"\W+", "_", subject.lower()).strip("_")[:50]
    while f"{stem}.png" in taken:
        stem += "_2"
    return f"{stem}.png"
