"""Start the API wherever its image runs: a laptop, Kubernetes, SageMaker, Lambda.

Without an argument, or with `serve`, it starts the API and stays before it: when told to stop, it lets clients learn of
that elsewhere, and only then ends the API. Under Lambda's runtime it hands events to the API by HTTP,
so that the same code answers everywhere. `check` is the health check; anything else is a command of the package.
Needs the standard library alone.
"""

import base64
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen
# {% if cookiecutter.cloud != "none" %}

from secrets_manager import read_secret
# {% endif %}

COMMAND = [sys.executable, "-m", "{{ cookiecutter.__package }}"]
LAMBDA = os.environ.get("AWS_LAMBDA_RUNTIME_API")
SAGEMAKER = Path("/opt/ml")
IS_SAGEMAKER = "SAGEMAKER_BIND_TO_PORT" in os.environ or SAGEMAKER.exists()
PORT = os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080") if IS_SAGEMAKER else os.environ.get("PORT", "8000")
DRAIN_SECONDS = float(os.environ.get("DRAIN_SECONDS", "2"))
DRAIN_FILE = Path(tempfile.gettempdir(), "draining")
MARGIN_SECONDS = 0.5
"""What is left of Lambda's time limit to say that it was reached."""

Json = dict[str, Any]


def main() -> None:
    """Do what the arguments ask for."""
    match sys.argv[1:]:
        case ["check"]:
            sys.exit(0 if is_answered("/health/ready") else "not ready")
        case [] | ["serve"]:
            serve()
        case arguments:
            os.execv(COMMAND[0], [*COMMAND, *arguments])  # noqa: S606 - what the caller asks for


def serve() -> None:
    """Run the API until it ends, or until this process is told to stop."""
    # {% if cookiecutter.cloud != "none" %}
    if LAMBDA and (secret := os.environ.get("API_KEYS_SECRET")):
        try:
            os.environ["API_KEYS"] = read_secret(secret)
        except OSError as error:
            refuse_start(LAMBDA, f"The API keys in {secret} cannot be read: {error}")
    # {% endif %}
    has_keys = bool(os.environ.get("API_KEYS", "").strip(", "))
    if LAMBDA and not has_keys:
        refuse_start(LAMBDA, "API_KEYS is empty: set it in the function's environment to one or more keys.")
    if IS_SAGEMAKER:
        # Who may ask is SageMaker's affair, which sends no key; the others' routes want one.
        os.environ.setdefault("SAGEMAKER_BIND_TO_PORT", PORT)
        os.environ["API_KEYS"] = os.environ["API_KEYS"] if has_keys else secrets.token_urlsafe(32)
        os.environ["PROJECT_ROOT"] = find_project()
    DRAIN_FILE.unlink(missing_ok=True)
    os.environ["DRAIN_FILE"] = str(DRAIN_FILE)
    address = "127.0.0.1" if LAMBDA else "0.0.0.0"  # noqa: S104 - the container's own
    command = [*COMMAND, "serve", "--host", address, "--port", PORT]
    api = subprocess.Popen(command)  # noqa: S603
    signal.signal(signal.SIGTERM, lambda *_: drain(api))
    signal.signal(signal.SIGINT, lambda *_: None)  # a terminal's Ctrl-C reaches the API by itself
    if LAMBDA:
        answer_events(LAMBDA, api)
    status = api.wait()
    sys.exit(0 if status == -signal.SIGTERM else abs(status))


def drain(api: "subprocess.Popen[bytes]") -> None:
    """Let clients go elsewhere with their next request, then end the API, which finishes those under way."""
    with suppress(OSError):  # nothing can be written here: connections are closed without notice
        DRAIN_FILE.touch()
    time.sleep(DRAIN_SECONDS)
    api.terminate()


def find_project() -> str:
    """The image's project; where SageMaker brings a model, one of the same settings with that model."""
    project = Path(os.environ["PROJECT_ROOT"])
    models = SAGEMAKER / "model"
    if not (models / "latest" / "pointer.json").exists():
        return str(project)
    brought = Path(tempfile.mkdtemp())
    (brought / "config").symlink_to(project / "config")
    (brought / "models").symlink_to(models)
    return str(brought)


