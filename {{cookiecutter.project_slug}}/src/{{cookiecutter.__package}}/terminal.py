"""What a person sees at the terminal: log lines, progress and tables."""

import logging
import sys
from collections.abc import Iterable, Iterator, Sized
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    import polars as pl


_ROOT = __name__.split(".", maxsplit=1)[0]
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def get_logger(name: str) -> logging.Logger:
    """The logger of a module; pass `__name__`."""
    return logging.getLogger(name)


def configure_logging(log_file: Path | None = None, level: int = logging.INFO) -> None:
    """Send the package's log lines to stderr and, where given, to a file, which gets those for debugging, too.

    A log folder that cannot be written (a read-only container) leaves the console alone working.
    """
    logger = logging.getLogger(_ROOT)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(level)
    console.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(console)
    if log_file is None:
        return
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(log_file, encoding="utf-8")
    except OSError as error:
        logger.warning("Not logging to %s: %s", log_file, error)
        return
    file.setFormatter(logging.Formatter(_FORMAT))
    logger.addHandler(file)


_Item = TypeVar("_Item")


def track(items: Iterable[_Item], description: str) -> Iterator[_Item]:
    """Yield `items` while a bar with their count and the time elapsed moves; silent without a terminal."""
    console = Console(stderr=True)
    total = len(items) if isinstance(items, Sized) else None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(description, total=total)
        for item in items:
            yield item
            progress.advance(task)


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
