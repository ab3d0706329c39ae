"""The `monitor` stage: recent rows against those that the latest model was trained on."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from ..config import Project, read_settings
from ..errors import ProjectError
from ..files import staged_folder, write_bytes, write_json
from ..modeling.dataset import align_scores
from ..modeling.manifest import Manifest
from ..modeling.metrics import compute_metrics
from ..modeling.prediction import load_latest
from ..modeling.registry import Registry
from ..plots import plot_compared_counts, plot_compared_numbers, plot_stability, save_figure
from ..terminal import get_logger, track
from .comparison import Comparison, compare
from .cooldown import ALARMS_FILE, silence_known
from .reference import read_reference
from .requests import read_request_window
from .settings import SETTINGS_FILE, MonitoringSettings
from .window import Window, read_table_window

REPORT_FILE = "drift.json"
DRIFT_EXIT_CODE = 3

_SHOWN = ["subject", "kind", "effect", "limit", "adjusted_p_value", "detail", "is_drift"]

_logger = get_logger(__name__)


@dataclass(frozen=True)
class Period:
    """Which requests to take: those `since` a moment (ISO 8601; UTC if it does not say), or of the last 12h or 7d."""

    since: str | None = None
    window: str | None = None

    def start(self, now: datetime, settings: MonitoringSettings) -> datetime:
        """The moment from which on requests are taken.

        Raises:
            ProjectError: both were given, or one that cannot be read.
        """
        if self.since is not None and self.window is not None:
            raise ProjectError("Give --since or --window, not both.")
        if self.since is not None:
            try:
                moment = datetime.fromisoformat(self.since)
            except ValueError as error:
                raise ProjectError(f"--since {self.since} is no date: write 2026-01-31 or 2026-01-31T12:00.") from error
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if self.window is None:
            return now - timedelta(hours=settings.window_hours)
        match = re.fullmatch(r"([1-9]\d{0,4})([hd])", self.window)
        if match is None:
            raise ProjectError(f"--window {self.window} is no length of time: write 12h or 7d.")
        return now - timedelta(hours=int(match[1]) * (24 if match[2] == "d" else 1))


@dataclass(frozen=True)
class Verdict:
    """What a run came to: the checks as a table, a sentence for each thing to know, and the exit code."""

    checks: pl.DataFrame
    findings: tuple[str, ...]
    messages: tuple[str, ...]
    exit_code: int


def monitor_model(
    project: Project,
    table: Path | None = None,
    labels: Path | None = None,
    period: Period | None = None,
    now: datetime | None = None,
) -> Verdict:
    """Compare logged requests, or the rows of a table, with the reference of `latest`; write `reports/drift.json`.

    The tables and pictures beside it are replaced. The exit code is 3 for drift that is not cooling
    down, else 0.

    Raises:
        ProjectError: there is no model, there are too few rows, or a file or setting is wrong.
    """
    settings = read_settings(project.root, SETTINGS_FILE, MonitoringSettings)
    now = now or datetime.now(UTC)
    period = period or Period()
    since = period.start(now, settings)
    if table is not None and (period.since is not None or period.window is not None):
        raise ProjectError("--since and --window choose logged requests; with --table all its rows are taken.")
    predictor = load_latest(project)
    manifest = predictor.manifest
    reference = read_reference(Registry(project.models).folder(str(manifest.version)))
    if table is None:
        window = read_request_window(project, manifest, since, labels, settings.maximum_rows)
    else:
        window = read_table_window(project, predictor, table, labels, settings.maximum_rows)
    _require_rows(window, settings, labels)
    comparison = compare(reference, manifest, window, settings)
    verdict, quiet = _judge(project, manifest, window, comparison, settings, now)
    with staged_folder(project.reports / "figures" / "drift") as folder:
        pictures = _draw(comparison, folder, settings.maximum_pictures)
    _write_report(project, manifest, window, comparison, verdict, quiet, now, pictures)
    for message in verdict.messages:
        _logger.info("%s", message)
    return verdict


def _judge(
    project: Project,
    manifest: Manifest,
    window: Window,
    comparison: Comparison,
    settings: MonitoringSettings,
    now: datetime,
) -> tuple[Verdict, Mapping[str, datetime]]:
    """The verdict, and until when each finding that was alarmed before stays quiet."""
    names = list(dict.fromkeys(check.finding for check in comparison.findings))
    quiet = silence_known(
        names,
        project.models / ALARMS_FILE,
        now,
        datetime.fromisoformat(manifest.created_at) if manifest.created_at else None,
        timedelta(hours=settings.cooldown_hours),
    )
    exit_code = DRIFT_EXIT_CODE if len(quiet) < len(names) else 0
    messages = _describe(manifest, window, comparison, quiet, settings)
    return Verdict(_tabulate(comparison), tuple(names), tuple(messages), exit_code), quiet


def summarize(verdict: Verdict, rows: int = 30) -> pl.DataFrame:
    """The checks that counted something, at most so many: what drifted first, then by significance."""
    shown = verdict.checks.filter(pl.col("statistic") > 0).sort(
        "is_drift", "adjusted_p_value", descending=[True, False], maintain_order=True
    )
    return shown.select(_SHOWN).head(rows)


def _require_rows(window: Window, settings: MonitoringSettings, labels: Path | None) -> None:
    if window.rows < settings.minimum_rows:
        raise ProjectError(
            f"Only {window.rows} rows ({window.source}), minimum_rows of config/monitoring.yaml is "
            f"{settings.minimum_rows}: take a longer time, or more rows."
        )
    known = 0 if window.truth is None else len(window.truth.rows)
    if labels is not None and known < settings.minimum_rows:
        raise ProjectError(
            f"{labels} has labels for only {known} of the {window.rows} rows, minimum_rows of "
            f"config/monitoring.yaml is {settings.minimum_rows}: bring more labels, or leave --labels out."
        )


def _tabulate(comparison: Comparison) -> pl.DataFrame:
    rows = [asdict(check) for check in comparison.checks]
    numbers = dict.fromkeys(["statistic", "effect", "limit", "p_value", "adjusted_p_value"], pl.Float64)
    return pl.DataFrame(rows, schema_overrides=numbers, infer_schema_length=None)


def _describe(
    manifest: Manifest,
    window: Window,
    comparison: Comparison,
    quiet: Mapping[str, datetime],
    settings: MonitoringSettings,
) -> list[str]:
    messages = [f"{manifest.version}: {window.rows} rows ({window.source}), {len(comparison.checks)} checks"]
    messages += window.notes
    if window.scores is None:
        messages.append("Predictions were not compared: none are kept for these rows")
    if not comparison.findings:
        return [*messages, f"No drift, at a false alarm rate of {settings.false_alarm_rate:g}"]
    messages += [f"Drift: {check.finding} ({check.detail})" for check in comparison.findings]
    if quiet:
        until = max(quiet.values()).isoformat(timespec="minutes")
        messages.append(
            f"Alarmed before, so quiet until {until} (cooldown_hours of config/monitoring.yaml): {', '.join(quiet)}"
        )
    return messages


def _write_report(
    project: Project,
    manifest: Manifest,
    window: Window,
    comparison: Comparison,
    verdict: Verdict,
    quiet: Mapping[str, datetime],
    now: datetime,
    pictures: dict[str, str],
) -> None:
    write_bytes(project.reports / "tables" / "drift.csv", verdict.checks.write_csv().encode())
    content = {
        "at": now.isoformat(timespec="seconds"),
        "version": manifest.version,
        "source": window.source,
        "rows": window.rows,
        "valid_rows": window.valid_rows,
        "drift": bool(verdict.findings),
        "exit_code": verdict.exit_code,
        "findings": [asdict(check) for check in comparison.findings],
        "cooling_down": {finding: until.isoformat() for finding, until in quiet.items()},
        "performance": _measure(manifest, window),
        "messages": verdict.messages,
        "pictures": pictures,
    }
    write_json(project.reports / REPORT_FILE, content)


def _measure(manifest: Manifest, window: Window) -> dict[str, Any] | None:
    """Each metric of the labelled rows, and of the test rows at promotion; None without labels."""
    if window.scores is None or window.truth is None or not len(window.truth.rows):
        return None
    scores = align_scores(window.scores[window.truth.rows], manifest.labels, manifest.table)
    live = compute_metrics(manifest.table.task, window.truth.values, scores)
    return {
        "rows": len(window.truth.rows),
        "live": {name: value if math.isfinite(value) else None for name, value in live.items()},
        "test": manifest.metrics.get("test", {}),
    }


def _draw(comparison: Comparison, folder: Path, most: int) -> dict[str, str]:
    """Draw the subjects that changed most; the picture of each subject."""
    stability = {check.subject: check for check in comparison.checks if check.limit and check.detail.startswith("PSI")}
    ordered = sorted(stability.values(), key=lambda check: check.effect, reverse=True)
    if not ordered or not most:
        return {}
    names = [check.subject for check in ordered]
    effects = [check.effect for check in ordered]
    save_figure(plot_stability(names, effects, [check.is_drift for check in ordered]), folder / "stability.png")
    places = {name: place for place, name in enumerate(names)}
    pairs = sorted(comparison.pairs, key=lambda pair: places.get(pair.subject, len(places)))[:most]
    pictures = {}
    for number, pair in enumerate(track(pairs, "Drawing columns")):
        figure = (
            plot_compared_counts(pair.names, pair.reference, pair.window, pair.subject)
            if pair.edges is None
            else plot_compared_numbers(pair.edges, pair.reference, pair.window, pair.subject)
        )
        pictures[pair.subject] = f"column_{number:03}.png"
        save_figure(figure, folder / pictures[pair.subject])
    return pictures
