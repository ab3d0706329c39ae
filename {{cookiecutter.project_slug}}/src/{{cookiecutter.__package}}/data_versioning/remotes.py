"""Where the bytes are shared: the address of DVC's remote, checked before it is written."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..config import Project
from ..errors import ProjectError
from ..files import write_bytes
from .program import ask_dvc

NAME = "storage"

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


@dataclass(frozen=True)
class Cloud:
    """A kind of remote: what its address calls the bucket, where its credentials come from, its options."""

    name: str
    bucket: str
    credentials: str
    options: tuple[str, ...] = ()


CLOUDS: dict[str, Cloud] = {
    "s3": Cloud(
        "Amazon S3",
        "bucket",
        "`aws configure`, an AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ("endpoint", "region"),
    ),
    "azure": Cloud(
        "Azure Blob Storage",
        "container",
        "`az login`, or AZURE_STORAGE_CONNECTION_STRING",
        ("account",),
    ),
    "gs": Cloud(
        "Google Cloud Storage",
        "bucket",
        "`gcloud auth application-default login`, or GOOGLE_APPLICATION_CREDENTIALS",
        ("endpoint",),
    ),
}
FOLDER = Cloud("a folder", "", "read and write permission of the folder")

_SETTINGS = {"endpoint": "endpointurl", "region": "region", "account": "account_name"}


@dataclass(frozen=True)
class Remote:
    """The remote that DVC uses if no other is named."""

    name: str
    url: str

    @property
    def cloud(self) -> Cloud:
        """The kind of this remote."""
        return CLOUDS.get(self.url.partition("://")[0], FOLDER)


def check_url(url: str) -> Cloud:
    """The kind of remote that an address is of.

    Raises:
        ProjectError: it has credentials in it, another scheme, or no bucket.
    """
    if "://" not in url:
        if not url.strip():
            raise ProjectError("The address is empty; give s3://, azure://, gs:// or the path of a folder.")
        return FOLDER
    parts = _split(url)
    known = ", ".join(f"{scheme}://" for scheme in CLOUDS)
    cloud = CLOUDS.get(parts.scheme)
    if cloud is None:
        raise ProjectError(f"{parts.scheme}:// is no remote known here; give {known} or the path of a folder.")
    if not parts.netloc:
        name = cloud.bucket.upper()
        raise ProjectError(f"The address names no {cloud.bucket}; write {parts.scheme}://{name}/FOLDER.")
    return cloud


def add_remote(project: Project, url: str, options: dict[str, str], replace: bool = False) -> Remote:
    """Make `url` the remote that push and pull use, in `.dvc/config`.

    Args:
        project: the project, which is a git repository.
        url: the address; a relative path is one from the present folder.
        options: `endpoint`, `region` or `account`, where the cloud needs them.
        replace: whether another remote may be given up.

    Raises:
        ProjectError: the address or an option cannot be used; nothing was written.
    """
    cloud = check_url(url)
    for name, value in options.items():
        if name not in cloud.options:
            raise ProjectError(f"--{name} means nothing to {cloud.name}; leave it out.")
        if name == "endpoint" and _split(value).scheme not in ("http", "https"):
            raise ProjectError(f"--endpoint is {value!r}, which is no address; write https://HOST.")
    if cloud is FOLDER:
        url = _place_folder(project, url)
    former = find_remote(project)
    if former is not None and not replace:
        raise ProjectError(f"There is a remote, {former.url}; add --replace to use {url} from now on.")
    config = project.root / ".dvc" / "config"
    before = config.read_bytes()
    try:
        ask_dvc(project, "remote", "add", "--quiet", "--force", "--default", NAME, url)
        for name, value in options.items():
            ask_dvc(project, "remote", "modify", "--quiet", NAME, _SETTINGS[name], value)
    except BaseException:
        write_bytes(config, before)
        raise
    return Remote(NAME, url)


def find_remote(project: Project) -> Remote | None:
    """The remote that push and pull use, None if there is none."""
    settings = dict(line.split("=", 1) for line in ask_dvc(project, "config", "--list").splitlines() if "=" in line)
    name = settings.get("core.remote")
    return Remote(name, settings.get(f"remote.{name}.url", "")) if name else None


def require_remote(project: Project) -> Remote:
    """The remote that push and pull use.

    Raises:
        ProjectError: there is none.
    """
    remote = find_remote(project)
    if remote is None:
        raise ProjectError("No remote is set up; run `remote add URL`, with s3://, azure://, gs:// or a folder's path.")
    return remote


def list_missing(project: Project) -> list[str]:
    """What the remote lacks of what this commit needs and this machine has.

    Raises:
        ProjectError: there is no remote, or it cannot be asked.
    """
    remote = require_remote(project)
    try:
        answer: dict[str, Any] = json.loads(ask_dvc(project, "status", "--cloud", "--json") or "{}")
    except ProjectError as error:
        raise ProjectError(f"{remote.url} does not answer. {describe_needs(remote)}\n{error}") from error
    return sorted(name for name, state in answer.items() if state == "new")


def describe_needs(remote: Remote) -> str:
    """What must hold before the remote can be used."""
    return f"See that it can be reached and that it lets you in ({remote.cloud.credentials})."


def _split(url: str) -> Any:
    try:
        parts = urlsplit(url)
        has_secret = parts.username is not None or parts.password is not None or bool(parts.query or parts.fragment)
    except ValueError as error:
        raise ProjectError("The address cannot be read; write it as in s3://bucket/folder.") from error
    if has_secret:
        # Not repeated: messages end up in logs.
        raise ProjectError(
            "The address has a user, a password or a token in it, and it would be written into the repository. "
            "Give it without; credentials belong in the environment."
        )
    return parts


def _place_folder(project: Project, url: str) -> str:
    folder = Path(os.path.abspath(Path(url).expanduser()))  # noqa: PTH100
    if folder == project.root or folder.is_relative_to(project.root / ".dvc"):
        raise ProjectError(f"{folder} is part of the project; give a folder outside of it.")
    if folder.exists() and not folder.is_dir():
        raise ProjectError(f"{folder} is a file; give the path of a folder.")
    return str(folder)
