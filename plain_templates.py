"""Spare cookiecutter the compilation of templates that hardly are any.

Cookiecutter compiles the name of every file and folder, and every choice of every question, as a Jinja
template: half a millisecond each, a third of a bake. Nearly all are plain text, or plain text around
``{{cookiecutter.name}}``, and those are rendered here. Everything else goes to Jinja as before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from jinja2 import Environment, Template, UndefinedError
from jinja2.ext import Extension

VARIABLE = re.compile(r"(?<!\{)\{\{ ?cookiecutter\.([^\W\d]\w*) ?\}\}")
BEYOND_PLAIN = re.compile(r"\{[{%#]|\r")
"""What only Jinja handles: other tags, and line ends that it makes uniform."""


class PlainTemplate:
    """A text with variables, rendered as Jinja would render it."""

    def __init__(self, source: str) -> None:
        self.source = source

    def render(self, cookiecutter: dict[str, Any], **_: object) -> str:
        """Return the text with the answers in it; raises ``UndefinedError`` for an unknown one."""
        try:
            return VARIABLE.sub(lambda variable: str(cookiecutter[variable[1]]), self.source)
        except KeyError as unknown:
            raise UndefinedError(f"cookiecutter has no answer {unknown}") from None


def is_plain(source: str) -> bool:
    """Tell whether a text has no tags but ``{{ cookiecutter.name }}``."""
    return not BEYOND_PLAIN.search(VARIABLE.sub(" ", source))


class PlainTemplates(Extension):
    """Let an environment compile only the strings that are more than plain."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        compiled: Callable[..., Template] = environment.from_string

        def from_string(source: str, *arguments: Any, **options: Any) -> Template | PlainTemplate:
            return PlainTemplate(source) if is_plain(source) else compiled(source, *arguments, **options)

        # An instance's own attribute: no other environment is touched.
        vars(environment)["from_string"] = from_string
