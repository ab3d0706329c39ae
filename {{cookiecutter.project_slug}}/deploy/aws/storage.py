"""Files to S3 and back."""

import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.progress import DownloadColumn

from .package import Project, hash_file, hash_json
from .terminal import bar


def upload_files(s3: Any, bucket: str, folder: str, files: Mapping[str, Path]) -> str:
    """Upload files, by their names there, into a folder named after their content; its address.

    What is there is not sent again, so that the same files have one address.
    """
    prefix = f"{folder}/{hash_json({name: hash_file(path) for name, path in files.items()})[:16]}/"
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    there = {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", ())}
    lacking = {name: path for name, path in files.items() if there.get(prefix + name) != path.stat().st_size}
    size = sum(path.stat().st_size for path in lacking.values())
    with bar(f"Uploading {folder}", size, DownloadColumn()) as advance:
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
    with bar(f"Downloading {target.name}", size, DownloadColumn()) as advance:
        s3.download_file(bucket, key, str(target), Callback=advance)  # through a temporary name beside it


def download_archive(s3: Any, address: str, target: Path) -> None:
    """Unpack a .tar.gz at an address into a folder, and nothing of it elsewhere."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, address.rpartition("/")[2])
        download_file(s3, address, file)
        with tarfile.open(file, mode="r:gz") as archive:
            archive.extractall(target, filter="data")
