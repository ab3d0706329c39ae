"""The `data` stage: raw files in, three splits out, or nothing changed."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ..config import Project
from ..errors import DataRejectedError, ProjectError
from ..files import hash_file, hash_json, staged_folder, write_bytes, write_json
from ..terminal import get_logger, track
from .loading import find_raw_files
from .splitting import DUPLICATE_RULE, SPLITS, count_split, reject_duplicates, split_file

SUMMARY_FILE = "summary.json"

_EXAMPLES = 5

_logger = get_logger(__name__)


@dataclass(frozen=True)
class DataSummary:
    """What `data` made: hash of what went in, rows by split, rows rejected, rejections by rule."""

    sha256: str
    rows: dict[str, int]
    rejected: int
    by_rule: dict[str, int]


def prepare_data(project: Project) -> DataSummary:
    """Load, check and split the raw files.

    Raises:
        DataRejectedError: more rows break the schema than allowed; the former splits stay.
        ProjectError: a file cannot be used.
    """
    files = find_raw_files(project)
    settings, schema = project.pipeline, project.schema
    by_rule = Counter[str]()
    examples: dict[str, list[str]] = {}
    rejected_rows = 0
    with staged_folder(project.splits) as splits:
        with staged_folder(project.rejected) as rejected:
            for path in track(files, "Checking raw files"):
                result = split_file(path, _flat_name(project, path), schema, settings, splits, rejected)
                rejected_rows += result.rejected
                by_rule.update(result.by_rule)
                for rule, cases in result.examples.items():
                    known = examples.setdefault(rule, [])
                    known += [f"{_flat_name(project, path)} {case}" for case in cases[: _EXAMPLES - len(known)]]
            if settings.validation.duplicates == "reject":
                for split in track(SPLITS, "Looking for duplicates"):
                    repeated = reject_duplicates(split, schema, splits, rejected)
                    by_rule[DUPLICATE_RULE] += repeated.rows
                    known = examples.setdefault(DUPLICATE_RULE, [])
                    known += repeated.examples[: _EXAMPLES - len(known)]
                rejected_rows += by_rule[DUPLICATE_RULE]
        rows: dict[str, int] = {split: count_split(splits, split) for split in SPLITS}
        counts = {rule: count for rule, count in by_rule.most_common() if count}
        summary = DataSummary(_hash_input(project, files), rows, rejected_rows, counts)
        _report_rejected(project, summary, examples)
        _check_share(project, summary)
        write_json(splits / SUMMARY_FILE, vars(summary))
    _logger.info(
        "%s of %s rows accepted: %s",
        sum(rows.values()),
        sum(rows.values()) + rejected_rows,
        ", ".join(f"{split} {count}" for split, count in rows.items()),
    )
    return summary


def read_summary(project: Project) -> DataSummary:
    """What the last `data` made.

    Raises:
        ProjectError: `data` was not run.
    """
    try:
        content = json.loads((project.splits / SUMMARY_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ProjectError(f"No prepared data in {project.splits}; run the `data` stage first.") from error
    return DataSummary(**content)


def _hash_input(project: Project, files: list[Path]) -> str:
    return hash_json(
        {
            "files": {_flat_name(project, path): hash_file(path) for path in files},
            "schema": project.schema.model_dump(mode="json"),
            "pipeline": project.pipeline.model_dump(mode="json", exclude={"paths"}),
        }
    )


def _flat_name(project: Project, path: Path) -> str:
    return "-".join(path.relative_to(project.raw).parts)


def _report_rejected(project: Project, summary: DataSummary, examples: dict[str, list[str]]) -> None:
    table = pl.DataFrame(
        {
            "rule": list(summary.by_rule),
            "rows": list(summary.by_rule.values()),
            "examples": ["; ".join(examples.get(rule, [])) for rule in summary.by_rule],
        },
        schema={"rule": pl.String, "rows": pl.Int64, "examples": pl.String},
    )
    write_bytes(project.reports / "tables" / "rejected_rows.csv", table.write_csv().encode())
    for rule, count in summary.by_rule.items():
        _logger.warning("Rejected by rule %s: %s rows", rule, count)


def _check_share(project: Project, summary: DataSummary) -> None:
    kept = sum(summary.rows.values())
    total = kept + summary.rejected
    where = f"Their rows are in {project.rejected.relative_to(project.root).as_posix()}."
    if not kept:
        raise DataRejectedError(f"None of {total} rows can be used. {where}")
    share, limit = summary.rejected / total, project.pipeline.validation.maximum_rejected_share
    if share > limit:
        worst = ", ".join(f"{rule} ({count})" for rule, count in list(summary.by_rule.items())[:5])
        raise DataRejectedError(
            f"{summary.rejected} of {total} rows ({share:.1%}) break config/schema.yaml; "
            f"validation.maximum_rejected_share in config/pipeline.yaml allows {limit:.1%}. "
            f"Most often: {worst}. {where} Mend the data or the schema, then run `data` again."
        )
