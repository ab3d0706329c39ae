"""The project's images in ECR: each under a tag that says what is in it, so that one tag never means two images."""

import base64
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError

from .account import Account, error_code, explained
# {% if cookiecutter.serving != "none" %}
from .package import MANIFEST_FILE, Project, ProjectError, Registry, hash_file
# {% else %}
from .package import Project, ProjectError
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
    name = image.repository.partition("/")[2]
    with explained():
        try:
            found = account.client("ecr").describe_images(repositoryName=name, imageIds=[{"imageTag": image.tag}])
        except ClientError as error:
            if error_code(error) == "ImageNotFoundException":
                return None
            raise
    return f"{image.repository}@{found['imageDetails'][0]['imageDigest']}"


def need_training_image(account: Account, project: Project) -> str:
    """The image that trains, by digest. Raises ProjectError where ECR does not have that of the present code."""
    image = training_image(project, account.outputs.training_repository_url)
    digest = find_digest(account, image)
    if digest is None:
        raise ProjectError(
            f"ECR does not have the image of the present code, {image.address}; "
            f"run `make push-images ENVIRONMENT={account.outputs.environment}`."
        )
    return digest


def ensure_pushed(account: Account, project: Project, image: Image) -> str:
    """Build and push an image unless ECR has it; its address by digest."""
    digest = find_digest(account, image)
    if digest is None:
        _build(project.root, image)
        _push(account, image)
        digest = find_digest(account, image)
    if digest is None:
        raise ProjectError(f"{image.address} was pushed, but ECR does not have it; run the command again.")
    return digest


def _build(root: Path, image: Image) -> None:
    if not (root / "uv.lock").is_file():
        raise ProjectError("uv.lock, by which the images are built, is not here; run `make setup`.")
    label = ("--build-arg", f"VERSION={image.tag}")
    _run_docker("build", "--file", image.dockerfile, *label, *image.options, "--tag", image.address, ".", root=root)


def _push(account: Account, image: Image) -> None:
    with explained():
        [access] = account.client("ecr").get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(access["authorizationToken"]).decode().partition(":")
    registry = image.repository.partition("/")[0]
    _run_docker("login", "--username", user, "--password-stdin", registry, given=password)
    try:
        _run_docker("push", image.address)
    finally:
        _run_docker("logout", registry)


def _run_docker(*arguments: str, root: Path | None = None, given: str | None = None) -> None:
    docker, environment = os.environ.get("DOCKER", "docker"), {**os.environ, **BUILDING}
    # The password goes by standard input: others see a command's arguments.
    try:
        done = subprocess.run(  # noqa: S603
            [docker, *arguments], cwd=root, env=environment, input=given, encoding="utf-8", check=False
        )
    except OSError as error:
        raise ProjectError(f"{docker} cannot be run: {error.strerror}; install Docker, or name it in DOCKER.") from None
    if done.returncode:
        raise ProjectError(f"`{docker} {arguments[0]}` failed with exit code {done.returncode}; it says why above.")


def _run_git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, encoding="utf-8", check=False)  # noqa: S603, S607
    except OSError as error:
        raise ProjectError("Images are named after commits, and git is not installed; install it.") from error
    return done.stdout.rstrip("\n")
