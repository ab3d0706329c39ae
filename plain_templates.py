"""Spare cookiecutter the compilation of templates that hardly are any.

Cookiecutter compiles the name of every file and folder, every choice of every question and every
file that is not copied as a Jinja template: half a millisecond for a name, several for a file, half of
a bake in all. Most are plain text around ``{{ cookiecutter.name }}``, and those are rendered here.
Everything else goes to Jinja as before.
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
