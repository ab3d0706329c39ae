"""`train --on sagemaker`: a job trains the candidate; it is evaluated and promoted here, as any other is.

The job gets the raw files and the settings of this folder, and runs the stages `data` and `train` in the image of the
present code. What it leaves, `models/candidate` and its run, takes the place of what `train` leaves here.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from .account import Account, explained, open_account
from .images import need_training_image
from .jobs import Job, check_end, name_job
from .package import Project, ProjectError, find_raw_files, read_summary, staged_folder
from .settings import TrainingSettings, read_aws_settings, read_outputs
from .storage import download_archive, find_settings, upload_files


def train_on_sagemaker(project: Project, environment: str) -> str:
    """Train a candidate in the account of an environment; the job's name.

    Raises ProjectError where something that it needs is missing, or the job has failed; `models/candidate` then stays,
    and so does no job.
    """
    settings, outputs = read_aws_settings(project.root).training, read_outputs(project.root, environment)
    outputs.need("data_bucket", "models_bucket", "training_repository_url", "training_role_arn")
    read_summary(project)  # the candidate will be measured on the rows that `data` has held out
    account = open_account(outputs)
    image = need_training_image(account, project)
    with explained():
        channels = {
            name: upload_files(account.s3, outputs.data_bucket, name, files)
            for name, files in {"raw": _find_raw(project), "config": find_settings(project)}.items()
        }
    job = Job(account, "Training", name_job())
    described = job.run(**make_request(account, settings, image, channels))
    check_end(described, "Training", job.name, "training")
    with explained():
        bring_back(account, project, job.name, described["ModelArtifacts"]["S3ModelArtifacts"])
    return job.name


def make_request(account: Account, settings: TrainingSettings, image: str, channels: dict[str, str]) -> dict[str, Any]:
    """What SageMaker is asked for, but for the job's name; `channels` are addresses of folders."""
    limits = {"MaxRuntimeInSeconds": 60 * settings.maximum_minutes}
    if settings.spot:
        limits["MaxWaitTimeInSeconds"] = 60 * settings.maximum_wait_minutes
    machine = {"InstanceType": settings.instance_type, "InstanceCount": 1, "VolumeSizeInGB": settings.volume_gigabytes}
    return {
        "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
        "RoleArn": account.outputs.training_role_arn,
        "InputDataConfig": [_describe_channel(name, address) for name, address in channels.items()],
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
        download_archive(account.s3, address, brought)
        if not (brought / "candidate").is_dir():
            raise ProjectError(f"{job} left no candidate in {address}; its image is not of this project.")
        with staged_folder(project.candidate) as candidate:
            shutil.copytree(brought / "candidate", candidate, dirs_exist_ok=True)
        if (brought / "runs").is_dir():
            shutil.copytree(brought / "runs", project.reports / "runs", dirs_exist_ok=True)


def _find_raw(project: Project) -> dict[str, Path]:
    return {path.relative_to(project.raw).as_posix(): path for path in find_raw_files(project)}


def _describe_channel(name: str, address: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": address, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}
