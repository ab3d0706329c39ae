"""The project's images in ECR: each under a tag that says what is in it, so that one tag never means two images."""

import base64
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .account import Account
from .command import run_program
# {% if cookiecutter.serving != "none" %}
from .package import MANIFEST_FILE, Project, ProjectError, Registry, hash_file
# {% else %}
from .package import Project, ProjectError
# {% endif %}
from .settings import Outputs
# {% if cookiecutter.serving != "none" %}
from .terminal import say
# {% endif %}

CODE = ("src", "pyproject.toml", "uv.lock", "deploy/docker")
"""What both images are made of."""

BUILDING = {
    # SageMaker and the function run on x86; a list of manifests, as attestations make it, is refused by Lambda.
    "DOCKER_DEFAULT_PLATFORM": "linux/amd64",
    "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
}


@dataclass(frozen=True)
class Image:
    """An image: the repository that it belongs into, its tag, its Dockerfile, and options of its build."""

    repository: str
    tag: str
    dockerfile: str
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The repository as ECR's own calls want it, without its registry."""
        return self.repository.partition("/")[2]

    @property
    def address(self) -> str:
        return f"{self.repository}:{self.tag}"


def training_image(project: Project, repository: str) -> Image:
    """The image that trains, of the present code; the settings in it are not in its tag, since a job brings its own."""
    options = ("--build-arg", "RUN_AS=0:0")  # SageMaker wants root
    return Image(repository, find_commit(project.root, CODE), "deploy/docker/training.Dockerfile", options)


# {% if cookiecutter.serving != "none" %}
def serving_image(project: Project, repository: str) -> Image:
    """The image of the API, of the present code and settings and `latest`. Raises ProjectError where there is none."""
    registry = Registry(project.models)
    version = registry.latest()
    if version is None:
        raise ProjectError("No model was promoted, so there is nothing to deploy; run `make pipeline` first.")
    commit, model = find_commit(project.root, (*CODE, "config")), hash_file(registry.folder(version) / MANIFEST_FILE)
    return Image(repository, f"{commit}-{version}-{model[:8]}", "deploy/docker/serving.Dockerfile")


# {% endif %}
def find_images(project: Project, outputs: Outputs) -> Iterator[Image]:
    """The images that an environment has repositories for and that can be made already."""
    if outputs.training_repository_url:
        yield training_image(project, outputs.training_repository_url)
    # {% if cookiecutter.serving != "none" %}
    if outputs.serving_repository_url and Registry(project.models).latest():
        yield serving_image(project, outputs.serving_repository_url)
    elif outputs.serving_repository_url:
        say("The image of the API has a model in it, and none was promoted yet: it comes later.")
    # {% endif %}


def find_commit(root: Path, paths: tuple[str, ...]) -> str:
    """The last commit that changed one of these paths. Raises ProjectError where one differs from it."""
    changed = _run_git(root, "status", "--porcelain", "--", *paths).splitlines()
    if changed:
        names = ", ".join(line[3:] for line in changed[:5])
        raise ProjectError(f"Images are named after commits, and git does not have {names} as it is; commit first.")
    commit = _run_git(root, "log", "-1", "--format=%h", "--abbrev=12", "--", *paths)
    if not commit:
        raise ProjectError("Images are named after commits, and there is none; run `git add --all`, then `git commit`.")
    return commit


def find_digest(account: Account, image: Image) -> str | None:
    """The image in ECR by its digest, `REPOSITORY@sha256:…`; None where it was not pushed."""
    ecr = account.client("ecr")
    try:
        found = ecr.describe_images(repositoryName=image.name, imageIds=[{"imageTag": image.tag}])
    except ecr.exceptions.ImageNotFoundException:
        return None
    return f"{image.repository}@{found['imageDetails'][0]['imageDigest']}"


def need_digest(account: Account, image: Image) -> str:
    """The image in ECR by its digest. Raises ProjectError where it was not pushed."""
    digest = find_digest(account, image)
    if digest is None:
        remedy = f"run `make push-images ENVIRONMENT={account.outputs.environment}`"
        raise ProjectError(f"ECR does not have the image of the present code, {image.address}; {remedy}.")
    return digest


def need_training_image(account: Account, project: Project) -> str:
    """The image that trains, by digest. Raises ProjectError where ECR does not have that of the present code."""
    return need_digest(account, training_image(project, account.outputs.training_repository_url))


def ensure_pushed(account: Account, project: Project, image: Image) -> str:
    """Build and push an image unless ECR has it; its address by digest."""
    if digest := find_digest(account, image):
        return digest
    _build(project.root, image)
    _push(account, image)
    return need_digest(account, image)


def _build(root: Path, image: Image) -> None:
    if not (root / "uv.lock").is_file():
        raise ProjectError("uv.lock, by which the images are built, is not here; run `make setup`.")
    label = ("--build-arg", f"VERSION={image.tag}")
    _run_docker("build", "--file", image.dockerfile, *label, *image.options, "--tag", image.address, ".", cwd=root)


def _push(account: Account, image: Image) -> None:
    [access] = account.client("ecr").get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(access["authorizationToken"]).decode().partition(":")
    registry = image.repository.partition("/")[0]
    # The password goes by standard input: others see a command's arguments.
    _run_docker("login", "--username", user, "--password-stdin", registry, input=password)
    try:
        _run_docker("push", image.address)
    finally:
        _run_docker("logout", registry)


def _run_docker(*arguments: str, **options: Any) -> None:
    docker, environment = os.environ.get("DOCKER", "docker"), {**os.environ, **BUILDING}
    run_program(docker, *arguments, remedy="install Docker, or name it in DOCKER", env=environment, **options)


def _run_git(root: Path, *arguments: str) -> str:
    # Where it fails, in a folder that is none of git's or has no commit, what it prints is empty.
    printed = run_program("git", *arguments, remedy="install git", check=False, cwd=root, capture_output=True)
    return printed.rstrip("\n")
