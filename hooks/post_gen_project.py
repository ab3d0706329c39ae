"""Keep what the answers ask for, drop the rest, and say what to run next.

An option owns whole files, and PIECES says which; nothing is moved, renamed or edited. Only modules
that Python has loaded by itself are imported: ``json`` or ``typing`` would double this hook's time.
"""

from __future__ import annotations

import os
import sys

CHOSEN = "{{ cookiecutter | chosen }}"
"""The answers that files depend on, as ``question=answer`` with spaces between."""

PIECES: dict[str, dict[str, tuple[str, ...]]] = {
    "src/{package}/serving": {"serving": ("fastapi", "flask")},
    "src/{package}/serving/fastapi_app.py": {"serving": ("fastapi",)},
    "src/{package}/serving/flask_app.py": {"serving": ("flask",)},
    "config/serving.yaml": {"serving": ("fastapi", "flask")},
    "data/requests": {"serving": ("fastapi", "flask"), "monitoring": ("drift",)},
    "docs/guides/serving.md": {"serving": ("fastapi", "flask")},
    "tests/test_api.py": {"serving": ("fastapi", "flask")},
    "tests/test_request_log.py": {"serving": ("fastapi", "flask"), "monitoring": ("drift",)},
    ".dvc": {"data_versioning": ("dvc",)},
    ".dvcignore": {"data_versioning": ("dvc",)},
    "dvc.yaml": {"data_versioning": ("dvc",)},
    "data/raw/penguins.csv.dvc": {"data_versioning": ("dvc",)},
    "docs/guides/data-versioning.md": {"data_versioning": ("dvc",)},
    "tests/test_data_versioning.py": {"data_versioning": ("dvc",)},
    "src/{package}/monitoring": {"monitoring": ("drift",)},
    "src/{package}/serving/monitoring.py": {"monitoring": ("drift",)},
    "config/monitoring.yaml": {"monitoring": ("drift",)},
    "docs/guides/monitoring.md": {"monitoring": ("drift",)},
    "scripts/retrain_on_drift.sh": {"monitoring": ("drift",)},
    "tests/test_drift.py": {"monitoring": ("drift",)},
    "src/{package}/tracking/mlflow.py": {"tracking": ("mlflow",)},
    "src/{package}/tracking/pyfunc.py": {"tracking": ("mlflow",)},
    "config/mlflow.yaml": {"tracking": ("mlflow",)},
    "docs/guides/mlflow.md": {"tracking": ("mlflow",)},
    "tests/test_mlflow.py": {"tracking": ("mlflow",)},
    ".github/workflows/template-update.yml": {"ci": ("github",)},
    "deploy": {"containers": ("docker", "kubernetes")},
    "deploy/docker/grafana": {"serving": ("fastapi", "flask")},
    "deploy/docker/grafana/dashboards/drift.json": {"monitoring": ("drift",)},
    "deploy/docker/keep_latest.py": {"serving": ("fastapi", "flask")},
    "deploy/docker/prometheus.yaml": {"serving": ("fastapi", "flask")},
    "deploy/docker/secrets_manager.py": {
        "serving": ("fastapi", "flask"),
        "cloud": ("aws", "aws-cloudformation"),
    },
    "deploy/docker/serving.Dockerfile": {"serving": ("fastapi", "flask")},
    "deploy/docker/start.py": {"serving": ("fastapi", "flask")},
    "deploy/kubernetes": {"containers": ("kubernetes",)},
    ".dockerignore": {"containers": ("docker", "kubernetes")},
    "compose.yaml": {"containers": ("docker", "kubernetes"), "serving": ("fastapi", "flask")},
    "docs/guides/containers.md": {"containers": ("docker", "kubernetes")},
    "tests/test_hosting.py": {"containers": ("docker", "kubernetes"), "serving": ("fastapi", "flask")},
    "deploy/kubernetes/base/serving": {"serving": ("fastapi", "flask")},
    "deploy/kubernetes/base/monitoring": {"monitoring": ("drift",)},
    "deploy/kubernetes/base/requests": {"serving": ("fastapi", "flask"), "monitoring": ("drift",)},
    "deploy/kubernetes/base/mlflow": {"tracking": ("mlflow",)},
    "docs/guides/kubernetes.md": {"containers": ("kubernetes",)},
    "scripts/cluster_files.sh": {"containers": ("kubernetes",)},
    ".github": {"ci": ("github",)},
    "docs/guides/ci-github.md": {"ci": ("github",)},
    ".github/workflows/infrastructure-terraform.yml": {"cloud": ("aws",)},
    ".github/workflows/infrastructure-cloudformation.yml": {"cloud": ("aws-cloudformation",)},
    ".github/workflows/train-aws.yml": {"cloud": ("aws", "aws-cloudformation")},
    ".github/workflows/monitor-aws.yml": {"cloud": ("aws", "aws-cloudformation"), "monitoring": ("drift",)},
    ".github/workflows/deploy-aws.yml": {
        "cloud": ("aws", "aws-cloudformation"),
        "serving": ("fastapi", "flask"),
    },
    ".github/workflows/rollback-aws.yml": {
        "cloud": ("aws", "aws-cloudformation"),
        "serving": ("fastapi", "flask"),
    },
    ".gitlab-ci.yml": {"ci": ("gitlab",)},
    "docs/guides/ci-gitlab.md": {"ci": ("gitlab",)},
    ".github/workflows/train.yml": {"cloud": ("none",)},
    ".github/workflows/images.yml": {"containers": ("docker", "kubernetes")},
    ".github/workflows/deploy.yml": {
        "cloud": ("none",),
        "containers": ("docker", "kubernetes"),
        "serving": ("fastapi", "flask"),
    },
    ".github/workflows/rollback.yml": {
        "cloud": ("none",),
        "containers": ("docker", "kubernetes"),
        "serving": ("fastapi", "flask"),
    },
    ".github/workflows/monitor.yml": {"cloud": ("none",), "monitoring": ("drift",)},
    "scripts/ci.mk": {"ci": ("github", "gitlab")},
    "scripts/fetch_models.sh": {"ci": ("github", "gitlab"), "data_versioning": ("none",)},
    "scripts/smoke_test.sh": {
        "ci": ("github", "gitlab"),
        "containers": ("docker", "kubernetes"),
        "serving": ("fastapi", "flask"),
    },
    "docs/guides/aws.md": {"cloud": ("aws", "aws-cloudformation")},
    "deploy/aws": {"cloud": ("aws", "aws-cloudformation")},
    "deploy/__init__.py": {"cloud": ("aws", "aws-cloudformation")},
    "deploy/aws/dvc_remote.py": {"data_versioning": ("dvc",)},
    "deploy/aws/terraform.py": {"cloud": ("aws",)},
    "deploy/aws/stack.py": {"cloud": ("aws-cloudformation",)},
    "deploy/aws/cloudformation": {"cloud": ("aws-cloudformation",)},
    "deploy/terraform": {"cloud": ("aws",)},
    "deploy/terraform/aws/serving.tf": {"serving": ("fastapi", "flask")},
    "deploy/terraform/aws/modules/serving": {"serving": ("fastapi", "flask")},
    "deploy/terraform/aws/tests/serving.tftest.hcl": {"serving": ("fastapi", "flask")},
    "deploy/terraform/aws/tests/identity.tftest.hcl": {"ci": ("github", "gitlab")},
    "deploy/terraform/aws/identity.tf": {"ci": ("github", "gitlab")},
    "deploy/terraform/aws/modules/identity": {"ci": ("github", "gitlab")},
    "config/aws.yaml": {"cloud": ("aws", "aws-cloudformation")},
    "deploy/aws/copying.py": {"serving": ("fastapi", "flask")},
    "deploy/aws/deploy.py": {"serving": ("fastapi", "flask")},
    "deploy/aws/rollback.py": {"serving": ("fastapi", "flask")},
    "deploy/aws/smoke.py": {"serving": ("fastapi", "flask")},
    "deploy/aws/traffic.py": {"serving": ("fastapi", "flask")},
    "docs/guides/deployment.md": {"cloud": ("aws", "aws-cloudformation")},
    "docs/guides/aws-train-and-deploy.md": {"cloud": ("aws", "aws-cloudformation")},
}
"""Each file or folder that depends on answers: the questions, and the answers to each that keep it."""


