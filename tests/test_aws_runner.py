"""A generated project trains and is deployed on AWS, as `aws_jobs_emulator.py` stands in for it.

Jobs run the image's entry point for real, and the API that a deploy tries is the project's own.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from baking import BakedProject, Oven
from conftest import Shared
from emulators import UV_TOOL, running
from running import environment, free_port, served

pytestmark = pytest.mark.slow

KEY = "a-key-for-the-tests"
ALARM = "demo-errors"
ANSWERS = {"cloud": "aws", "serving": "fastapi", "data_versioning": "none", "tracking": "local"}

CALL = """
import boto3, json, sys
service, action, request = sys.argv[1:]
answer = getattr(boto3.client(service, region_name="eu-central-1"), action)(**json.loads(request))
print(json.dumps(answer, default=str))
"""

DOCKER = """#!{python}
import boto3, hashlib, json, pathlib, sys
arguments = sys.argv[1:]
given = sys.stdin.read() if "--password-stdin" in arguments else ""
with pathlib.Path({log!r}).open("a") as file:
    file.write(json.dumps([arguments, given]) + "\\n")
if arguments[0] == "push":
    repository, _, tag = arguments[1].partition("/")[2].partition(":")
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    # Without layers, moto gives an image one of a hundred digests by chance, so that two may be one.
    manifest = json.dumps({{"schemaVersion": 2, "mediaType": kind, "layers": [{{"digest": tag}}]}})
    ecr = boto3.client("ecr", region_name="eu-central-1")
    ecr.put_image(repositoryName=repository, imageManifest=manifest, imageTag=tag)
