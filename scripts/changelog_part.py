"""Print what the changelog says of a version: `changelog_part.py v1.2.0`."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

TEMPLATE = Path(__file__).parents[1]


def part_of(changelog: str, version: str) -> str:
    """Return the text below the heading of a version; raises ``LookupError`` where none has a day."""
    heading = rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)\n"
    found = re.search(rf"{heading}(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if not found or not found[1].strip():
        raise LookupError(f'CHANGELOG.md has nothing below "## {version} (day)": write it, and tag again.')
    return found[1].strip() + "\n"


def main() -> None:
    """Print the part of the version that a tag names, where it is that of the project, too."""
    if len(sys.argv) != 2:
        sys.exit("error: say a tag, as in: scripts/changelog_part.py v1.2.0")
    version = sys.argv[1].removeprefix("v")
    own = tomllib.loads((TEMPLATE / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if version != own:
        sys.exit(f"error: the tag says {version}, pyproject.toml {own}: tag the commit of that version.")
    try:
        print(part_of((TEMPLATE / "CHANGELOG.md").read_text(encoding="utf-8"), version), end="")
    except LookupError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
