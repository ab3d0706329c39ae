"""What bakes would write, put together from files that are rendered once for each set of answers they read.

Options multiply, files do not: what a file says depends on the answers that its text reads, and whether it
is there depends on its lines in PIECES. A file is rendered with the answers that it reads and no others, so
an answer that was overlooked is an error. A test holds compositions against real bakes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import PurePosixPath

from baking import SKELETON, TEMPLATE, digest, skeleton_files
from combinations import Combination, every_combination, label, options
from cookiecutter.generate import is_copy_only_path
from cookiecutter.utils import create_env_with_context
from jinja2 import Environment, FileSystemLoader, meta, nodes

from answers import package
from hooks.post_gen_project import PIECES

SETTINGS = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
FOLLOWS = {"__package": "project_slug"}
"""The question that each private value follows."""

DECISIVE = sorted({option for keepers in PIECES.values() for option in keepers})
"""The options that decide which files there are."""


@dataclass(frozen=True)
class Content:
    """What a file says to some answers."""

    data: bytes
    is_executable: bool

    @cached_property
    def text(self) -> str | None:
        """The text, None where it is binary."""
        return None if b"\0" in self.data else self.data.decode()

    @cached_property
    def digest(self) -> str:
        """The sha256 of content and mode."""
        return digest(self.data, self.is_executable)


@dataclass(frozen=True)
class ComposedProject:
    """The files that a bake with some answers would write."""

    answers: Combination
    contents: dict[str, Content]
    files: frozenset[str]
    """Every file, as a path with slashes relative to the project."""

    @cached_property
    def folders(self) -> frozenset[str]:
        """Every folder with something in it; the project itself is a dot."""
        return frozenset().union(*map(parents, self.contents))

    @property
    def texts(self) -> Iterator[tuple[str, str]]:
        """Each file that is not binary, with its text."""
        return ((file, content.text) for file, content in self.contents.items() if content.text is not None)

    @property
    def digests(self) -> dict[str, str]:
        """The sha256 of each file's content and mode."""
        return {file: content.digest for file, content in self.contents.items()}


@dataclass
class SkeletonFile:
    """A file under its name in a project, with what keeps it there and what it says to which answers."""

    path: str
    kept_by: list[tuple[str, tuple[str, ...]]]
    reads: tuple[str, ...]
    render: Callable[[Combination], Content]
    combinations: Sequence[Combination]
    _rendered: dict[tuple[str, ...], Content] = field(default_factory=dict, init=False)
    _distinct: dict[Content, Content] = field(default_factory=dict, init=False)

    def is_kept(self, answers: Combination) -> bool:
        """Tell whether a project with these answers has the file."""
        return all(answers[option] in values for option, values in self.kept_by)

    def content(self, answers: Combination) -> Content:
        """Return what the file says to these answers, rendered at the first time."""
        key = tuple([answers[option] for option in self.reads])
        if key not in self._rendered:
            content = self.render(dict(zip(self.reads, key, strict=True)))
            self._rendered[key] = self._distinct.setdefault(content, content)
        return self._rendered[key]

    @cached_property
    def contents(self) -> dict[tuple[str, ...], Content]:
        """What it says in all projects that have it, by the answers that it reads."""
        hangs_on = {*self.reads, *(option for option, _ in self.kept_by)}
        asked = {tuple([answers[option] for option in hangs_on]): answers for answers in self.combinations}
        for answers in filter(self.is_kept, asked.values()):
            self.content(answers)
        return self._rendered

    @property
    def distinct(self) -> set[Content]:
        """Each of its contents once."""
        return set(self.contents.values())

    @cached_property
    def followed(self) -> frozenset[str]:
        """The options of which another choice, all else as it was, makes the file say something else."""
        return frozenset(option for place, option in enumerate(self.reads) if self._follows(place))

    def _follows(self, place: int) -> bool:
        said = {(key[:place] + key[place + 1 :], content) for key, content in self.contents.items()}
        return len(said) > len({others for others, _ in said})


