"""The `data` stage: raw files in, three splits out, or nothing changed."""

from pathlib import Path

import polars as pl
from pydantic import BaseModel, ValidationError

from ..config import Project, SplitSettings
from ..errors import DataRejectedError, ProjectError
from ..files import hash_file, hash_json, staged_folder, write_bytes, write_json
from ..terminal import get_logger, track
from .loading import find_raw_files
from .splitting import SPLITS, Rejections, count_split, place_cutoffs, reject_duplicates, split_file

SUMMARY_FILE = "summary.json"

_logger = get_logger(__name__)


class DataSummary(BaseModel):
    """What `data` made: hash of what went in, rows by split, rows rejected, rejections by rule, how it was split."""

    sha256: str
    rows: dict[str, int]
    rejected: int
    by_rule: dict[str, int]
    split: SplitSettings | None = None


def prepare_data(project: Project) -> DataSummary:
    """Load, check and split the raw files.

    Raises DataRejectedError where more rows break the schema than allowed, ProjectError where a file cannot be used;
    the former splits stay.
    """
    files = find_raw_files(project)
    schema = project.schema
    split = place_cutoffs(files, schema, project.pipeline)
    settings = project.pipeline.model_copy(update={"split": split})
    rejections = Rejections()
    with staged_folder(project.splits) as splits:
        with staged_folder(project.rejected) as rejected:
            for path in track(files, "Checking raw files"):
                rejections.add(split_file(path, _flat_name(project, path), schema, settings, splits, rejected))
            if settings.validation.duplicates == "reject":
                rejections.add(reject_duplicates(schema, splits, rejected))
        summary = DataSummary(
            sha256=_hash_input(project, files),
            rows={split: count_split(splits, split) for split in SPLITS},
            rejected=rejections.rows,
            by_rule={rule: count for rule, count in rejections.by_rule.most_common() if count},
            split=split,
        )
        _report_rejected(project, summary, rejections.examples)
        _check_share(project, summary)
        write_json(splits / SUMMARY_FILE, summary.model_dump(mode="json", exclude_none=True))
    _report_splits(summary)
    return summary


def read_summary(project: Project) -> DataSummary:
    """What the last `data` made. Raises ProjectError where it was not run."""
    try:
        return DataSummary.model_validate_json((project.splits / SUMMARY_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        raise ProjectError(f"No prepared data in {project.splits}; run the `data` stage first.") from error


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


def _report_splits(summary: DataSummary) -> None:
    kept = sum(summary.rows.values())
    counts = ", ".join(f"{split} {count}" for split, count in summary.rows.items())
    _logger.info("%s of %s rows accepted: %s", kept, kept + summary.rejected, counts)
    if summary.split is not None and summary.split.time_column is not None:
        cutoffs = (summary.split.time_column, summary.split.validation_from, summary.split.test_from)
        _logger.info("Split by %s: validation from %s, test from %s", *cutoffs)


def _report_rejected(project: Project, summary: DataSummary, examples: dict[str, list[str]]) -> None:
    rows = [(rule, count, "; ".join(examples.get(rule, []))) for rule, count in summary.by_rule.items()]
    table = pl.DataFrame(rows, {"rule": pl.String, "rows": pl.Int64, "examples": pl.String}, orient="row")
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
