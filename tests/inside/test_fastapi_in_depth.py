"""Requests that are answered together, and the endpoint in front of the path operation."""

import asyncio
from typing import Any

import pytest
from demo_project.modeling.model import Model
from demo_project.serving.fastapi_app import Batcher, Front, create_app
from demo_project.serving.rows import RefusedError
from demo_project.serving.service import Service
from starlette.middleware import Middleware

from .test_api import (  # noqa: F401 - fixtures among them
    KEY,
    TOO_LONG,
    Row,
    body_of,
    numbers_of,
    project,
    request,
    sample,
    service,
    untrained,
)


class PlainFront(Front):
    """Leaves `POST /predict` to the path operation."""

    async def _predict(self, *arguments: Any) -> None:
        await self._app(*arguments)


def test_the_path_operation_answers_as_the_middleware_does_by_its_function(
    service: Service, sample_rows: list[Row]
) -> None:
    fast, plain = create_app(service), create_app(service)
    plain.user_middleware = [Middleware(PlainFront, service=service)]

    def count(app: Any) -> float:
        return sample(request(app, "GET", "/metrics").text, "http_requests_total", 'route="/predict"')

    def ask(app: Any, *arguments: Any) -> tuple[Any, ...]:
        before = count(app)
        answer = request(app, *arguments)
        headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
        return answer.status_code, answer.content, headers, "x-request-id" in answer.headers, count(app) - before

    for body in (body_of(sample_rows), b"{", b"", b"[" * 50_000, TOO_LONG, body_of([{"x": 1}])):
        for key in (KEY, "wrong", None):
            assert ask(fast, "POST", "/predict", body, key) == ask(plain, "POST", "/predict", body, key)


def test_what_one_request_breaks_spoils_no_other_that_is_answered_with_it(
    service: Service, monkeypatch: pytest.MonkeyPatch, sample_rows: list[Row]
) -> None:
    score, asked = Service.score, []

    def fail_at_two(self: Service, model: Model, rows: list[Row]) -> Any:
        asked.append(len(rows))
        if sample_rows[1] in rows:
            raise RuntimeError("the disk is on fire")
        return score(self, model, rows)

    async def ask() -> list[Any]:
        batcher = Batcher(service)
        bodies = (body_of(sample_rows[2:4]), b"{", body_of(sample_rows[1:2]), body_of(sample_rows[4:5]))
        return await asyncio.gather(*map(batcher.predict, bodies), return_exceptions=True)

    good_rows = sample_rows[2:5]
    expected = [service.score(service.served, [row])[0] for row in good_rows]
    monkeypatch.setattr(Service, "score", fail_at_two)
    good, refused, failed, last = asyncio.run(ask())
    assert [type(refused), type(failed)] == [RefusedError, RuntimeError]
    assert asked[0] == 4
    answered = good[1]["predictions"] + last[1]["predictions"]
    for prediction, alone in zip(answered, expected, strict=True):
        assert prediction.get("label") == alone.get("label")
        assert numbers_of(prediction) == pytest.approx(numbers_of(alone), rel=1e-4, abs=1e-6)
