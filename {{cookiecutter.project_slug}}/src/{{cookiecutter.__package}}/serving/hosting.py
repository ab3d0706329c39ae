"""What the image's `start.py` asks of the API: SageMaker's routes, and a quiet end."""

import os
# {% if cookiecutter.serving == "fastapi" %}

from starlette.types import ASGIApp, Message, Receive, Scope, Send
# {% else %}
from collections.abc import Callable
from typing import Any
# {% endif %}

from .settings import read_keys

SAGEMAKER_ROUTES = {"/ping": "/health/ready", "/invocations": "/predict"}
"""What SageMaker asks for, without a key, since it lets nobody ask whom it does not know."""


def is_hosted() -> bool:
    """Tell whether `start.py` of the image, or SageMaker, started this server."""
    return not {"DRAIN_FILE", "SAGEMAKER_BIND_TO_PORT"}.isdisjoint(os.environ)


def find_routes() -> dict[str, str]:
    """Paths that are answered as others are, with a key put in: SageMaker's where it runs the image, else none."""
    return SAGEMAKER_ROUTES if "SAGEMAKER_BIND_TO_PORT" in os.environ else {}


def is_ending() -> bool:
    """Tell whether the server is about to end, so that clients should send their next request elsewhere."""
    return os.path.exists(os.environ.get("DRAIN_FILE", ""))  # noqa: PTH110 - asked at each answer


# {% if cookiecutter.serving == "fastapi" %}
def adapt(app: ASGIApp) -> ASGIApp:
    """ASGI middleware that does both; the application itself where the server runs in no image."""
    if not is_hosted():
        return app
    routes, key = find_routes(), b"".join(key.encode() for key in read_keys()[:1])

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_ending(message: Message) -> None:
            if message["type"] == "http.response.start" and is_ending():
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        if scope.get("path") in routes:
            headers = [(name, value) for name, value in scope["headers"] if name != b"x-api-key"]
            scope = {**scope, "path": routes[scope["path"]], "headers": [*headers, (b"x-api-key", key)]}
        await app(scope, receive, send_ending)

    return answer
# {% else %}
def adapt(app: Callable[..., Any]) -> Callable[..., Any]:
    """WSGI middleware that does both; the application itself where the server runs in no image."""
    if not is_hosted():
        return app
    routes, key = find_routes(), "".join(read_keys()[:1])

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start_response(status, [*headers, ("connection", "close")] if is_ending() else headers, *more)

        if environ["PATH_INFO"] in routes:
            environ = {**environ, "PATH_INFO": routes[environ["PATH_INFO"]], "HTTP_X_API_KEY": key}
        return app(environ, start)

    return answer
# {% endif %}
