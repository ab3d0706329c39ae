"""Bake the default project into build/demo, train it, serve it and print one prediction."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

from cookiecutter.main import cookiecutter
from running import environment, predict, served, unseen_penguin

TEMPLATE = Path(__file__).parents[1]
DEMO = TEMPLATE / "build" / "demo"


def main() -> None:
    """Show the way from nothing to a prediction over HTTP; exit with code 1 where a step fails."""
    shutil.rmtree(DEMO, ignore_errors=True)
    say(f"Baking the default project into {DEMO.relative_to(TEMPLATE)}")
    project = Path(cookiecutter(str(TEMPLATE), no_input=True, output_dir=str(DEMO), default_config=True))
    say("make setup, which lists some 150 packages: not shown")
    make(project, "setup", capture_output=True)
    say("make pipeline")
    make(project, "pipeline")
    key, row = secrets.token_urlsafe(16), unseen_penguin("classification")
    with served(project, key) as address:
        say(f"POST {address}/predict")
        print(json.dumps({"rows": [row]}))
        status, answer = predict(address, key, row)
        say(f"HTTP {status}")
        print(json.dumps(answer, indent=2))
    if status != 200:
        sys.exit(f"The server refused; its log is {project / 'logs' / 'server.log'}.")


def make(project: Path, target: str, *, capture_output: bool = False) -> None:
    """Make a target; exit with what it printed where it fails. What is captured is not shown otherwise."""
    done = subprocess.run(["make", target], cwd=project, env=environment(), capture_output=capture_output)
    if done.returncode:
        printed = b"".join(filter(None, (done.stdout, done.stderr))).decode(errors="replace")
        sys.exit(f"{printed}make {target} failed in {project}; what it printed is above.")


def say(step: str) -> None:
    """Print a heading before what the step itself prints."""
    print(f"\n== {step}", flush=True)


if __name__ == "__main__":
    main()
