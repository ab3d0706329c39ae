"""GitHub's workflows read and, without GitHub, run: steps in order, expressions, artifacts.

Of the actions only those that carry files from job to job do something; the others have no part in what a
project's own commands do.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from running import environment

EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")
TOKEN = re.compile(r"'(?:[^']|'')*'|&&|\|\||!(?!=)|[A-Za-z_][\w-]*(?:\.[\w-]+)*(?!\w*\()")
STATUS = ("cancelled()", "always()", "failure()", "success()")


@cache
def read_workflow(text: str) -> dict[str, Any]:
    """Return a workflow; the key `on`, which YAML takes for a boolean, is `on`."""
    workflow: dict[Any, Any] = yaml.safe_load(text)
    return {"on" if key is True else key: value for key, value in workflow.items()}


def steps_of(workflow: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every step of every job."""
    for job in workflow["jobs"].values():
        yield from job["steps"]


@dataclass
class Runner:
    """Runs jobs of one run of a workflow: what GitHub would know, and a folder for what it would keep."""

    folder: Path
    known: dict[str, Any]
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, workflow: Mapping[str, Any], name: str, place: Path, **matrix: str) -> bool:
        """Run a job where its condition holds; raises ``AssertionError`` where a step fails."""
        job = workflow["jobs"][name]
        known = {**self.known, "matrix": matrix, "steps": {}, "needs": self.known.setdefault("needs", {})}
        if not self._holds(job.get("if", "success()"), known, failed=False):
            return False
        self._resolve(str(job.get("environment", "")), known)
        shared = {key: self._resolve(str(value), known) for key, value in job.get("env", {}).items()}
        failures: list[str] = []
        for number, step in enumerate(job["steps"]):
            outcome: dict[str, Any] = {"outcome": "skipped", "outputs": {}}
            if self._holds(step.get("if", "success()"), known, failed=bool(failures)):
                given = {key: self._resolve(str(value), known) for key, value in step.get("env", {}).items()}
                outcome = self._take(step, known, place, {**shared, **given})
                if outcome["outcome"] == "failure":
                    failures.append(outcome["printed"])
            known["steps"][step.get("id", f"step {number}")] = outcome
        outputs = {key: self._resolve(value, known) for key, value in job.get("outputs", {}).items()}
        self.known["needs"][name] = {"outputs": outputs, "result": "failure" if failures else "success"}
        assert not failures, "\n".join(failures)
        return True

    def _take(
        self, step: Mapping[str, Any], known: Mapping[str, Any], place: Path, given: dict[str, str]
    ) -> dict[str, Any]:
        if "run" in step:
            return self._command(step["run"], place, given)
        options = {key: self._resolve(str(value), known) for key, value in step.get("with", {}).items()}
        if step["uses"].startswith("actions/upload-artifact@"):
            self._upload(options, place)
        elif step["uses"].startswith("actions/download-artifact@"):
            self._download(options, place)
        return {"outcome": "success", "outputs": {}}

    def _command(self, script: str, place: Path, given: dict[str, str]) -> dict[str, Any]:
        files = {name: self.folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_text("", encoding="utf-8")
        done = subprocess.run(
            # As GitHub starts it where a step names no shell.
            ["bash", "-e", "-c", script],
            cwd=place,
            env=environment(
                **{**self.variables, **given, **{name: str(file) for name, file in files.items()}}
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=900,
        )
        outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text("utf-8").splitlines())
        outcome = "failure" if done.returncode else "success"
        printed = f"{script}\nexited with {done.returncode}:\n{done.stdout}"
        return {"outcome": outcome, "outputs": outputs, "printed": printed}

    def _upload(self, options: Mapping[str, str], place: Path) -> None:
        wanted = options["path"].split()
        found = [path for pattern in wanted for path in sorted(place.glob(pattern))]
        missing = [pattern for pattern in wanted if not any(place.glob(pattern))]
        if missing and options.get("if-no-files-found") == "error":
            assert found, f"nothing to upload: {missing}"
        # Several paths keep what lies under the folder that all of them are in; one path keeps itself.
        root = place / Path(wanted[0]).parts[0] if len(wanted) > 1 else None
        kept = self.folder / "artifacts" / options["name"]
        shutil.rmtree(kept, ignore_errors=True)
        for path in found:
            for file in [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]:
                target = kept / file.relative_to(root or (path.parent if path.is_file() else path))
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)

    def _download(self, options: Mapping[str, str], place: Path) -> None:
        artifacts, target = self.folder / "artifacts", place / options.get("path", ".")
        assert artifacts.is_dir()
        if "name" in options:
            assert (artifacts / options["name"]).is_dir(), f"no artifact {options['name']} was uploaded"
        shutil.copytree(artifacts / options.get("name", ""), target, dirs_exist_ok=True)

    def _holds(self, condition: str, known: Mapping[str, Any], *, failed: bool) -> bool:
        condition = str(condition).strip().removeprefix("${{").removesuffix("}}")
        if failed and not any(status in condition for status in STATUS):
            return False
        if condition.strip() == "success()":
            return not failed
        return bool(evaluate(condition, known))

    def _resolve(self, text: str, known: Mapping[str, Any]) -> str:
        def value(match: re.Match[str]) -> str:
            found = evaluate(match[1], known)
            return "" if found is None else str(found)

        return EXPRESSION.sub(value, text)


def evaluate(expression: str, known: Mapping[str, Any]) -> Any:
    """Return what an expression comes to; raises ``LookupError`` for an unknown context."""

    def translated(match: re.Match[str]) -> str:
        token = match[0]
        if token.startswith("'"):
            return repr(token[1:-1].replace("''", "'"))
        operators = {"&&": " and ", "||": " or ", "!": " not ", "true": "True", "false": "False"}
        return operators.get(token) or f"look({token!r})"

    def look(name: str) -> Any:
        first, *rest = name.split(".")
        if first not in known:
            raise LookupError(f"nothing is known of {first}")
        found = known[first]
        for part in rest:
            found = found.get(part, "") if isinstance(found, Mapping) else ""
        return found

    functions = {"look": look, "fromJSON": json.loads, "cancelled": lambda: False}
    return eval(TOKEN.sub(translated, expression).strip(), {"__builtins__": {}}, functions)  # noqa: S307
