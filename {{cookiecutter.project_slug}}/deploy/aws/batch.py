"""`make predict-cloud`: a processing job of SageMaker's scores a file with `latest`, as `predict` does here."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .account import Account, open_account
from .command import Environment, run_command
from .images import need_training_image
from .jobs import NEEDED, Job
from .package import Project, ProjectError, Registry, find_project, find_raw_files
from .settings import JobSettings, read_aws_settings
from .storage import download_file, find_settings, upload_files

PLACE = "/opt/ml/processing"

Source = Annotated[Path | None, typer.Argument(help="A .csv, .tsv or .parquet file; the first raw file if not given.")]
Output = Annotated[Path, typer.Option(help="Where to write; .csv or .parquet.")]


def score(output: Output, source: Source = None, environment: Environment = "staging") -> None:
    """Score the rows of a file on SageMaker."""
    project = find_project()
    table = source or find_raw_files(project)[0]
    if not table.is_file():
        raise ProjectError(f"{table} is not a file.")
    files = {"config": find_settings(project), "models": find_model(project), "input": {table.name: table}}
    settings = read_aws_settings(project.root).batch
    account = open_account(project.root, environment, *NEEDED)
    image = need_training_image(account, project)
    s3, outputs = account.client("s3"), account.outputs
    addresses = {name: upload_files(s3, outputs.data_bucket, f"batch/{name}", named) for name, named in files.items()}
    job = Job(account, "Processing", "batch")
    target = f"s3://{outputs.models_bucket}/scores/{job.name}"
    job.run(**make_request(account, settings, image, addresses, target, (table.name, output.name)))
    download_file(s3, f"{target}/{output.name}", output)
    print(f"{job.name}: written to {output}")


def find_model(project: Project) -> dict[str, Path]:
    """The files of `latest`, the pointer among them, by their places in `models/`. Raises ProjectError without one."""
    registry = Registry(project.models)
    version = registry.latest()
    if version is None:
        raise ProjectError("No model was promoted; run `make pipeline` first.")
    paths = [registry.pointer, *(path for path in sorted(registry.folder(version).rglob("*")) if path.is_file())]
    return {path.relative_to(project.models).as_posix(): path for path in paths}


def make_request(
    account: Account, settings: JobSettings, image: str, addresses: dict[str, str], target: str, names: tuple[str, str]
) -> dict[str, Any]:
    """What SageMaker is asked for, but for the job's name: `names` are those of the table and of what is written."""
    kind = {"S3DataType": "S3Prefix", "S3InputMode": "File"}
    sources = {
        name: {"S3Uri": address, "LocalPath": f"{PLACE}/{'' if name == 'input' else 'project/'}{name}", **kind}
        for name, address in addresses.items()
    }
    arguments = ["predict", f"{PLACE}/input/{names[0]}", "--output", f"{PLACE}/output/{names[1]}"]
    machine = {"InstanceType": settings.instance_type, "InstanceCount": 1, "VolumeSizeInGB": settings.volume_gigabytes}
    written = {"S3Uri": target, "LocalPath": f"{PLACE}/output", "S3UploadMode": "EndOfJob"}
    return {
        "AppSpecification": {"ImageUri": image, "ContainerArguments": arguments},
        "RoleArn": account.outputs.training_role_arn,
        "ProcessingInputs": [{"InputName": name, "S3Input": source} for name, source in sources.items()],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "scores", "S3Output": written}]},
        "ProcessingResources": {"ClusterConfig": machine},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60 * settings.maximum_minutes},
        "Environment": {"PROJECT_ROOT": f"{PLACE}/project"},
        "Tags": [{"Key": "environment", "Value": account.outputs.environment}],
    }


if __name__ == "__main__":
    run_command(score)