class Composer:
    """Composes the projects of one name, with cookiecutter's environment and the template's extensions."""

    def __init__(self, slug: str = "ml-project", extensions: Sequence[str] = SETTINGS["_extensions"]) -> None:
        self.package = package({"project_slug": slug})
        self.environment = create_env_with_context({"cookiecutter": {**SETTINGS, "_extensions": extensions}})
        self.environment.loader = FileSystemLoader([SKELETON, TEMPLATE / "templates"])
        texts = {name: text for name, text in SETTINGS.items() if isinstance(text, str) and name[0] != "_"}
        self._texts = {**texts, "project_slug": slug, "__package": self.package}
        self.combinations = every_combination()
        self.files = [self._file(source) for source in skeleton_files()]
        self._kept: dict[tuple[str, ...], tuple[list[SkeletonFile], frozenset[str]]] = {}

    def projects(self) -> Iterator[ComposedProject]:
        """Yield the project of every combination."""
        return map(self.compose, self.combinations)

    def compose(self, answers: Combination) -> ComposedProject:
        """Return what a bake with these answers would write."""
        files, paths = self.kept(answers)
        return ComposedProject(answers, {file.path: file.content(answers) for file in files}, paths)

    def kept(self, answers: Combination) -> tuple[list[SkeletonFile], frozenset[str]]:
        """Return the files of a project with these answers, and their paths."""
        key = tuple([answers[option] for option in DECISIVE])
        if key not in self._kept:
            files = [file for file in self.files if file.is_kept(answers)]
            self._kept[key] = files, frozenset(file.path for file in files)
        return self._kept[key]

    def distinct_texts(self, *endings: str) -> Iterator[tuple[str, str]]:
        """Yield each file, or each whose path has an ending, with each text that any combination gives it."""
        for file in self.files:
            if file.path.endswith(endings or ""):
                yield from (
                    (file.path, content.text) for content in file.distinct if content.text is not None
                )

    def pieces(self, path: str) -> list[tuple[str, tuple[str, ...]]]:
        """Return the lines of PIECES that a path hangs on: those of itself and of the folders it is in."""
        places = {path, *parents(path)}
        pieces = [piece for piece in PIECES if piece.format(package=self.package) in places]
        return [keeper for piece in pieces for keeper in PIECES[piece].items()]

    def _file(self, source: str) -> SkeletonFile:
        path = self.environment.from_string(source).render(cookiecutter=self._texts)
        is_executable = os.access(SKELETON / source, os.X_OK)
        template = None if is_copied(source) else self.environment.get_template(source)

        def render(answers: Combination) -> Content:
            if template is None:
                return Content((SKELETON / source).read_bytes(), is_executable)
            return Content(template.render(cookiecutter={**self._texts, **answers}).encode(), is_executable)

        read = options_read(self.environment, source) if template else []
        return SkeletonFile(path, self.pieces(path), tuple(read), render, self.combinations)


@cache
def composer(slug: str = "ml-project") -> Composer:
    """Return the one composer of a name."""
    return Composer(slug)


def combinations_where(
    finds: Callable[[ComposedProject], dict[str, list[str]]],
) -> dict[str, dict[str, list[str]]]:
    """Return what is found in each combination in which anything is, by its name and by file."""
    found = ((project.answers, finds(project)) for project in composer().projects())
    return {label(answers): files for answers, files in found if files}


def is_copied(source: str) -> bool:
    """Tell whether cookiecutter copies a file of the skeleton without rendering it."""
    return bool(is_copy_only_path(os.path.normpath(source), {"cookiecutter": SETTINGS}))


def options_read(environment: Environment, name: str) -> list[str]:
    """Return the options that a template reads, in the order of cookiecutter.json.

    These are all options where it uses the answers in a way that cannot be followed.
    """
    assert environment.loader
    source, _, _ = environment.loader.get_source(environment, name)
    tree = environment.parse(source)
    variables = [variable.name for variable in tree.find_all(nodes.Name)]
    attributes = [
        attribute.attr
        for attribute in tree.find_all(nodes.Getattr)
        if isinstance(attribute.node, nodes.Name) and attribute.node.name == "cookiecutter"
    ]
    if variables != ["cookiecutter"] * len(attributes):
        return list(options())
    read = {FOLLOWS.get(attribute, attribute) for attribute in attributes}
    for included in meta.find_referenced_templates(tree):
        # Where an answer decides what is included, it may be any of them.
        for other in [included] if included else [file.name for file in (TEMPLATE / "templates").iterdir()]:
            read.update(options_read(environment, other))
    return [option for option in options() if option in read]


@cache
def parents(path: str) -> frozenset[str]:
    """Return the folders that a path is in, up to the project, which is a dot."""
    return frozenset(parent.as_posix() for parent in PurePosixPath(path).parents)
