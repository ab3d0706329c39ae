"""HTML built from elements, in which every text is escaped unless it is markup already."""

import html


class Markup(str):
    """Text that is HTML already and goes into a page as it is."""

    __slots__ = ()


def element(name: str, *content: str, **attributes: str | float) -> Markup:
    """An HTML element around texts and other elements.

    In names of attributes an underscore stands for a hyphen, and one at the end is dropped:
    `class_`, `aria_label`.
    """
    described = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"' for key, value in attributes.items()
    )
    return Markup(f"<{name}{described}>{join(*content)}</{name}>")


def join(*content: str) -> Markup:
    """Texts and elements one after another."""
    return Markup("".join(part if isinstance(part, Markup) else html.escape(part) for part in content))
