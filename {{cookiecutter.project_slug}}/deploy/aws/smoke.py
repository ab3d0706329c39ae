"""What a version must answer before anybody is sent to it: a real prediction with a key, and 401 without."""

import json
import time
from collections.abc import Callable
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from .account import Account
from .package import Project, ProjectError, Registry, example_row

PATH = "/predict"
SETTLING_SECONDS = 10.0
"""For so long the former version may answer after the alias has moved."""

Ask = Callable[[bytes, dict[str, str]], tuple[int, bytes]]
"""Sends a body with headers to `PATH`; the status and the answer."""


def try_version(account: Account, project: Project, version: str) -> None:
    """Invoke a version of the function itself, whether or not it gets requests. Raises ProjectError where it fails."""

    def ask(body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        name, event = account.outputs.function_name, make_event(body, headers)
        answer = account.client("lambda").invoke(FunctionName=name, Qualifier=version, Payload=event)
        content = json.loads(answer["Payload"].read())
        if "FunctionError" in answer or "statusCode" not in content:
            raise ProjectError(f"Version {version} does not answer: {content.get('errorMessage', content)}")
        return content["statusCode"], content.get("body", "").encode()

    _try(account, project, ask, f"version {version}")


def try_address(account: Account, project: Project) -> None:
    """Ask at the API's public address, until what was changed has reached it. Raises ProjectError where it does not."""
    url = account.outputs.api_url.rstrip("/") + PATH

    def ask(body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        try:
            with urlopen(Request(url, body, headers), timeout=30) as answer:  # noqa: S310 - the infrastructure's own
                return answer.status, answer.read()
        except HTTPError as refusal:
            return refusal.code, refusal.read()
        except OSError as error:
            raise ProjectError(f"{url} does not answer: {error}") from error

    deadline = time.monotonic() + SETTLING_SECONDS
    while True:
        try:
            return _try(account, project, ask, url)
        except ProjectError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def make_event(body: bytes, headers: dict[str, str]) -> bytes:
    """A request as an HTTP API hands it to the function, payload format 2.0."""
    http = {"method": "POST", "path": PATH, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "smoke test"}
    context = {"http": http, "stage": "$default", "requestId": "smoke"}
    event = {"version": "2.0", "routeKey": "$default", "rawPath": PATH, "rawQueryString": "", "headers": headers}
    return json.dumps({**event, "requestContext": context, "body": body.decode(), "isBase64Encoded": False}).encode()


def read_key(account: Account) -> str:
    """The first of the API's keys, as its secret has them: separated by commas."""
    secret = account.outputs.api_keys_secret_arn
    found = account.client("secretsmanager").get_secret_value(SecretId=secret).get("SecretString", "")
    for key in filter(None, map(str.strip, found.split(","))):
        return str(key)
    raise ProjectError(f"The secret {secret} has no key; put one in.")


def _try(account: Account, project: Project, ask: Ask, place: str) -> None:
    registry = Registry(project.models)
    version = registry.latest() or ""
    manifest = registry.manifest(version)
    body = json.dumps({"rows": [example_row(manifest.table, manifest.typical)]}).encode()
    headers = {"content-type": "application/json"}
    status, answer = ask(body, headers)
    if status != 401:
        raise ProjectError(f"Without a key, {place} answered {status} in place of 401; it must not go into service.")
    status, answer = ask(body, headers | {"x-api-key": read_key(account)})
    if status != 200:
        raise ProjectError(f"To a prediction, {place} answered {status}: {answer[:300].decode(errors='replace')}")
    found = json.loads(answer).get("model_version")
    if found != version:
        raise ProjectError(f"The prediction of {place} is by model {found}, but models/latest is {version}.")
