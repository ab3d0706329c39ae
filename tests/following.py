"""Follow a guide of a generated project word by word, as a reader would: edit, make a new file, run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
PATH = re.compile(r"^`([\w./-]+)`(, a new file)?$")
FENCE = "```"


@dataclass(frozen=True)
class Step:
    """One thing to do: change or make a file, or run commands."""

    kind: Literal["edit", "create", "run"]
    text: str
    path: str = ""


@cache
def read_recipes(guide: str) -> dict[str, list[Step]]:
    """Return the steps of each section of a guide, by its title."""
    _, *parts = SECTION.split(guide)
    return {title: list(read_steps(text)) for title, text in zip(parts[::2], parts[1::2], strict=True)}


def read_steps(text: str) -> Iterator[Step]:
    """Yield what the code blocks of a section ask for; a path on a line of its own names their file."""
    path, is_new = "", False
    lines = iter(text.splitlines())
    for line in lines:
        named = PATH.match(line)
        if named:
            path, is_new = named[1], bool(named[2])
        elif line.startswith(FENCE):
            body = []
            while (inner := next(lines)) != FENCE:
                body.append(inner)
            content = "\n".join(body) + "\n"
            kind = line.removeprefix(FENCE)
            if kind == "bash":
                yield Step("run", content)
            elif kind == "diff":
                yield Step("edit", content, path)
            elif is_new:
                yield Step("create", content, path)


def edited(text: str, change: str) -> str:
    """Return a text with the lines of a diff, at the one place that has its other lines.

    Raises ``ValueError`` where there is no such place, or where there are several.
    """
    lines = change.splitlines()
    before = [line[1:] for line in lines if not line.startswith("+")]
    after = [line[1:] for line in lines if not line.startswith("-")]
    found = text.splitlines()
    ends = range(len(found) - len(before) + 1)
    places = [place for place in ends if found[place : place + len(before)] == before]
    if len(places) != 1:
        raise ValueError(f"{len(places)} places have the lines\n" + "\n".join(before))
    found[places[0] : places[0] + len(before)] = after
    return "\n".join(found) + "\n"
