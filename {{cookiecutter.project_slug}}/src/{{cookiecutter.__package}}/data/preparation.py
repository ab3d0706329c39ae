"""The `data` stage: raw files in, three splits out, or nothing changed."""

import logging
from collections import Counter

from pydantic import ValidationError

from ..config import DataSummary, Project
from ..errors import DataRejectedError, ProjectError
from ..files import hash_file, hash_json, staged_folder, write_json
from ..terminal import track
from .loading import find_raw_files
from .splitting import SPLITS, count_split, place_cutoffs, split_file

SUMMARY_FILE = "summary.json"

_logger = logging.getLogger(__name__)


def prepare_data(project: Project) -> DataSummary:
    """Load, check and split the raw files.

    Raises DataRejectedError where more rows break the schema than allowed, ProjectError where a file cannot be used;
    the former splits stay.
    """
    files = {"-".join(path.relative_to(project.raw).parts): path for path in find_raw_files(project)}
    schema, pipeline = project.schema, project.pipeline
    split = place_cutoffs(list(files.values()), schema, pipeline)
    with staged_folder(project.splits) as splits:
        with staged_folder(project.rejected) as rejected:
            tracked = track(files.items(), "Checking raw files")
            found = [split_file(path, name, schema, pipeline, split, splits, rejected) for name, path in tracked]
        content = {
            "files": {name: hash_file(path) for name, path in files.items()},
            "schema": schema.model_dump(mode="json"),
            "pipeline": pipeline.model_dump(mode="json"),
        }
        summary = DataSummary(
            sha256=hash_json(content),
            rows={split: count_split(splits, split) for split in SPLITS},
            rejected=sum(rows for rows, _ in found),
            by_rule=dict((+sum((Counter(rules) for _, rules in found), Counter[str]())).most_common()),
            split=split,
        )
        for rule, rows in summary.by_rule.items():
            _logger.warning("Rejected by rule %s: %s rows", rule, rows)
        _check_share(project, summary)
        write_json(splits / SUMMARY_FILE, summary.model_dump(mode="json", exclude_none=True))
    kept = sum(summary.rows.values())
    counts = ", ".join(f"{split} {count}" for split, count in summary.rows.items())
    _logger.info("%s of %s rows accepted: %s", kept, kept + summary.rejected, counts)
    return summary


def read_summary(project: Project) -> DataSummary:
    """What the last `data` made. Raises ProjectError where it was not run."""
    try:
        return DataSummary.model_validate_json((project.splits / SUMMARY_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        raise ProjectError(f"No prepared data in {project.splits}; run the `data` stage first.") from error


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
