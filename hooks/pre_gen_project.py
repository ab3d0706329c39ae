"""Guard the destination: what is there and not committed is never written over.

Cookiecutter runs this in the destination, before it writes. After a hook that fails it prints a
traceback of its own, which nothing here can prevent; the message above it is the one to read.

Answers in a replay file, and __package given on the command line, skip the check at the prompts, so
they are checked as this file is rendered, for package {{ cookiecutter | checked | package }}.
"""

from __future__ import annotations

import os
import sys

ALREADY_HERE = """
Nothing was written: {folder} is not empty.
{reason}
{remedy}
"""


def main() -> None:
    """Exit with code 1 and a message where generating here could lose work."""
    message = refusal(os.getcwd())
    if message:
        sys.exit(message)


def refusal(folder: str) -> str | None:
    """Return why ``folder`` must not be generated into, and what to run; None where it may."""
    if not os.listdir(folder):
        return None
    tracked = git(folder, "ls-files")
    changes = git(folder, "status", "--porcelain", "--untracked-files=all", "--", ".")
    if not tracked or changes is None:
        return ALREADY_HERE.format(
            folder=folder,
            reason="It has files that no git repository keeps.",
            remedy='Run "git init && git add -A && git commit -m Before" in it first, '
            "or generate into another folder with --output-dir.",
        )
    if changes:
        return ALREADY_HERE.format(
            folder=folder,
            reason=f"It has uncommitted work:\n{changes}",
            remedy='Run "git add -A && git commit -m Before" in it first.',
        )
    return None


def git(folder: str, *arguments: str) -> str | None:
    """Return what git prints in ``folder``; None where it fails or is not installed."""
    import subprocess  # A new folder, the usual case, needs no git and should not wait for this.

    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.rstrip() if done.returncode == 0 else None


if __name__ == "__main__":
    main()