"""
"""What stands in for Docker: it writes down what it was asked, and a push makes an image in ECR."""


def test_the_images_are_pushed_once_and_the_password_is_no_argument(cloud: Cloud) -> None:
    first, again = cloud.make("push-images"), cloud.make("push-images")
    digests = [line for line in first.splitlines() if "@sha256:" in line]
    assert len(digests) == 2
    assert [line for line in again.splitlines() if "@sha256:" in line] == digests
    asked = [json.loads(line) for line in cloud.asked_of_docker.read_text(encoding="utf-8").splitlines()]
    assert [arguments[0] for arguments, _ in asked] == ["build", "login", "push", "logout"] * 2
    logins = [(arguments, given) for arguments, given in asked if arguments[0] == "login"]
    assert all(given and given not in " ".join(arguments) for arguments, given in logins)


def test_a_change_that_is_not_committed_makes_no_image(cloud: Cloud) -> None:
    path = cloud.project.path / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\n# mine\n", encoding="utf-8")
    try:
        assert "git does not have pyproject.toml as it is; commit first" in cloud.refuse("push-images")
    finally:
        path.write_text(text, encoding="utf-8")


def test_a_job_makes_the_very_candidate_that_is_made_here(cloud: Cloud) -> None:
    printed = cloud.make("train-cloud")
    assert "ONNX agrees with scikit-learn" in printed
    assert "models/latest stays v1: the same data and settings gave the same model" in printed


def test_a_job_scores_a_file_as_it_is_scored_here(cloud: Cloud) -> None:
    cloud.make("predict", "OUTPUT=here.csv")
    assert "written to there.csv" in cloud.make("predict-cloud", "OUTPUT=there.csv")
    here, there = ((cloud.project.path / name).read_bytes() for name in ("here.csv", "there.csv"))
    assert here == there


def test_the_settings_here_are_those_of_the_job(cloud: Cloud) -> None:
    runs = [*(cloud.project.path / "reports" / "runs").iterdir()]
    change(cloud.project, "model.yaml", "estimator: logistic_regression", "estimator: random_forest")
    try:
        cloud.run("data")
        printed = cloud.project.run(cloud.python, "-m", "deploy.aws.training", **cloud.variables)
        assert "models/candidate is now that of demo-" in printed
        manifest = json.loads((cloud.project.path / "models" / "candidate" / "manifest.json").read_bytes())
        assert manifest["estimator"] == "random_forest"
        assert "Test balanced_accuracy" in cloud.run("evaluate")
        assert len([*(cloud.project.path / "reports" / "runs").iterdir()]) == len(runs) + 1
    finally:
        change(cloud.project, "model.yaml", "estimator: random_forest", "estimator: logistic_regression")


def test_a_job_that_fails_says_why_and_leaves_the_candidate(cloud: Cloud) -> None:
    candidate = (cloud.project.path / "models" / "candidate" / "manifest.json").read_bytes()
    change(cloud.project, "model.yaml", "hyperparameters:\n", "hyperparameters:\n  no_such: 1\n")
    try:
        printed = cloud.refuse("train-cloud")
    finally:
        change(cloud.project, "model.yaml", "hyperparameters:\n  no_such: 1\n", "hyperparameters:\n")
    assert "no_such" in printed.rpartition("error: ")[2]
    assert (cloud.project.path / "models" / "candidate" / "manifest.json").read_bytes() == candidate


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_leaves_no_job(cloud: Cloud, number: signal.Signals) -> None:
    slug = cloud.project.slug
    with started(cloud, cloud.python, "-m", "deploy.aws.training") as training:
        seen = read_until(training, f"{slug}-")
        training.send_signal(number)
        left = training.stdout.read() if training.stdout else ""
    assert training.returncode
    assert f"Asked SageMaker to stop {slug}-" in left, seen + left
    assert "Traceback" not in left
    name = seen.splitlines()[-1].partition(":")[0]
    assert wait_for_end(cloud, name) == "Stopped"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "training:\n  instance_type: ml.m5.large",
            "training:\n  instance_type: ml.p5.48xlarge",
            "Service Quotas",
        ),
        ("maximum_wait_minutes: 120", "maximum_wait_minutes: 30", "cannot be less"),
    ],
)
def test_what_cannot_start_says_what_to_change(cloud: Cloud, old: str, new: str, expected: str) -> None:
    change(cloud.project, "aws.yaml", old, new)
    try:
        assert expected in cloud.refuse("train-cloud")
    finally:
        change(cloud.project, "aws.yaml", new, old)


def test_a_missing_role_or_image_or_environment_is_named(cloud: Cloud) -> None:
    with changed_outputs(cloud, training_role_arn="arn:aws:iam::123456789012:role/none"):
        assert "`make infra-apply` makes the role" in cloud.refuse("train-cloud")
    with changed_outputs(cloud, training_role_arn=""):
        assert "has no training_role_arn" in cloud.refuse("train-cloud")
    with changed_outputs(cloud, account_id="210987654321"):
        assert "The credentials belong to account 123456789012" in cloud.refuse("train-cloud")
    assert "run `make infra-apply ENVIRONMENT=production`" in cloud.refuse(
        "train-cloud", "ENVIRONMENT=production"
    )


def test_without_a_promoted_model_nothing_is_deployed(cloud: Cloud) -> None:
    latest = cloud.project.path / "models" / "latest"
    latest.rename(latest.with_name("away"))
    try:
        assert "none was promoted yet: it comes later" in cloud.make("push-images")
        assert "No model was promoted, so there is nothing to deploy; run `make pipeline`" in cloud.refuse(
            "deploy"
        )
    finally:
        latest.with_name("away").rename(latest)


def test_a_deploy_is_tried_let_in_and_can_be_taken_back(cloud: Cloud) -> None:
    assert cloud.alias() == ("1", {})
    printed = cloud.make("deploy")
    assert "Version 2 gets 10% of the requests" in printed
    assert "staging answers with version 2" in printed
    assert cloud.alias() == ("2", {})
    assert "staging answers with version 2" in cloud.make("deploy")
    make_change(cloud)
    image = cloud.make("deploy").splitlines()[-1]
    assert cloud.alias() == ("3", {})
    for version in ("2", "1"):
        cloud.make("deploy-rollback")
        assert cloud.alias() == (version, {})
    assert "no version before 1" in cloud.refuse("deploy-rollback")
    assert "staging answers with version 3" in cloud.make("deploy", f"IMAGE={image}")


def test_a_canary_that_alarms_is_taken_back(cloud: Cloud) -> None:
    cloud.make("deploy")
    former, _ = cloud.alias()
    make_change(cloud)
    try:
        with started(cloud, "make", "deploy") as deploying:
            read_until(deploying, "Version")
            assert list(cloud.alias()[1].values()) == [0.1]
            cloud.set_alarm("ALARM")
            printed = deploying.stdout.read() if deploying.stdout else ""
        assert deploying.returncode
        assert f"The alarm {ALARM} fires: it is ALARM" in printed
        assert cloud.alias() == (former, {})
        assert f"The alarm {ALARM} fires" in cloud.refuse("deploy")
        assert cloud.alias() == (former, {})
        cloud.make("deploy", "CANARY=no")
        assert cloud.alias()[0] != former
    finally:
        cloud.set_alarm("OK")


def test_a_version_that_fails_its_test_gets_no_request(cloud: Cloud) -> None:
    cloud.make("deploy")
    former, secret = cloud.alias(), "keys"
    make_change(cloud)
    cloud.call("secretsmanager", "put_secret_value", SecretId=secret, SecretString="wrong")
    try:
        assert "answered 401" in cloud.refuse("deploy")
    finally:
        cloud.call("secretsmanager", "put_secret_value", SecretId=secret, SecretString=KEY)
    assert cloud.alias() == former
    with changed_outputs(cloud, api_url="http://127.0.0.1:9"):
        printed = cloud.refuse("deploy")
    assert "http://127.0.0.1:9/predict does not answer" in printed
    assert cloud.alias() == former


@dataclass(frozen=True)
class Cloud:
    """A project that was trained, its account, and what its commands need to reach both."""

    project: BakedProject
    variables: dict[str, str]
    python: str
    asked_of_docker: Path

    def call(self, service: str, action: str, **request: Any) -> Any:
        """Ask AWS by boto3, in the project's own environment."""
        printed = self.project.run(
            self.python, "-c", CALL, service, action, json.dumps(request), **self.variables
        )
        return json.loads(printed)

    def make(self, *arguments: str) -> str:
        return self.project.run("make", *arguments, **self.variables)

    def refuse(self, *arguments: str) -> str:
        """Run a make target that fails without a traceback, and return what it printed."""
        done = subprocess.run(
            ["make", *arguments],
            cwd=self.project.path,
            env=environment(**self.variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=300,
        )
        assert done.returncode
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout

    def run(self, *arguments: str) -> str:
        """Run a command of the package."""
        return self.project.run(self.python, "-m", self.project.package, *arguments, **self.variables)

    def alias(self) -> tuple[str, dict[str, float]]:
        found = self.call("lambda", "get_alias", FunctionName="demo", Name="live")
        return found["FunctionVersion"], (found.get("RoutingConfig") or {}).get(
            "AdditionalVersionWeights"
        ) or {}

    def set_alarm(self, state: str) -> None:
        self.call(
            "cloudwatch", "set_alarm_state", AlarmName=ALARM, StateValue=state, StateReason=f"it is {state}"
        )

    def commit(self) -> None:
        who = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
        self.project.run("git", "add", "--all")
        self.project.run("git", *who, "commit", "--quiet", "--allow-empty", "--message", "As it is")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, shared: Shared) -> Iterator[Cloud]:
    """Train a project, serve it, and lay out an account as the infrastructure does."""
    folder = tmp_path_factory.mktemp("cloud")
    project = Oven(folder).bake({"python_version": "3.11", "project_name": "Demo", **ANSWERS})
    own = shared(project)
    project.run("make", "setup", **own)
    project.run("make", "pipeline", **own)
    change(project, "aws.yaml", "watch_minutes: 5", "watch_minutes: 0.1")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    python = f"{own['UV_PROJECT_ENVIRONMENT']}/bin/python"
    variables = {
        **own,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
        "AWS_CONFIG_FILE": str(folder / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    docker = folder / "docker"
    docker.write_text(DOCKER.format(python=python, log=str(folder / "docker.jsonl")), encoding="utf-8")
    docker.chmod(0o755)
    with served(project.path, KEY, own) as address:
        emulated = {
            "EMULATED_PROJECT": str(project.path),
            "EMULATED_PYTHON": python,
            "EMULATED_API_PORT": address.rpartition(":")[2],
        }
        program = ("python", str(Path(__file__).with_name("aws_jobs_emulator.py")), str(port))
        command = (*UV_TOOL, "moto[server]==5.2.5", *program)
        with running(command, port, folder / "aws.log", **emulated):
            cloud = Cloud(project, {**variables, "DOCKER": str(docker)}, python, folder / "docker.jsonl")
            lay_out(cloud, address)
            cloud.commit()
            cloud.make("push-images")
            yield cloud


def lay_out(cloud: Cloud, address: str) -> None:
    """Make what the infrastructure makes, and write its outputs."""
    place = {"CreateBucketConfiguration": {"LocationConstraint": "eu-central-1"}}
    for bucket in ("demo-data", "demo-models"):
        cloud.call("s3", "create_bucket", Bucket=bucket, **place)
    registry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
    for repository in ("demo-serving", "demo-training"):
        cloud.call("ecr", "create_repository", repositoryName=repository, imageTagMutability="IMMUTABLE")
    role = cloud.call("iam", "create_role", RoleName="demo", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    image = {"ImageUri": f"{registry}/demo-serving:first"}
    package = {"PackageType": "Image", "Code": image, "Publish": True}
    cloud.call("lambda", "create_function", FunctionName="demo", Role=role, **package)
    cloud.call("lambda", "create_alias", FunctionName="demo", Name="live", FunctionVersion="1")
    secret = cloud.call("secretsmanager", "create_secret", Name="keys", SecretString=f"{KEY}, another")["ARN"]
    metric = {
        "MetricName": "5xx",
        "Namespace": "demo",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
    }
    limit = {"Threshold": 1, "ComparisonOperator": "GreaterThanThreshold"}
    cloud.call("cloudwatch", "put_metric_alarm", AlarmName=ALARM, **metric, **limit)
    cloud.set_alarm("OK")
    outputs = {
        "region": "eu-central-1",
        "account_id": "123456789012",
        "environment": "staging",
        "data_bucket": "demo-data",
        "models_bucket": "demo-models",
        "requests_bucket": "",
        "serving_repository_url": f"{registry}/demo-serving",
        "training_repository_url": f"{registry}/demo-training",
        "training_role_arn": role,
        "function_name": "demo",
        "function_alias": "live",
        "api_url": address,
        "api_keys_secret_arn": secret,
        "alarm_name": ALARM,
        "deploy_role_arn": "",
        "plan_role_arn": "",
    }
    file = cloud.project.path / "deploy" / "outputs" / "staging.json"
    file.parent.mkdir()
    file.write_text(json.dumps(outputs), encoding="utf-8")
    (cloud.project.path / ".git" / "info" / "exclude").write_text("/deploy/outputs/\n", encoding="utf-8")


def change(project: BakedProject, file: str, old: str, new: str) -> None:
    """Replace a setting."""
    path = project.path / "config" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def make_change(cloud: Cloud) -> None:
    """Commit another setting of the API, so that there is another image to deploy."""
    with (cloud.project.path / "config" / "serving.yaml").open("a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    cloud.commit()


@contextmanager
def changed_outputs(cloud: Cloud, **values: str) -> Iterator[None]:
    """Let the infrastructure say something else."""
    file = cloud.project.path / "deploy" / "outputs" / "staging.json"
    former = file.read_bytes()
    file.write_text(json.dumps(json.loads(former) | values), encoding="utf-8")
    try:
        yield
    finally:
        file.write_bytes(former)


@contextmanager
def started(cloud: Cloud, *command: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command beside the test."""
    # Whoever runs the tests in the background ignores Ctrl-C, and so would the command.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    streams: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
    with subprocess.Popen(
        command, cwd=cloud.project.path, env=environment(**cloud.variables), **streams
    ) as process:
        yield process


def read_until(process: subprocess.Popen[str], start: str) -> str:
    """What a command prints up to the line that starts so."""
    seen = []
    for line in process.stdout or ():
        seen.append(line)
        if line.startswith(start):
            break
    return "".join(seen)


def wait_for_end(cloud: Cloud, name: str) -> str:
    """Wait until a job is over; its last status."""
    deadline = time.monotonic() + 30
    while (status := describe(cloud, name)) in ("InProgress", "Stopping") and time.monotonic() < deadline:
        time.sleep(0.5)
    return status


def describe(cloud: Cloud, name: str) -> str:
    """What SageMaker says of a job."""
    return str(cloud.call("sagemaker", "describe_training_job", TrainingJobName=name)["TrainingJobStatus"])
