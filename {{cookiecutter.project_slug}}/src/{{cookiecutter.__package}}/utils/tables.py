"""Tables for the terminal."""

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    import polars as pl


def table_from_frame(frame: "pl.DataFrame") -> Table:
    """A frame as a table; numbers are shown with four significant digits."""
    table = Table(*frame.columns)
    for row in frame.iter_rows():
        table.add_row(*(_show(value) for value in row))
    return table


def _show(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
