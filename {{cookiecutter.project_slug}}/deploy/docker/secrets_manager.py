"""Read a secret of AWS Secrets Manager by the standard library, so that no SDK has to start with the API."""

import hashlib
import hmac
import json
import os
from datetime import UTC, datetime
from urllib.error import HTTPError
from urllib.request import Request, urlopen

SERVICE = "secretsmanager"


def read_secret(arn: str) -> str:
    """The value of a secret. Raises OSError with the reason where it cannot be had."""
    region = arn.split(":")[3]
    host = f"{SERVICE}.{region}.amazonaws.com"
    body = json.dumps({"SecretId": arn}).encode()
    address = os.environ.get("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"https://{host}")
    request = Request(address, body, sign(host, region, body, datetime.now(UTC)))  # noqa: S310
    try:
        with urlopen(request, timeout=5) as answer:  # noqa: S310
            return str(json.load(answer)["SecretString"])
    except HTTPError as error:
        with error:
            raise OSError(f"{error.code} {error.read(300).decode(errors='replace')}") from error


def sign(host: str, region: str, body: bytes, now: datetime) -> dict[str, str]:
    """The headers of a request for a secret, signed with the credentials of the environment (Signature Version 4)."""
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    headers = {"content-type": "application/x-amz-json-1.1", "host": host, "x-amz-date": stamp}
    if token := os.environ.get("AWS_SESSION_TOKEN"):
        headers["x-amz-security-token"] = token
    headers["x-amz-target"] = f"{SERVICE}.GetSecretValue"
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    asked = "\n".join(["POST", "/", "", lines, names, hashlib.sha256(body).hexdigest()])
    scope = f"{stamp[:8]}/{region}/{SERVICE}/aws4_request"
    signed = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(asked.encode()).hexdigest()}"
    key = f"AWS4{os.environ['AWS_SECRET_ACCESS_KEY']}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    credential = f"Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
    signature = hmac.digest(key, signed.encode(), "sha256").hex()
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}"}
