"""What `adopt` decided, for people."""

from rich.console import Console

from ...config import SourceSettings
from ...schema import Column
from ...terminal import make_table, print_table
from .adopting import Adoption
from .dialect import NAMES

_SHOWN_CATEGORIES = 4
_LONGEST_WORD = 20


def print_adoption(adoption: Adoption) -> None:
    """Print the columns, what was noticed, and what to run next."""
    table = make_table("column", "use", "type", "values", "why")
    for decision in adoption.decisions:
        kind = decision.column.type if decision.column else ""
        table.add_row(decision.name, decision.use, kind, _describe_values(decision.column), decision.why)
    print_table(table)
    lines = [
        f"{adoption.schema.task} of {adoption.schema.target!r}, {adoption.rows} rows of {adoption.table.name} "
        f"in data/raw ({_describe_source(adoption)})",
        *adoption.notes,
        *(f"Warning: {warning}" for warning in adoption.warnings),
        "Edit the files in config/ where you know better, then run `make pipeline`.",
    ]
    console = Console(highlight=False, markup=False)
    for line in lines:
        console.print(line, soft_wrap=True)


def _describe_values(column: Column | None) -> str:
    if column is None:
        return ""
    if column.categories:
        words = [category[:_LONGEST_WORD] for category in column.categories[:_SHOWN_CATEGORIES]]
        more = len(column.categories) - len(words)
        return ", ".join(words) + (f" and {more} more" if more else "")
    if column.minimum is not None and column.maximum is not None:
        return f"{column.minimum:.10g} to {column.maximum:.10g}"
    return column.format


def _describe_source(adoption: Adoption) -> str:
    if adoption.table.suffix.lower() == ".parquet":
        return "Parquet"
    source: SourceSettings = adoption.source
    words = [NAMES.get(source.separator, repr(source.separator)) + "-separated", source.encoding]
    words += ["decimal comma"] if source.decimal_comma else []
    words += [f"thousands {source.thousands!r}"] if source.thousands else []
    return ", ".join(words)
