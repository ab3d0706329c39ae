"""Whether runs are logged: `config/tracking.yaml`."""

from ..config import Project, Settings, read_settings

SETTINGS_FILE = "tracking.yaml"


class TrackingSettings(Settings):
    """`config/tracking.yaml`."""

    enabled: bool = True


def read_tracking_settings(project: Project) -> TrackingSettings:
    """The settings of `config/tracking.yaml`.

    Raises:
        ProjectError: the file is missing, or has a wrong or unknown setting.
    """
    return read_settings(project.root, SETTINGS_FILE, TrackingSettings)
