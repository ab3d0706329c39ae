"""The `explore` stage: what the raw table holds, as a table and a page."""

from dataclasses import dataclass
from pathlib import Path

from ..config import Project
from ..files import write_bytes
from ..terminal import get_logger
from .profiling.findings import Finding, find_suspicious
from .profiling.page import write_page
from .profiling.sample import read_sample
from .profiling.statistics import TableProfile, profile_table

PAGE_FILE = "data_profile.html"
TABLE_FILE = "data_profile.csv"

_logger = get_logger(__name__)


@dataclass(frozen=True)
class Exploration:
    """What was found in the raw rows, and the page that shows it."""

    profile: TableProfile
    findings: list[Finding]
    page: Path


def explore_data(project: Project) -> Exploration:
    """Describe the raw rows, before any is rejected, in `reports/data_profile.html` and `reports/tables`.

    Raises:
        ProjectError: a raw file cannot be used.
    """
    profile = profile_table(project.schema, read_sample(project))
    findings = find_suspicious(profile)
    page = project.reports / PAGE_FILE
    write_bytes(project.reports / "tables" / TABLE_FILE, profile.statistics().write_csv().encode())
    write_bytes(page, write_page(profile, findings).encode())
    for finding in findings:
        _logger.warning("%s", finding)
    _logger.info("Described %s of %s rows, %s columns in %s", profile.sampled, profile.rows, len(profile.columns), page)
    return Exploration(profile, findings, page)
