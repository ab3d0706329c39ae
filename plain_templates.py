"""Spare cookiecutter the compilation of templates that hardly are any.

Cookiecutter compiles the name of every file and folder, every choice of every question and every file that
is not copied as a Jinja template: half a millisecond for a name, up to five for a file, half of a bake in
all. Most are text around values, with conditions on lines of their own, and those are rendered here:

    {{ cookiecutter.name }}   {{ cookiecutter.name | quoted }}
    # {% if cookiecutter.option == "choice" %}
    # {% elif cookiecutter.option != "choice" %}
    # {% else %}
    # {% endif %}

Everything else goes to Jinja as before. The tests hold what is rendered here against Jinja, for every file
and all answers that it reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from jinja2 import Environment, Template, UndefinedError
from jinja2.ext import Extension

from answers import markdown, quoted

FILTERS: dict[str | None, Callable[[str], str]] = {None: str, "quoted": quoted, "markdown": markdown}

VALUE = re.compile(r"\{\{ ?cookiecutter\.([^\W\d]\w*) ?(?:\| ?(quoted|markdown) ?)?\}\}")
CONDITION = re.compile(
    r'\n[ \t]*# \{% (?:(if|elif) cookiecutter\.([^\W\d]\w*) ([=!]=) "([^"\\\n]*)"|(else|endif)) %\}(?=\n)'
)
"""A line with the newline before it, which `re` looks for faster than for the beginning of a line."""
BEYOND_PLAIN = re.compile(r"\{[{%#]")
"""A tag that only Jinja handles, where all others are taken out."""


class PlainTemplate:
    """A text with values and conditions, rendered as Jinja would render it."""

    def __init__(self, source: str) -> None:
        self.source = source

    def render(self, cookiecutter: dict[str, Any], **_: object) -> str:
        """Return the text with the answers in it; raises ``UndefinedError`` for an unknown one."""

        def value(match: re.Match[str]) -> str:
            return FILTERS[match[2]](cookiecutter[match[1]])

        try:
            return VALUE.sub(value, self._chosen(cookiecutter) if "{%" in self.source else self.source)
        except KeyError as unknown:
            raise UndefinedError(f"cookiecutter has no answer {unknown}") from None

    def _chosen(self, answers: dict[str, Any]) -> str:
        """Return the text without the lines of conditions, and without what does not hold for the answers."""
        chosen: list[str] = []
        source = f"\n{self.source}"
        holds, place = True, 0
        # Of each block around: whether it is in itself, and whether one of its branches was taken already.
        around: list[tuple[bool, bool]] = []
        for tag in CONDITION.finditer(source):
            if holds:
                chosen.append(source[place : tag.start()])
            place = tag.end()
            kind = tag[1] or tag[5]
            is_in, is_taken = (holds, False) if kind == "if" else around.pop()
            holds = is_in and not is_taken and (not tag[1] or (answers[tag[2]] == tag[4]) == (tag[3] == "=="))
            if kind == "endif":
                holds = is_in
            else:
                around.append((is_in, is_taken or holds))
        chosen.append(source[place:])
        return "".join(chosen)[1:]


def is_plain(source: str) -> bool:
    """Tell whether a text has no tags but those rendered here, and no line ends that Jinja changes."""
    if "{" not in source and "\r" not in source:
        return True
    without = CONDITION.sub("", f"\n{source}") if "{%" in source else source
    return "{{{" not in source and "\r" not in source and not BEYOND_PLAIN.search(VALUE.sub(" ", without))


class PlainTemplates(Extension):
    """Let an environment compile only the templates that are more than plain."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        from_jinja: Callable[..., Template] = environment.from_string
        get_from_jinja: Callable[..., Template] = environment.get_template

        def from_string(source: str, *arguments: Any, **options: Any) -> Template | PlainTemplate:
            return PlainTemplate(source) if is_plain(source) else from_jinja(source, *arguments, **options)

        def get_template(name: str, *arguments: Any, **options: Any) -> Template | PlainTemplate:
            # With more arguments it is Jinja that asks, for an include, and wants a template of its own.
            if environment.loader and not arguments and not options:
                source, _, _ = environment.loader.get_source(environment, name)
                if is_plain(source):
                    return PlainTemplate(source)
            return get_from_jinja(name, *arguments, **options)

        # An instance's own attributes: no other environment is touched.
        vars(environment).update(from_string=from_string, get_template=get_template)
