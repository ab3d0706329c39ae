"""Write the table of questions in README.md anew from cookiecutter.json; with --check, only compare."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).parents[1]
README = TEMPLATE / "README.md"
BEGIN = "<!-- questions: written by `make docs` from cookiecutter.json -->"
END = "<!-- end of questions -->"


def main() -> None:
    """Bring README.md up to date; with --check exit with code 1 where it is not."""
    text = README.read_text(encoding="utf-8")
    wanted = updated(text)
    if "--check" not in sys.argv:
        README.write_text(wanted, encoding="utf-8", newline="\n")
    elif text != wanted:
        sys.exit('The table in README.md is not that of cookiecutter.json: run "make docs".')


def updated(text: str) -> str:
    """Return ``text`` with the present table between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def table() -> str:
    """Return a Markdown table of the questions that a user is asked."""
    questions: dict[str, Any] = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    prompts = questions["__prompts__"]
    rows = ["| Question | What it asks | Answers, the default first |", "|---|---|---|"]
    for name, default in questions.items():
        if name.startswith("_"):
            continue
        prompt = prompts[name]
        if isinstance(default, list):
            asks, answers = (
                prompt["__prompt__"],
                "<br>".join(choice(value, prompt[value]) for value in default),
            )
        else:
            asks, answers = prompt, "follows from the name" if "{{" in default else f'"{default}"'
        rows.append(f"| `{name}` | {asks} | {answers} |")
    return "\n".join(rows)


def choice(value: str, label: str) -> str:
    """Return one answer and what its label adds to it."""
    meaning = label.rpartition(": ")[2]
    return f"`{value}`" if label == value else f"`{value}`: {meaning}"


if __name__ == "__main__":
    main()
