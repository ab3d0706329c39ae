"""AWS on loopback: moto's server, with jobs and functions that really run, on the port that it is given.

Training and processing jobs run what a generated project's images would, by SageMaker's contract: files and
logs go over S3 and CloudWatch. An invoked function asks an API on loopback, as the image does under Lambda.
It runs in moto's environment, by `uv tool run`, and reads:

- `EMULATED_PROJECT`: the generated project, and `EMULATED_PYTHON`: the interpreter of its environment;
- `EMULATED_API_PORT`: where the project's API listens.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaBackend
from moto.awslambda.responses import LambdaResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.iam import iam_backends
from moto.sagemaker.exceptions import SagemakerClientError
from moto.sagemaker.responses import SageMakerResponse
from moto.server import main

Json = dict[str, Any]

NO_QUOTA = "ml.p5.48xlarge"
"""A machine that nobody here may have."""

PORT = sys.argv[1] if len(sys.argv) > 1 else "5000"
jobs: dict[str, Job] = {}


def client(service: str) -> Any:
    """Return a client of this very server."""
    keys = {"aws_access_key_id": "emulator", "aws_secret_access_key": "emulator"}
    return boto3.client(service, endpoint_url=f"http://127.0.0.1:{PORT}", region_name="eu-central-1", **keys)


@dataclass
class Job:
    """A job under way; `kind` is Training or Processing."""

    kind: str
    request: Json
    status: str = "InProgress"
    state: str = "Starting"
    reason: str = ""
    process: subprocess.Popen[str] | None = None
    is_stopped: bool = False
    folder: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)

    @property
    def name(self) -> str:
        return str(self.request[f"{self.kind}JobName"])

    @property
    def seconds(self) -> float:
        return float(self.request["StoppingCondition"]["MaxRuntimeInSeconds"])

    def describe(self) -> Json:
        """What `describe_…_job` says."""
        said = {
            **self.request,
            f"{self.kind}JobStatus": self.status,
            "CreationTime": 0,
            "LastModifiedTime": 0,
        }
        said[f"{self.kind}JobArn"] = f"arn:aws:sagemaker:eu-central-1:123456789012:job/{self.name}"
        reason = (
            {("FailureReason" if self.kind == "Training" else "ExitMessage"): self.reason}
            if self.reason
            else {}
        )
        if self.kind == "Training":
            said |= {"SecondaryStatus": self.state, "ModelArtifacts": {"S3ModelArtifacts": self.model}}
        return said | reason

    @property
    def model(self) -> str:
        return f"{self.request['OutputDataConfig']['S3OutputPath']}/{self.name}/output/model.tar.gz"

    def run(self) -> None:
        """Do the work, whatever becomes of it."""
        try:
            (self.train if self.kind == "Training" else self.process_files)()
        except Exception as error:  # it belongs into the job's end, as everything that goes wrong does
            self.end("Failed", "Failed", f"InternalServerError: {error!r}")

    def train(self) -> None:
        """Run the training image's entry point on a folder like /opt/ml."""
        root = Path(self.folder.name)
        for folder in ("input/config", "output", "model"):
            (root / folder).mkdir(parents=True)
        (root / "input" / "config" / "hyperparameters.json").write_text(
            json.dumps(self.request.get("HyperParameters") or {}), encoding="utf-8"
        )
        self.state = "Downloading"
        for channel in self.request["InputDataConfig"]:
            place = root / "input" / "data" / channel["ChannelName"]
            download(channel["DataSource"]["S3DataSource"]["S3Uri"], place)
        self.state = "Training"
        variables = {**(self.request.get("Environment") or {}), "SAGEMAKER_BASE_DIR": str(root)}
        status = self.execute(["train"], variables)
        if status == 0:
            self.state = "Uploading"
            upload(make_archive(root / "model"), self.model)
        self.conclude(status, root / "output" / "failure")

    def process_files(self) -> None:
        """Run a command of the training image on files that were brought to where the request wants them."""
        root = Path(self.folder.name)

        def moved(path: str) -> str:
            return path.replace("/opt/ml/processing", str(root))

        for each in self.request.get("ProcessingInputs") or ():
            download(each["S3Input"]["S3Uri"], Path(moved(each["S3Input"]["LocalPath"])))
        outputs = [each["S3Output"] for each in self.request["ProcessingOutputConfig"]["Outputs"]]
        for each in outputs:
            Path(moved(each["LocalPath"])).mkdir(parents=True, exist_ok=True)
        command = [moved(word) for word in self.request["AppSpecification"].get("ContainerArguments") or ()]
        given = self.request.get("Environment") or {}
        status = self.execute(command, {name: moved(value) for name, value in given.items()})
        for each in outputs if status == 0 else ():
            for path in sorted(Path(moved(each["LocalPath"])).rglob("*")):
                if path.is_file():
                    upload(path, f"{each['S3Uri'].rstrip('/')}/{path.name}")
        self.conclude(status, root / "none")

    def execute(self, arguments: list[str], variables: dict[str, str]) -> int:
        """Run the image's entry point until it ends or its time is over; its log goes to CloudWatch."""
        project = Path(os.environ["EMULATED_PROJECT"])
        command = [os.environ["EMULATED_PYTHON"], str(project / "deploy" / "docker" / "train.py"), *arguments]
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment = {"PROJECT_ROOT": str(project), "PYTHONUNBUFFERED": "1", **kept, **variables}
        streams: Json = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
        with subprocess.Popen(command, env=environment, **streams) as process:
            self.process = process
            if self.is_stopped:
                process.terminate()
            timer = threading.Timer(self.seconds, process.terminate)
            timer.start()
            started = time.monotonic()
            self.write_log(process.stdout)
            status = process.wait()
            timer.cancel()
        if time.monotonic() - started > self.seconds:
            self.state = "MaxRuntimeExceeded"
        return status

    def write_log(self, lines: Any) -> None:
        """Send lines to where SageMaker logs."""
        logs, group, stream = client("logs"), f"/aws/sagemaker/{self.kind}Jobs", f"{self.name}/algo-1-1"
        if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        for line in lines:
            event = {"timestamp": int(time.time() * 1000), "message": line.rstrip("\n") or " "}
            logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])

    def conclude(self, status: int, failure: Path) -> None:
        """Say how it ended."""
        if self.is_stopped:
            self.end("Stopped", "Stopped")
        elif self.state == "MaxRuntimeExceeded":
            self.end("Stopped", "MaxRuntimeExceeded")
        elif status:
            text = failure.read_text(encoding="utf-8") if failure.exists() else ""
            self.end("Failed", "Failed", f"AlgorithmError: {text}, exit code: {status}")
        else:
            self.end("Completed", "Completed")

    def end(self, status: str, state: str, reason: str = "") -> None:
        """Set what is said last."""
        self.reason, self.state, self.status = reason, state, status
        self.folder.cleanup()

    def stop(self) -> None:
        """End it as SageMaker does."""
        self.is_stopped = True
        if self.status == "InProgress":
            self.status, self.state = "Stopping", "Stopping"
        if self.process is not None:
            self.process.terminate()