def main() -> None:
    """Prune the project in the current folder and print the next steps."""
    answers = dict(pair.split("=", 1) for pair in CHOSEN.split())
    prune(os.getcwd(), answers)
    print(next_steps(os.getcwd(), answers))


def prune(project: str, answers: dict[str, str]) -> None:
    """Remove the pieces that the answers do not keep, and the folders which that leaves empty.

    Exits with a message where PIECES names a path that the template does not have.
    """
    paths = {piece: os.path.join(project, piece.format_map(answers)) for piece in PIECES}
    for piece, path in paths.items():
        if not os.path.exists(path):
            sys.exit(f"PIECES names {piece}, which the template lacks: correct hooks/post_gen_project.py.")
    for piece, keepers in PIECES.items():
        kept = all(answers[question] in choices for question, choices in keepers.items())
        if not kept and os.path.exists(paths[piece]):
            remove(paths[piece])


def remove(path: str) -> None:
    """Remove a file, or a folder with all in it, and the parents that this leaves empty."""
    for folder, _, files in os.walk(path, topdown=False):
        for file in files:
            os.remove(os.path.join(folder, file))
        os.rmdir(folder)
    if os.path.exists(path):
        os.remove(path)
    parent = os.path.dirname(path)
    if not os.listdir(parent):
        os.removedirs(parent)


def next_steps(project: str, answers: dict[str, str]) -> str:
    """Return the commands that lead from a new project to its first predictions."""
    folder = os.path.relpath(project, os.environ.get("PWD") or project)
    last = "make predict" if answers["serving"] == "none" else "make serve"
    return "\n".join(
        [
            f"  cd {project if folder.startswith(os.curdir) else folder}",
            "  make setup",
            "  make pipeline",
            f"  {last}",
        ]
    )


if __name__ == "__main__":
    main()
