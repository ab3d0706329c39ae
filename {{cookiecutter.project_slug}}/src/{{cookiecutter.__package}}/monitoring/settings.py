"""How drift is judged: `config/monitoring.yaml`."""

from typing import Annotated

from pydantic import Field

from ..config import Settings, Share

SETTINGS_FILE = "monitoring.yaml"


class MonitoringSettings(Settings):
    """`config/monitoring.yaml`, which says what each means; a change has to be significant and large enough."""

    window_hours: Annotated[float, Field(gt=0)] = 168
    minimum_rows: Annotated[int, Field(ge=20)] = 50
    maximum_rows: Annotated[int, Field(ge=1000)] = 200_000
    false_alarm_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    minimum_psi: Annotated[float, Field(ge=0)] = 0.1
    minimum_share: Share = 0.01
    maximum_pictures: Annotated[int, Field(ge=0)] = 20
    cooldown_hours: Annotated[float, Field(ge=0)] = 24