def download(address: str, place: Path) -> None:
    """Bring all under an address of S3, in its folders, or the one object that it names."""
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    found = client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())
    assert found, f"nothing under {address}"
    for item in found:
        file = place / (item["Key"].removeprefix(prefix).lstrip("/") or Path(prefix).name)
        file.parent.mkdir(parents=True, exist_ok=True)
        client("s3").download_file(bucket, item["Key"], str(file))


def upload(file: Path, address: str) -> None:
    """Send a file."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    client("s3").upload_file(str(file), bucket, key)


def make_archive(folder: Path) -> Path:
    """Pack a folder as SageMaker packs /opt/ml/model."""
    target = folder.with_name("model.tar.gz")
    with tarfile.open(target, "w:gz") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
    return target


def creating(kind: str) -> Callable[[SageMakerResponse], ActionResult]:
    """Return what starts a job."""

    def create(self: SageMakerResponse) -> ActionResult:
        request = json.loads(self.body)
        machine = request.get("ResourceConfig") or request["ProcessingResources"]["ClusterConfig"]
        if machine["InstanceType"] == NO_QUOTA:
            raise SagemakerClientError(
                "ResourceLimitExceeded",
                f"The account-level service limit '{NO_QUOTA} for use' is 0 Instances.",
            )
        roles = iam_backends[self.current_account]["aws"].roles.values()
        if request["RoleArn"] not in {role.arn for role in roles}:
            raise SagemakerClientError(
                "ValidationException",
                f"Could not assume role {request['RoleArn']}. Please ensure that it exists.",
            )
        job = jobs[request[f"{kind}JobName"]] = Job(kind, request)
        threading.Thread(target=job.run, daemon=True).start()
        return ActionResult({f"{kind}JobArn": job.describe()[f"{kind}JobArn"]})

    return create


def find_job(response: SageMakerResponse, kind: str) -> Job:
    """Return the job that a request names."""
    name = json.loads(response.body)[f"{kind}JobName"]
    if name not in jobs:
        raise SagemakerClientError("ValidationException", "Requested resource not found.")
    return jobs[name]


def describing(kind: str) -> Callable[[SageMakerResponse], ActionResult]:
    """Return what tells how a job fares."""
    return lambda self: ActionResult(find_job(self, kind).describe())


def stopping(kind: str) -> Callable[[SageMakerResponse], ActionResult]:
    """Return what stops a job."""

    def stop(self: SageMakerResponse) -> ActionResult:
        job = find_job(self, kind)
        if job.status != "InProgress":
            raise SagemakerClientError(
                "ValidationException", "The request was rejected because the job is in status " + job.status
            )
        job.stop()
        return EmptyResult()

    return stop


def load_start() -> Any:
    """Return the module by which the project's image answers events."""
    os.environ["PORT"] = os.environ["EMULATED_API_PORT"]
    file = Path(os.environ["EMULATED_PROJECT"]) / "deploy" / "docker" / "start.py"
    specification = importlib.util.spec_from_file_location("start", file)
    assert specification is not None
    assert specification.loader is not None
    sys.path.append(str(file.parent))  # where the script finds its neighbours in the image
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def invoke(self: LambdaBackend, name: str, qualifier: str, body: Any, *_: Any) -> str:
    """Answer an event with what the API answers."""
    self.get_function(name, qualifier)
    return json.dumps(load_start().ask(json.loads(body), 20))


