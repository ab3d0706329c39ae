"""Start the image wherever it runs: a laptop, Kubernetes, SageMaker, Lambda.

`serve` (or no argument) starts the API on all addresses. SageMaker names the port. Under Lambda's runtime, the API
listens on this machine alone, and this process hands each event to it over HTTP: the same code answers everywhere.
`check` is the image's health check. Standard library alone.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

COMMAND = "{{ cookiecutter.project_slug }}"
PORT = os.environ.get("SAGEMAKER_BIND_TO_PORT", os.environ.get("PORT", "8000"))
RUNTIME = os.environ.get("AWS_LAMBDA_RUNTIME_API")


def main() -> None:
    """Check, bridge to Lambda, or become the API."""
    if sys.argv[1:] == ["check"]:
        check()
    elif RUNTIME:
        answer_events(RUNTIME)
    elif sys.argv[1:] in ([], ["serve"]):
        os.execvp(COMMAND, [COMMAND, "serve", "--host", "0.0.0.0", "--port", PORT])  # noqa: S104, S606
    else:
        os.execvp(COMMAND, [COMMAND, *sys.argv[1:]])  # noqa: S606


def check() -> None:
    """Exit with an error unless the API is ready."""
    try:
        urlopen(f"http://127.0.0.1:{PORT}/health/ready", timeout=2).close()
    except URLError as error:
        sys.exit(f"not ready: {error}")


def answer_events(runtime: str) -> None:
    """Hand each event of an HTTP API or a function URL to the API; for ever."""
    server = subprocess.Popen([COMMAND, "serve", "--host", "127.0.0.1", "--port", PORT])
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    wait_until_ready(server)
    base = f"http://{runtime}/2018-06-01/runtime/invocation"
    while server.poll() is None:
        with urlopen(f"{base}/next") as message:
            event, request_id = json.load(message), message.headers["Lambda-Runtime-Aws-Request-Id"]
        answer = json.dumps(ask(event)).encode()
        urlopen(Request(f"{base}/{request_id}/response", answer), timeout=10).close()
    sys.exit(server.returncode)


def wait_until_ready(server: "subprocess.Popen[bytes]") -> None:
    """Wait for the API's first answer; exit where it ends before."""
    while server.poll() is None:
        try:
            urlopen(f"http://127.0.0.1:{PORT}/health/live", timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    sys.exit(server.returncode or 1)


def ask(event: dict[str, Any]) -> dict[str, Any]:
    """The API's answer to an event in version 2.0 of the payload format."""
    http = event["requestContext"]["http"]
    query = event.get("rawQueryString")
    body = event.get("body") or ""
    content = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    connection = HTTPConnection("127.0.0.1", int(PORT), timeout=30)
    target = event["rawPath"] + (f"?{query}" if query else "")
    connection.request(http["method"], target, content, event.get("headers", {}))
    answer = connection.getresponse()
    return {
        "statusCode": answer.status,
        "headers": {name.lower(): value for name, value in answer.getheaders()},
        "body": base64.b64encode(answer.read()).decode(),
        "isBase64Encoded": True,
    }


if __name__ == "__main__":
    main()
