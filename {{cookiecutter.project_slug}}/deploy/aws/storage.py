"""Files to S3 and back."""

import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from .package import Project, hash_file, hash_json


def upload_files(s3: Any, bucket: str, folder: str, files: Mapping[str, Path]) -> str:
    """Upload files, by their names there, into a folder named after their content; its address.

    What is there is not sent again, so that the same files have one address.
    """
    prefix = f"{folder}/{hash_json({name: hash_file(path) for name, path in files.items()})[:16]}/"
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    there = {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", ())}
    lacking = {name: path for name, path in files.items() if there.get(prefix + name) != path.stat().st_size}
    with shown(f"Uploading {folder}", sum(path.stat().st_size for path in lacking.values())) as advance:
        for name, path in lacking.items():
            s3.upload_file(str(path), bucket, prefix + name, Callback=advance)
    return f"s3://{bucket}/{prefix}"


def find_settings(project: Project) -> dict[str, Path]:
    """The files of `config/`, by name."""
    return {path.name: path for path in sorted((project.root / "config").iterdir()) if path.is_file()}


def download_file(s3: Any, address: str, target: Path) -> None:
    """Download a file, which appears whole or not at all."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    size = s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
    with shown(f"Downloading {target.name}", size) as advance:
        s3.download_file(bucket, key, str(target), Callback=advance)  # through a temporary name beside it


def download_archive(s3: Any, address: str, target: Path) -> None:
    """Unpack a .tar.gz at an address into a folder, and nothing of it elsewhere."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    size = s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
    with tempfile.TemporaryFile() as file:
        with shown(f"Downloading {Path(key).name}", size) as advance:
            s3.download_fileobj(bucket, key, file, Callback=advance)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:gz") as archive:
            archive.extractall(target, filter="data")


@contextmanager
def shown(description: str, size: int) -> Iterator[Any]:
    """A function to call with each number of bytes that went over, while a bar moves; silent without a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(description, total=size)
        yield lambda count: progress.advance(task, count)
