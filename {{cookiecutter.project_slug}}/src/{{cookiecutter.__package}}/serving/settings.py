"""How the API is served: `config/serving.yaml`, and the environment variables."""

import os
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from ..config import Settings

SETTINGS_FILE = "serving.yaml"
KEYS_VARIABLE = "API_KEYS"


# {% if cookiecutter.monitoring == "drift" %}
class RequestLogSettings(Settings):
    """Which share of the requests is kept for `monitor`, 0 for none, and in how many bytes at most."""

    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    maximum_bytes: Annotated[int, Field(ge=10_000)] = 100_000_000


# {% endif %}
class ServingSettings(Settings):
    """`config/serving.yaml`; `serve` takes another host and port as options."""

    title: str = "Predictions"
    framework: Literal["{{ cookiecutter.serving }}"]
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    maximum_body_bytes: PositiveInt = 1_000_000
    maximum_rows: PositiveInt = 1000
    reload_seconds: PositiveFloat = 2.0
    # {% if cookiecutter.monitoring == "drift" %}
    request_log: RequestLogSettings = RequestLogSettings()
    # {% endif %}


def read_keys() -> list[str]:
    """The keys of `API_KEYS`: separated by commas, spaces around them dropped."""
    return [key.strip() for key in os.environ.get(KEYS_VARIABLE, "").split(",") if key.strip()]
