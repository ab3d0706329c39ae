"""Tables for the terminal."""

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import polars as pl


def make_table(*names: str) -> Table:
    """An empty table with these columns."""
    return Table(*names, box=box.SIMPLE_HEAD)


def print_table(table: Table) -> None:
    """Print a table on stdout with no cell cut short, however narrow the terminal."""
    console = Console(highlight=False)
    needed = console.measure(table, options=console.options.update(max_width=10_000)).maximum
    Console(width=max(console.width, needed), highlight=False).print(table, soft_wrap=True)


def table_from_frame(frame: "pl.DataFrame") -> Table:
    """A frame as a table; numbers are shown with four significant digits."""
    table = make_table(*frame.columns)
    for row in frame.iter_rows():
        table.add_row(*(_show(value) for value in row))
    return table


def _show(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
