"""How the API is served: `config/serving.yaml`."""

from typing import Annotated, Literal

from pydantic import Field

from ..config import Settings, Share

SETTINGS_FILE = "serving.yaml"


class RequestLogSettings(Settings):
    """Which share of the answered rows is kept for `monitor`, 0 for none, and in how many bytes at most."""

    share: Share = 1.0
    maximum_bytes: Annotated[int, Field(ge=10_000)] = 100_000_000


class ServingSettings(Settings):
    """`config/serving.yaml`; `serve` takes another host, port and number of workers as options."""

    title: str = "Predictions"
    framework: Literal["fastapi", "flask"]
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    workers: Annotated[int, Field(ge=1)] = 1
    maximum_body_bytes: Annotated[int, Field(ge=1)] = 1_000_000
    maximum_rows: Annotated[int, Field(ge=1)] = 1000
    reload_seconds: Annotated[float, Field(gt=0)] = 2.0
    request_log: RequestLogSettings = RequestLogSettings()
