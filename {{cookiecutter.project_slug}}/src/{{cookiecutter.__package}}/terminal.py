"""What a person sees at the terminal: log lines, progress and tables."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich import box, progress
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import polars as pl

_Item = TypeVar("_Item")


def configure_logging(log_file: Path | None = None) -> None:
    """Send the package's log lines to stderr and, where given, to a file, which gets those for debugging, too.

    A log folder that cannot be written (a read-only container) leaves the console alone working.
    """
    logger = logging.getLogger(__package__)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    console = logging.StreamHandler()
    console.setLevel(logging.INFO)
    logger.addHandler(console)
    if log_file is not None:
        try:
            log_file.parent.mkdir(parents=True, exist_ok=True)
            file = logging.FileHandler(log_file, encoding="utf-8")
            file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
            logger.addHandler(file)
        except OSError as error:
            logger.warning("Not logging to %s: %s", log_file, error)


def track(items: Iterable[_Item], description: str) -> Iterable[_Item]:
    """Yield `items` while a bar moves; silent without a terminal."""
    console = Console(stderr=True)
    return progress.track(items, description, console=console, disable=not console.is_terminal)


def make_table(*names: str, rows: Iterable[Mapping[str, str]] = ()) -> Table:
    """A table with these columns; a row is empty where it has no such name."""
    table = Table(*names, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(row.get(name, "") for name in names))
    return table


def print_table(table: Table) -> None:
    """Print a table on stdout with no cell cut short, however narrow the terminal."""
    console = Console(highlight=False)
    needed = console.measure(table, options=console.options.update(max_width=10_000)).maximum
    Console(width=max(console.width, needed), highlight=False).print(table, soft_wrap=True)


def table_from_frame(frame: "pl.DataFrame") -> Table:
    """A frame as a table; numbers are shown with four significant digits."""
    table = make_table(*frame.columns)
    for row in frame.iter_rows():
        shown = (f"{value:.4g}" if isinstance(value, float) else value for value in row)
        table.add_row(*("" if value is None else str(value) for value in shown))
    return table
