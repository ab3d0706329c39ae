"""An option changes what it owns, the few files that all options share, and nothing else.

Flipping an option changes a file where the file is there for some of its choices only, which PIECES says, or
where the file's text follows it, which is seen in the texts that the file has for any answers.
"""

from __future__ import annotations

import pytest
from combinations import default_combination, options
from composing import composer

SHARED = {"pyproject.toml", "README.md", "Makefile", ".gitignore", "src/ml_project/cli.py"}
"""Files in which several options have a say: what wants one file by its format, and the list of commands."""

OWNED: dict[str, set[str]] = {
    "license": {"LICENSE"},
    "python_version": {
        ".devcontainer/Dockerfile",
        ".gitlab-ci.yml",
        ".python-version",
        "deploy/docker/serving.Dockerfile",
        "deploy/docker/training.Dockerfile",
        "scripts/ci.mk",
    },
    "task": {
        "config/model.yaml",
        "config/schema.yaml",
        "docs/guides/extending.md",
        "docs/guides/models.md",
        "docs/guides/serving.md",
        "docs/guides/tracking.md",
    },
    "serving": {
        ".env.example",
        ".gitlab-ci.yml",
        "config/aws.yaml",
        "deploy/aws/aws.mk",
        "deploy/aws/cloudformation/stack.yaml",
        "deploy/aws/images.py",
        "deploy/aws/package.py",
        "deploy/aws/settings.py",
        "deploy/kubernetes/base/kustomization.yaml",
        "deploy/kubernetes/overlays/production/kustomization.yaml",
        "deploy/kubernetes/overlays/staging/kustomization.yaml",
        "deploy/terraform/aws/identity.tf",
        "deploy/terraform/aws/outputs.tf",
        "deploy/terraform/aws/project.tf",
        "docs/guides/aws-train-and-deploy.md",
        "docs/guides/aws.md",
        "docs/guides/ci-github.md",
        "docs/guides/ci-gitlab.md",
        "docs/guides/containers.md",
        "docs/guides/deployment.md",
        "docs/guides/extending.md",
        "docs/guides/kubernetes.md",
        "docs/guides/monitoring.md",
        "docs/layout.md",
        "scripts/ci.mk",
    },
    "data_versioning": {
        ".env.example",
        ".gitlab-ci.yml",
        "deploy/aws/aws.mk",
        "docs/guides/aws-train-and-deploy.md",
        "docs/guides/aws.md",
        "docs/guides/ci-github.md",
        "docs/guides/ci-gitlab.md",
        "docs/guides/extending.md",
        "docs/guides/kubernetes.md",
        "docs/layout.md",
        "scripts/ci.mk",
        "tests/conftest.py",
    },
    "tracking": {
        ".env.example",
        "compose.yaml",
        "deploy/docker/training.Dockerfile",
        "deploy/kubernetes/base/kustomization.yaml",
        "docs/guides/containers.md",
        "docs/guides/kubernetes.md",
        "docs/guides/tracking.md",
        "docs/layout.md",
        "src/ml_project/tracking/run.py",
        "tests/conftest.py",
    },
    "monitoring": {
        ".gitlab-ci.yml",
        "compose.yaml",
        "config/serving.yaml",
        "deploy/kubernetes/base/kustomization.yaml",
        "docs/guides/aws-train-and-deploy.md",
        "docs/guides/ci-github.md",
        "docs/guides/ci-gitlab.md",
        "docs/guides/containers.md",
        "docs/guides/kubernetes.md",
        "docs/guides/models.md",
        "docs/guides/serving.md",
        "docs/layout.md",
        "dvc.yaml",
        "scripts/ci.mk",
        "src/ml_project/config.py",
        "src/ml_project/modeling/training.py",
        "src/ml_project/serving/service.py",
    },
    "containers": {
        ".env.example",
        ".github/dependabot.yml",
        ".gitlab-ci.yml",
        "docs/guides/ci-github.md",
        "docs/guides/ci-gitlab.md",
        "docs/guides/deployment.md",
        "docs/layout.md",
        "scripts/ci.mk",
        "src/ml_project/serving/fastapi_app.py",
        "src/ml_project/serving/flask_app.py",
    },
    "cloud": {
        ".devcontainer/Dockerfile",
        ".env.example",
        ".github/dependabot.yml",
        ".gitlab-ci.yml",
        ".pre-commit-config.yaml",
        "deploy/aws/bootstrap.yaml",
        "deploy/docker/serving.Dockerfile",
        "deploy/docker/start.py",
        "docs/guides/aws.md",
        "docs/guides/ci-github.md",
        "docs/guides/ci-gitlab.md",
        "docs/guides/containers.md",
        "docs/guides/data-versioning.md",
        "docs/layout.md",
    },
    "ci": {
        "deploy/aws/bootstrap.yaml",
        "deploy/aws/cloudformation/stack.yaml",
        "deploy/terraform/aws/outputs.tf",
        "docs/guides/aws.md",
        "docs/guides/deployment.md",
        "docs/layout.md",
    },
}
"""Files that are always there and whose content follows one option."""


@pytest.mark.parametrize("option", options())
def test_flipping_an_option_changes_only_what_it_owns(option: str) -> None:
    follow = {file.path for file in composer().files if option in file.followed}
    pieces = {file.path for file in composer().files if option in dict(file.kept_by)}
    assert follow - pieces - SHARED - OWNED.get(option, set()) == set()


@pytest.mark.parametrize("option", options())
def test_no_file_is_said_to_follow_an_option_that_it_does_not_follow(option: str) -> None:
    follow = {file.path for file in composer().files if option in file.followed}
    assert OWNED.get(option, set()) - follow == set()


@pytest.mark.parametrize("option", options())
def test_every_choice_of_an_option_makes_a_difference(option: str) -> None:
    flipped = ({**default_combination(), option: choice} for choice in options()[option])
    projects = [composer().compose(answers).digests for answers in flipped]
    assert [other for other in projects if projects.count(other) > 1] == []


def test_a_file_follows_an_option_where_another_choice_alone_changes_its_text() -> None:
    files = {file.path: file for file in composer().files}
    assert files["LICENSE"].followed == {"license"}
    assert files["config/pipeline.yaml"].followed == set()
    assert files["README.md"].reads
    assert files["README.md"].followed <= set(files["README.md"].reads)
