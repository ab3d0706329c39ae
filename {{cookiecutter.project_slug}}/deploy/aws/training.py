"""`make train-cloud`: a job of SageMaker's trains the candidate; it is evaluated and promoted here, as any other is.

The job gets the raw files and the settings of this folder, and runs the stages `data` and `train` in the image of the
present code. What it leaves, `models/candidate` and its run, takes the place of what `train` leaves here.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from .account import Account, open_account
from .command import Environment, run_command
from .images import need_training_image
from .jobs import NEEDED, Job
from .package import Project, ProjectError, find_project, find_raw_files, read_summary, staged_folder
from .settings import TrainingSettings, read_aws_settings
from .storage import download_archive, find_settings, upload_files


def train(environment: Environment = "staging") -> None:
    """Train a candidate on SageMaker; where that fails, `models/candidate` stays, and no job does."""
    project = find_project()
    settings = read_aws_settings(project.root).training
    account = open_account(project.root, environment, *NEEDED)
    read_summary(project)  # the candidate will be measured on the rows that `data` has held out
    image = need_training_image(account, project)
    raw = {path.relative_to(project.raw).as_posix(): path for path in find_raw_files(project)}
    channels = {
        name: upload_files(account.client("s3"), account.outputs.data_bucket, name, files)
        for name, files in {"raw": raw, "config": find_settings(project)}.items()
    }
    job = Job(account, "Training", "training")
    described = job.run(**make_request(account, settings, image, channels))
    bring_back(account, project, job.name, described["ModelArtifacts"]["S3ModelArtifacts"])
    print(f"models/candidate is now that of {job.name}")


def make_request(account: Account, settings: TrainingSettings, image: str, channels: dict[str, str]) -> dict[str, Any]:
    """What SageMaker is asked for, but for the job's name; `channels` are addresses of folders."""
    limits = {"MaxRuntimeInSeconds": 60 * settings.maximum_minutes}
    if settings.spot:
        limits["MaxWaitTimeInSeconds"] = 60 * settings.maximum_wait_minutes
    inputs = [
        {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": address}}}
        for name, address in channels.items()
    ]
    machine = {"InstanceType": settings.instance_type, "InstanceCount": 1, "VolumeSizeInGB": settings.volume_gigabytes}
    return {
        "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
        "RoleArn": account.outputs.training_role_arn,
        "InputDataConfig": inputs,
        "OutputDataConfig": {"S3OutputPath": f"s3://{account.outputs.models_bucket}/jobs"},
        "ResourceConfig": machine,
        "StoppingCondition": limits,
        "EnableManagedSpotTraining": settings.spot,
        "Environment": {"TRAIN_ONLY": "1"},
        "Tags": [{"Key": "environment", "Value": account.outputs.environment}],
    }


def bring_back(account: Account, project: Project, job: str, address: str) -> None:
    """Put the candidate that a job left, and its run, where `train` puts them."""
    with tempfile.TemporaryDirectory() as folder:
        brought = Path(folder)
        download_archive(account.client("s3"), address, brought)
        if not (brought / "candidate").is_dir():
            raise ProjectError(f"{job} left no candidate in {address}; its image is not of this project.")
        with staged_folder(project.candidate) as candidate:
            shutil.copytree(brought / "candidate", candidate, dirs_exist_ok=True)
        if (brought / "runs").is_dir():
            shutil.copytree(brought / "runs", project.reports / "runs", dirs_exist_ok=True)


if __name__ == "__main__":
    run_command(train)
