"""An image from one repository of ECR into another, byte by byte, so that production runs what staging tried."""

import json
import re
from contextlib import suppress
from typing import Any
from urllib.request import urlopen

from rich.progress import DownloadColumn

from .account import Account
from .images import Image
from .package import ProjectError
from .terminal import bar

ADDRESS = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.[^/]+/(?P<name>[^@:]+)@(?P<digest>sha256:\w+)"
)


def copy_image(account: Account, source: str, image: Image) -> str:
    """Bring an image, which is named by its digest, into the environment's repository; its address there.

    Raises ProjectError where there is no such image, or it lies in another region.
    """
    match = ADDRESS.fullmatch(source)
    if match is None or match["region"] != account.outputs.region:
        example = f"{image.repository}@sha256:…"
        raise ProjectError(f"{source} is no image of ECR in {account.outputs.region} by digest, such as {example}.")
    ecr, origin = account.client("ecr"), {"registryId": match["account"], "repositoryName": match["name"]}
    found = ecr.batch_get_image(**origin, imageIds=[{"imageDigest": match["digest"]}])["images"]
    if not found:
        raise ProjectError(f"There is no image {source}; `make deploy` prints its address where it is deployed.")
    if not source.startswith(f"{image.repository}@"):
        manifest = json.loads(found[0]["imageManifest"])
        sizes = {layer["digest"]: layer["size"] for layer in (manifest["config"], *manifest["layers"])}
        checked = ecr.batch_check_layer_availability(repositoryName=image.name, layerDigests=list(sizes))["layers"]
        there = {layer["layerDigest"] for layer in checked if layer["layerAvailability"] == "AVAILABLE"}
        for digest in (digest for digest in sizes if digest not in there):
            _copy_layer(ecr, origin, image.name, digest, sizes[digest])
        _put_image(ecr, image, found[0])
    return f"{image.repository}@{match['digest']}"


def _copy_layer(ecr: Any, origin: dict[str, str], name: str, digest: str, size: int) -> None:
    url = ecr.get_download_url_for_layer(**origin, layerDigest=digest)["downloadUrl"]
    upload, first = ecr.initiate_layer_upload(repositoryName=name), 0
    # An address of S3 that ECR has signed.
    with urlopen(url, timeout=60) as layer, bar(f"Copying {digest[7:19]}", size, DownloadColumn()) as advance:  # noqa: S310
        while part := layer.read(upload["partSize"]):
            place = {"partFirstByte": first, "partLastByte": first + len(part) - 1}
            ecr.upload_layer_part(repositoryName=name, uploadId=upload["uploadId"], layerPartBlob=part, **place)
            first += len(part)
            advance(len(part))
    ecr.complete_layer_upload(repositoryName=name, uploadId=upload["uploadId"], layerDigests=[digest])


def _put_image(ecr: Any, image: Image, found: dict[str, Any]) -> None:
    content = {name: found[name] for name in ("imageManifest", "imageManifestMediaType") if name in found}
    digest = found["imageId"]["imageDigest"]
    with suppress(ecr.exceptions.ImageAlreadyExistsException):
        ecr.put_image(repositoryName=image.name, imageTag=image.tag, imageDigest=digest, **content)