def is_answered(path: str) -> bool:
    """Tell whether the API answers a request with success."""
    with suppress(OSError):
        urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=2).close()
        return True
    return False


def answer_events(runtime: str, api: "subprocess.Popen[bytes]") -> None:
    """Hand each event to the API, and its answer to Lambda, until the API ends."""
    while not is_answered("/health/live"):
        if api.poll() is not None:
            refuse_start(runtime, f"The API ended with exit code {api.returncode}; its log says why.")
        time.sleep(0.02)
    while api.poll() is None:
        with urlopen(f"http://{runtime}/2018-06-01/runtime/invocation/next") as message:
            event, headers = json.load(message), message.headers
        seconds = int(headers["Lambda-Runtime-Deadline-Ms"]) / 1000 - time.time() - MARGIN_SECONDS
        place = f"invocation/{headers['Lambda-Runtime-Aws-Request-Id']}"
        try:
            tell(runtime, f"{place}/response", ask(event, max(seconds, MARGIN_SECONDS)))
        except HTTPError as error:  # an answer of more than six megabytes
            tell(runtime, f"{place}/error", make_error("Answer", f"Lambda does not take the answer: {error}"))
        except (KeyError, TypeError, ValueError) as error:
            tell(runtime, f"{place}/error", make_error("Event", f"Not an HTTP event, format 2.0: {error!r}"))


def refuse_start(runtime: str, message: str) -> None:
    """Tell Lambda why nothing can be answered, and exit."""
    tell(runtime, "init/error", make_error("Start", message))
    sys.exit(f"error: {message}")


def tell(runtime: str, place: str, content: Json) -> None:
    """Send something to Lambda's runtime."""
    request = Request(f"http://{runtime}/2018-06-01/runtime/{place}", json.dumps(content).encode())
    urlopen(request, timeout=10).close()  # noqa: S310


def make_error(kind: str, message: str) -> Json:
    """An error in the form of Lambda."""
    return {"errorType": kind, "errorMessage": message, "stackTrace": []}


def ask(event: Json, seconds: float) -> Json:
    """The API's answer to an event of an HTTP API or a function URL, format 2.0; 502 or 504 where it has none."""
    http, query, body = event["requestContext"]["http"], event.get("rawQueryString"), event.get("body") or ""
    stage = event["requestContext"].get("stage", "$default")
    path = event["rawPath"].removeprefix("" if stage == "$default" else f"/{stage}") or "/"
    content = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    # The length is that of what is sent here; several values of one header come joined by commas.
    headers = {name: value for name, value in event["headers"].items() if name.lower() != "content-length"}
    if event.get("cookies"):
        headers["cookie"] = "; ".join(event["cookies"])
    api = HTTPConnection("127.0.0.1", int(PORT), timeout=seconds)
    try:
        api.request(http["method"], quote(path, safe="/%") + (f"?{query}" if query else ""), content, headers)
        answer = api.getresponse()
        return translate(answer.status, answer.getheaders(), answer.read())
    except TimeoutError:
        return fail(504, "No answer within the function's time limit")
    except (OSError, HTTPException):
        return fail(502, "The API gave no answer")
    finally:
        api.close()


def translate(status: int, headers: list[tuple[str, str]], body: bytes) -> Json:
    """An answer in format 2.0: text as it is, other bytes in base64, cookies apart."""
    joined: dict[str, str] = {}
    for name, value in ((name.lower(), value) for name, value in headers):
        if name != "set-cookie":
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
    cookies = [value for name, value in headers if name.lower() == "set-cookie"]
    answer: Json = {"statusCode": status, "headers": joined, "cookies": cookies}
    try:
        return answer | {"body": body.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return answer | {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def fail(status: int, detail: str) -> Json:
    """An error in the form of the API's own."""
    body = json.dumps({"detail": detail, "errors": []}).encode()
    return translate(status, [("content-type", "application/json")], body)


if __name__ == "__main__":
    main()
