"""An image from one repository of ECR into another, byte by byte, so that production runs what staging tried."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

from botocore.exceptions import ClientError

from .account import Account, error_code, explained
from .images import Image
from .package import ProjectError
from .storage import shown

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
    ecr, name = account.client("ecr"), image.repository.partition("/")[2]
    origin = {"registryId": match["account"], "repositoryName": match["name"]}
    with explained():
        found = ecr.batch_get_image(**origin, imageIds=[{"imageDigest": match["digest"]}])["images"]
        if not found:
            raise ProjectError(f"There is no image {source}; `make deploy` prints its address where it is deployed.")
        if not source.startswith(f"{image.repository}@"):
            manifest = json.loads(found[0]["imageManifest"])
            layers = {layer["digest"]: layer["size"] for layer in (manifest["config"], *manifest["layers"])}
            for digest in _find_lacking(ecr, name, list(layers)):
                _copy_layer(ecr, origin, name, digest, layers[digest])
            _put_image(ecr, name, found[0], image.tag)
    return f"{image.repository}@{match['digest']}"


def _find_lacking(ecr: Any, name: str, digests: list[str]) -> Iterator[str]:
    found = ecr.batch_check_layer_availability(repositoryName=name, layerDigests=digests)["layers"]
    there = {layer["layerDigest"] for layer in found if layer["layerAvailability"] == "AVAILABLE"}
    yield from (digest for digest in digests if digest not in there)


def _copy_layer(ecr: Any, origin: dict[str, str], name: str, digest: str, size: int) -> None:
    url = ecr.get_download_url_for_layer(**origin, layerDigest=digest)["downloadUrl"]
    upload, first = ecr.initiate_layer_upload(repositoryName=name), 0
    # An address of S3 that ECR has signed.
    with urlopen(url, timeout=60) as layer, shown(f"Copying {digest[7:19]}", size) as advance:  # noqa: S310
        while part := layer.read(upload["partSize"]):
            place = {"partFirstByte": first, "partLastByte": first + len(part) - 1}
            ecr.upload_layer_part(repositoryName=name, uploadId=upload["uploadId"], layerPartBlob=part, **place)
            first += len(part)
            advance(len(part))
    ecr.complete_layer_upload(repositoryName=name, uploadId=upload["uploadId"], layerDigests=[digest])


def _put_image(ecr: Any, name: str, image: dict[str, Any], tag: str) -> None:
    content = {"imageManifest": image["imageManifest"], "imageDigest": image["imageId"]["imageDigest"]}
    kind = {"imageManifestMediaType": image["imageManifestMediaType"]} if "imageManifestMediaType" in image else {}
    try:
        ecr.put_image(repositoryName=name, imageTag=tag, **content, **kind)
    except ClientError as error:
        if error_code(error) != "ImageAlreadyExistsException":
            raise
