"""A project's hooks let a sound commit through and refuse what must not get into git."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from baking import BakedProject, Oven
from combinations import default_combination
from conftest import Bake, Shared
from running import environment

pytestmark = pytest.mark.slow

NOTEBOOK = "notebooks/exploration/look_at_the_data.ipynb"
WHO = ("-c", "user.name=Test", "-c", "user.email=test@example.org")


@dataclass(frozen=True)
class Repository:
    """A project in git that has its hooks, and the variables under which its commands run."""

    project: BakedProject
    variables: Mapping[str, str]

    def commit(self, **files: str | bytes) -> tuple[int, str]:
        """Write files and commit them with all else; return the exit code and what was printed."""
        for name, content in files.items():
            path = self.project.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.git("add", "--all")
        self.git("add", "--force", *files)
        return self.git(*WHO, "commit", "--message", "Mine")

    def git(self, *arguments: str) -> tuple[int, str]:
        """Run git, apart from its user's settings; return the exit code and what was printed."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.project.path,
            env=environment(**self.variables, GIT_CONFIG_GLOBAL="/dev/null"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def made(bake: Bake, shared: Shared, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A project after `make setup`, `make hooks` and its first commit."""
    source = bake(**default_combination())
    path = tmp_path_factory.mktemp("hooks") / source.slug
    project = BakedProject(shutil.copytree(source.path, path), source.answers)
    variables = shared(project)
    project.run("make", "setup", **variables)
    assert not (path / ".git/hooks/pre-commit").exists(), (
        "setup changes nothing of git that it was not asked for"
    )
    settings = (path / ".git/config").read_bytes()
    project.run("make", "hooks", **variables)
    assert (path / ".git/config").read_bytes() == settings
    repository = Repository(project, variables)
    code, printed = repository.commit()
    assert code == 0, printed
    assert "Failed" not in printed
    return repository


@pytest.fixture
def repository(made: Repository) -> Repository:
    """The project as it was committed first."""
    _, first = made.git("rev-list", "--max-parents=0", "HEAD")
    made.git("reset", "--hard", "--quiet", first.strip())
    made.git("clean", "-dfq", "src", "notebooks", "data")
    return made


def test_every_hook_looks_at_the_untouched_project_and_finds_nothing(repository: Repository) -> None:
    run = ("uv", "run", "--no-sync", "prek", "run", "--all-files", "--color", "never")
    printed = repository.project.run(*run, **repository.variables)
    assert printed.count("Passed") == len(printed.splitlines()) == 6


def test_what_the_pipeline_makes_can_be_committed(repository: Repository) -> None:
    repository.project.run("make", "pipeline", **repository.variables)
    code, printed = repository.commit()
    assert code == 0, printed


@pytest.mark.parametrize(
    "secret",
    [
        'KEY = "AKIA' + 'QYLPMN5HHHFPZAM2"\n',
        'TOKEN = "ghp_' + 'wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx"\n',
        "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAxyz\n",
        'password = "' + 'correcthorsebatterystaple"\n',
        'URL = "postgresql://me:' + 'hunter2@database.internal/main"\n',
    ],
    ids=["aws", "github", "private-key", "password", "url"],
)
def test_a_secret_is_refused(repository: Repository, secret: str) -> None:
    code, printed = repository.commit(**{"src/ml_project/account.txt": secret})
    assert code != 0
    assert "no secret is committed" in printed
    assert "src/ml_project/account.txt:" in printed


def test_a_line_that_only_looks_like_a_secret_can_be_marked(repository: Repository) -> None:
    line = 'password = "' + 'correcthorsebatterystaple"  # pragma: allowlist secret\n'
    code, printed = repository.commit(**{"src/ml_project/account.txt": line})
    assert code == 0, printed


def test_a_large_file_is_refused(repository: Repository) -> None:
    code, printed = repository.commit(**{"data/external/large.parquet": bytes(6 << 20)})
    assert code != 0
    assert "data/external/large.parquet" in printed
    assert "exceeds 5120 KB" in printed


def test_output_of_a_notebook_is_refused_and_taken_out(repository: Repository) -> None:
    file = repository.project.path / NOTEBOOK
    notebook = json.loads(file.read_text(encoding="utf-8"))
    code_cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    code_cells[0]["outputs"] = [{"name": "stdout", "output_type": "stream", "text": ["a customer's name\n"]}]
    code, printed = repository.commit(**{NOTEBOOK: json.dumps(notebook, indent=1) + "\n"})
    assert code != 0
    assert "notebooks have no output" in printed
    assert "a customer's name" not in file.read_text(encoding="utf-8")


def test_badly_formatted_code_is_refused_and_formatted(repository: Repository) -> None:
    code, printed = repository.commit(**{"src/ml_project/mine.py": '"""Mine."""\n\nNUMBERS=[1,\n 2]\n'})
    assert code != 0
    assert "code is formatted" in printed
    code, printed = repository.commit()
    assert code == 0, printed


def test_what_ruff_finds_is_refused(repository: Repository) -> None:
    code, printed = repository.commit(**{"src/ml_project/mine.py": '"""Mine."""\n\nimport os\n'})
    assert code != 0
    assert "F401" in printed


def test_a_conflict_of_an_update_is_refused(repository: Repository) -> None:
    conflict = "\n".join(["<" * 7 + " ours", "mine", "=" * 7, "theirs", ">" * 7 + " theirs", ""])
    code, printed = repository.commit(**{"docs/guides/mine.md": conflict})
    assert code != 0
    assert "no conflict is left" in printed


def test_without_uv_on_the_path_make_says_what_hooks_need(repository: Repository) -> None:
    path = repository.project.path
    done = subprocess.run(
        ["make", "hooks", "UV=.uv/bin/uv"],
        cwd=path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode != 0
    assert "error: hooks call uv" in done.stderr
    assert len([line for line in done.stderr.splitlines() if not line.startswith("make: ")]) == 1


@pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not on the PATH")
def test_badly_formatted_terraform_is_refused_where_terraform_was_chosen(oven: Oven, shared: Shared) -> None:
    project = oven.bake({**default_combination(), "containers": "docker", "cloud": "aws"})
    variables = shared(project)
    project.run("make", "setup", **variables)
    (project.path / "mine.tf").write_text('locals {\n  a="b"\n}\n', encoding="utf-8")
    project.run("git", "add", "--all")
    run = ["uv", "run", "--no-sync", "prek", "run", "terraform"]
    environ = environment(**variables)
    done = subprocess.run(run, cwd=project.path, env=environ, capture_output=True, encoding="utf-8")
    assert done.returncode != 0
    assert "files were modified by this hook" in done.stdout
    assert "mine.tf" in done.stdout
    assert (project.path / "mine.tf").read_text(encoding="utf-8") == 'locals {\n  a = "b"\n}\n'
    project.run("git", "add", "--all")
    project.run(*run, **variables)