def publishing(publish: Callable[..., Any]) -> Callable[..., Any]:
    """Return what publishes a version once, also where it is the first one, of which moto makes two."""

    def publish_version(self: LambdaBackend, name: str, *rest: Any, **more: Any) -> Any:
        version = publish(self, name, *rest, **more)
        self.get_function(name).code_or_config_updated = False
        return version

    return publish_version


def guarded(update: Callable[[LambdaResponse], Any]) -> Callable[[LambdaResponse], Any]:
    """Return an update of an alias that refuses who does not know its present state, which moto forgets."""

    def update_alias(self: LambdaResponse) -> Any:
        path = self.path.split("/")
        alias = self.backend.get_alias(name=path[-1], function_name=path[-3])
        if json.loads(self.body).get("RevisionId", alias.revision_id) != alias.revision_id:
            raise LambdaClientError("PreconditionFailedException", "The RevisionId is not the latest one.")
        alias.revision_id = os.urandom(8).hex()
        return update(self)

    return update_alias


for each in ("Training", "Processing"):
    for action, make in {"create": creating, "describe": describing, "stop": stopping}.items():
        setattr(SageMakerResponse, f"{action}_{each.lower()}_job", make(each))
LambdaBackend.invoke = invoke
LambdaBackend.publish_version = publishing(LambdaBackend.publish_version)
LambdaResponse.update_alias = guarded(LambdaResponse.update_alias)

if __name__ == "__main__":
    main(["-H", "127.0.0.1", "-p", PORT])
