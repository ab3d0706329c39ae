"""`config/aws.yaml`, and what the infrastructure of an environment says of itself."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from .package import ProjectError, Settings, read_settings

SETTINGS_FILE = "aws.yaml"

Minutes = Annotated[int, Field(ge=1, le=28 * 24 * 60)]


class JobSettings(Settings):
    """The machine that a job of SageMaker's gets, and for how long."""

    instance_type: str = "ml.m5.large"
    volume_gigabytes: PositiveInt = 30
    maximum_minutes: Minutes = 60


class TrainingSettings(JobSettings):
    """How `make train-cloud` trains."""

    spot: bool = True
    maximum_wait_minutes: Minutes = 120

    @model_validator(mode="after")
    def leave_time_to_train(self) -> Self:
        """Refuse a wait that ends before the job may."""
        if self.spot and self.maximum_wait_minutes < self.maximum_minutes:
            raise ValueError("maximum_wait_minutes includes maximum_minutes, so it cannot be less")
        return self


# {% if cookiecutter.serving != "none" %}
class DeploymentSettings(Settings):
    """Which share of the requests a new version gets first, and how long that is watched."""

    canary_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    watch_minutes: Annotated[float, Field(ge=0)] = 5.0


# {% endif %}
class AwsSettings(Settings):
    """`config/aws.yaml`."""

    training: TrainingSettings = TrainingSettings()
    batch: JobSettings = JobSettings()
    # {% if cookiecutter.serving != "none" %}
    deployment: DeploymentSettings = DeploymentSettings()
    # {% endif %}


class Outputs(BaseModel):
    """`deploy/outputs/ENVIRONMENT.json`; a part that was switched off is empty."""

    model_config = ConfigDict(frozen=True)

    environment: str
    region: str
    account_id: str
    data_bucket: str = ""
    models_bucket: str = ""
    training_repository_url: str = ""
    training_role_arn: str = ""
    # {% if cookiecutter.serving != "none" %}
    serving_repository_url: str = ""
    function_name: str = ""
    function_alias: str = "live"
    api_url: str = ""
    api_keys_secret_arn: str = ""
    alarm_name: str = ""
    # {% endif %}

    def need(self, *names: str) -> None:
        """Raise ProjectError where one of these is empty."""
        empty = [name for name in names if not getattr(self, name)]
        if empty:
            raise ProjectError(
                f"deploy/outputs/{self.environment}.json has no {', '.join(empty)}: that part of the infrastructure is "
                f"switched off; switch it on and run `make infra-apply ENVIRONMENT={self.environment}`."
            )


def read_aws_settings(root: Path) -> AwsSettings:
    """`config/aws.yaml`. Raises ProjectError where it is missing, or has a wrong setting."""
    return read_settings(root, SETTINGS_FILE, AwsSettings)


def find_outputs(root: Path, environment: str) -> Path:
    """Where it is written what was built for an environment."""
    return root / "deploy" / "outputs" / f"{environment}.json"


def read_outputs(root: Path, environment: str) -> Outputs:
    """What was built for an environment. Raises ProjectError where that is not known."""
    path = find_outputs(root, environment)
    remedy = f"run `make infra-apply ENVIRONMENT={environment}`, which writes it"
    try:
        return Outputs.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ProjectError(f"deploy/outputs/{path.name} is not here; {remedy}.") from error
    except ValidationError as error:
        raise ProjectError(f"deploy/outputs/{path.name} is damaged; {remedy} anew.") from error
