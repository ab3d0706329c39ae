# {% if cookiecutter.serving == "fastapi" %}
"""What the image's `start.py` asks of the API: SageMaker's routes."""

import os

from starlette.types import ASGIApp, Receive, Scope, Send
# {% else %}
"""What the image's `start.py` asks of the API: SageMaker's routes, and a quiet end."""

import os
from collections.abc import Callable
from typing import Any
# {% endif %}

from .settings import read_keys

SAGEMAKER_ROUTES = {"/ping": "/health/ready", "/invocations": "/predict"}
"""What SageMaker asks for, without a key, since it lets nobody ask whom it does not know."""


def find_routes() -> dict[str, str]:
    """Paths that are answered as others are, with a key put in: SageMaker's where it runs the image, else none."""
    return SAGEMAKER_ROUTES if "SAGEMAKER_BIND_TO_PORT" in os.environ else {}


# {% if cookiecutter.serving == "fastapi" %}
def adapt(app: ASGIApp) -> ASGIApp:
    """ASGI middleware for these routes; the application itself where there are none."""
    routes, key = find_routes(), b"".join(key.encode() for key in read_keys()[:1])
    if not routes:
        return app

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") in routes:
            headers = [(name, value) for name, value in scope["headers"] if name != b"x-api-key"]
            scope = {**scope, "path": routes[scope["path"]], "headers": [*headers, (b"x-api-key", key)]}
        await app(scope, receive, send)

    return answer
# {% else %}
def is_ending() -> bool:
    """Tell whether the server is about to end, so that clients should send their next request elsewhere."""
    return os.path.exists(os.environ.get("DRAIN_FILE", ""))  # noqa: PTH110 - asked at each answer


def adapt(app: Callable[..., Any]) -> Callable[..., Any]:
    """WSGI middleware that does both; the application itself where the server runs in no image."""
    if {"DRAIN_FILE", "SAGEMAKER_BIND_TO_PORT"}.isdisjoint(os.environ):
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
