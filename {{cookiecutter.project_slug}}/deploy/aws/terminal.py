"""What a person sees of a long wait, on stderr."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False, markup=False)


def say(line: str) -> None:
    """Print a line, above a bar that moves."""
    console.print(line, soft_wrap=True)


@contextmanager
def bar(description: str, total: float, *columns: ProgressColumn) -> Iterator[Callable[[float], None]]:
    """A function to call with each step, while a bar moves; silent without a terminal."""
    shown = (TextColumn("{task.description}"), BarColumn(), *columns, TimeRemainingColumn())
    with Progress(*shown, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(description, total=total)
        yield lambda step: progress.advance(task, step)
