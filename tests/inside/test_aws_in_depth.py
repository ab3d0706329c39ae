"""Training on SageMaker and what is behind it: requests, refusals, and that no job is left behind."""

import io
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.stub import Stubber
from demo_project.config import Project, find_project
from demo_project.errors import ProjectError
from deploy.aws import jobs
from deploy.aws.account import Account, explained, open_session
from deploy.aws.batch import PLACE, find_model
from deploy.aws.batch import make_request as request_scores
from deploy.aws.command import run_command, run_program
from deploy.aws.images import find_commit
from deploy.aws.infrastructure import Approve
from deploy.aws.jobs import Job, name_job
from deploy.aws.push import push
from deploy.aws.settings import JobSettings, Outputs, TrainingSettings, read_aws_settings, read_outputs
from deploy.aws.storage import download_archive, upload_files
from deploy.aws.training import make_request
from pydantic import ValidationError

OUTPUTS = Outputs(
    environment="staging",
    region="eu-central-1",
    account_id="123456789012",
    data_bucket="data",
    models_bucket="models",
    training_repository_url="registry/training",
    training_role_arn="arn:aws:iam::123456789012:role/training",
)
NAME = {"TrainingJobName": "job"}


class Stubs(dict[str, Stubber]):
    """Answers of AWS by service; each that is asked for must have been expected."""

    def __missing__(self, service: str) -> Stubber:
        self[service] = Stubber(make_client(service))
        self[service].activate()
        return self[service]


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubs]:
    """Answers that every test begins without."""
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0)
    stubs = Stubs()
    yield stubs
    for stub in stubs.values():
        stub.deactivate()
        stub.assert_no_pending_responses()


@pytest.fixture
def account(stubs: Stubs) -> Account:
    return Account(OUTPUTS, lambda service: stubs[service].client)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises, also where a shell runs the tests in the background, which has them ignore it."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def test_a_request_asks_for_a_spot_instance_and_says_how_long_it_may_take(account: Account, stubs: Stubs) -> None:
    settings = TrainingSettings(instance_type="ml.c5.xlarge", maximum_minutes=30, maximum_wait_minutes=90)
    request = make_request(account, settings, "registry/training@sha256:0", {"raw": "s3://data/raw/0/"})
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 1800, "MaxWaitTimeInSeconds": 5400}
    assert request["EnableManagedSpotTraining"]
    assert request["Environment"] == {"TRAIN_ONLY": "1"}
    stubs["sagemaker"].add_response("create_training_job", {"TrainingJobArn": "arn:aws:sagemaker:job"})
    stubs["sagemaker"].client.create_training_job(**NAME, **request)  # botocore knows what a request must have


def test_scoring_gets_the_settings_the_table_and_latest(account: Account, stubs: Stubs, trained: Project) -> None:
    assert {"latest/pointer.json", "versioned/v1/manifest.json"} <= set(find_model(trained))
    addresses = {name: f"s3://data/batch/{name}/0/" for name in ("config", "models", "input")}
    names = ("rows.csv", "scores.csv")
    request = request_scores(account, JobSettings(), "image", addresses, "s3://models/scores/job", names)
    places = [each["S3Input"]["LocalPath"] for each in request["ProcessingInputs"]]
    assert places == [f"{PLACE}/project/config", f"{PLACE}/project/models", f"{PLACE}/input"]
    stubs["sagemaker"].add_response("create_processing_job", {"ProcessingJobArn": "arn:aws:sagemaker:job"})
    stubs["sagemaker"].client.create_processing_job(ProcessingJobName="job", **request)


def test_a_machine_that_stays_is_not_waited_for(account: Account) -> None:
    request = make_request(account, TrainingSettings(spot=False), "image", {})
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600}


def test_the_settings_hold_and_a_wait_shorter_than_the_work_is_refused() -> None:
    assert read_aws_settings(find_project(Path(__file__).parent).root).training.maximum_minutes
    with pytest.raises(ValidationError, match="cannot be less"):
        TrainingSettings(maximum_minutes=60, maximum_wait_minutes=59)


def test_no_two_jobs_have_one_name() -> None:
    names = {name_job() for _ in range(20)}
    assert len(names) > 1
    assert all(len(name) <= 63 and "_" not in name for name in names)


def test_a_job_shows_its_log_to_the_end(account: Account, stubs: Stubs, capsys: pytest.CaptureFixture[str]) -> None:
    stubs["sagemaker"].add_response("create_training_job", {"TrainingJobArn": "arn:aws:sagemaker:job"})
    describe(stubs, "InProgress", "Interrupted")
    stubs["logs"].add_client_error("describe_log_streams", "ResourceNotFoundException")
    describe(stubs, "Completed", "Completed")
    stubs["logs"].add_response("describe_log_streams", {"logStreams": [{"logStreamName": "job/algo-1"}]})
    events = [{"timestamp": 0, "message": "Training on 3 rows", "ingestionTime": 0}]
    for found in (events, []):
        stubs["logs"].add_response("get_log_events", {"events": found, "nextForwardToken": "end"})
    assert start(account)["TrainingJobStatus"] == "Completed"
    shown = capsys.readouterr().err
    assert "SageMaker starts over when there is another" in shown
    assert "  Training on 3 rows\n" in shown


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_wait_stops_the_job(
    account: Account, stubs: Stubs, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    stubs["sagemaker"].add_response("create_training_job", {"TrainingJobArn": "arn:aws:sagemaker:job"})
    stubs["sagemaker"].add_response("stop_training_job", {}, NAME)
    monkeypatch.setattr(Job, "_follow", lambda *_: signal.raise_signal(number))
    with pytest.raises(KeyboardInterrupt):
        start(account)


def test_a_job_that_cannot_be_stopped_is_named_with_the_command_that_does(
    account: Account, stubs: Stubs, capsys: pytest.CaptureFixture[str]
) -> None:
    stubs["sagemaker"].add_response("create_training_job", {"TrainingJobArn": "arn:aws:sagemaker:job"})
    stubs["sagemaker"].add_client_error("describe_training_job", "ExpiredTokenException", "expired")
    stubs["sagemaker"].add_client_error("stop_training_job", "ExpiredTokenException", "expired")
    with pytest.raises(ClientError, match="ExpiredToken"):
        start(account)
    assert "aws sagemaker stop-training-job --training-job-name job" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "state", "reason", "expected"),
    [
        ("Failed", "Failed", "AlgorithmError: error: no rows, exit code: 1", "no rows"),
        ("Failed", "Failed", "CapacityError: none left.", "another instance_type of training in config/aws.yaml"),
        ("Stopped", "MaxRuntimeExceeded", "", "longer than maximum_minutes"),
        ("Stopped", "MaxWaitTimeExceeded", "", "spot: false"),
        ("Stopped", "Interrupted", "", "spot: false"),
        ("Stopped", "Stopped", "", "Somebody stopped it"),
    ],
)
def test_an_end_that_is_none_says_why(account: Account, status: str, state: str, reason: str, expected: str) -> None:
    described = {"TrainingJobStatus": status, "SecondaryStatus": state, "FailureReason": reason}
    with pytest.raises(ProjectError, match=expected):
        Job(account, "Training", "training").check_end(described)


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        ("ResourceLimitExceeded", "the limit is 0", "Service Quotas"),
        ("ValidationException", "Could not assume role", "makes the role"),
        ("AccessDeniedException", "not authorized", "deploy role"),
    ],
)
def test_what_aws_refuses_is_said_with_what_helps(code: str, message: str, expected: str) -> None:
    with pytest.raises(ProjectError, match=expected), explained():
        raise ClientError({"Error": {"Code": code, "Message": message}}, "CreateTrainingJob")
    with pytest.raises(ProjectError, match="sign in"), explained():
        raise NoCredentialsError


def test_the_same_files_are_uploaded_once(account: Account, stubs: Stubs, tmp_path: Path) -> None:
    files = {"a.csv": tmp_path / "a.csv", "b.csv": tmp_path / "b.csv"}
    for name, path in files.items():
        path.write_text(name, encoding="utf-8")
    stubs["s3"].add_response("list_objects_v2", {})
    for _ in files:
        stubs["s3"].add_response("put_object", {})
    s3 = account.client("s3")
    address = upload_files(s3, "data", "raw", files)
    there = [{"Key": f"{address.removeprefix('s3://data/')}{name}", "Size": 5} for name in files]
    stubs["s3"].add_response("list_objects_v2", {"Contents": there})
    assert upload_files(s3, "data", "raw", files) == address
    files["a.csv"].write_text("other", encoding="utf-8")
    stubs["s3"].add_response("list_objects_v2", {"Contents": [*there]})
    stubs["s3"].add_response("put_object", {})
    stubs["s3"].add_response("put_object", {})
    assert upload_files(s3, "data", "raw", files) != address


def test_an_archive_that_leads_out_of_its_folder_is_refused(account: Account, stubs: Stubs, tmp_path: Path) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../evil"))
    stubs["s3"].add_response("head_object", {"ContentLength": len(content.getvalue())})
    stubs["s3"].add_response("head_object", {"ContentLength": len(content.getvalue())})
    stubs["s3"].add_response("get_object", {"Body": io.BytesIO(content.getvalue())})
    with pytest.raises(tarfile.OutsideDestinationError):
        download_archive(account.client("s3"), "s3://models/model.tar.gz", tmp_path / "inner")
    assert not (tmp_path / "evil").exists()


def test_outputs_that_are_missing_damaged_or_lack_a_part_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="make infra-apply ENVIRONMENT=staging"):
        read_outputs(tmp_path, "staging")
    file = tmp_path / "deploy" / "outputs" / "staging.json"
    file.parent.mkdir(parents=True)
    file.write_text("{", encoding="utf-8")
    with pytest.raises(ProjectError, match="damaged"):
        read_outputs(tmp_path, "staging")
    with pytest.raises(ProjectError, match="no data_bucket"):
        OUTPUTS.model_copy(update={"data_bucket": ""}).need("data_bucket", "models_bucket")


def test_without_a_region_nothing_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(ProjectError, match="No region is set: `export AWS_REGION="):
        open_session()


def test_a_program_that_is_not_here_or_fails_is_named() -> None:
    with pytest.raises(ProjectError, match=r"no-such-program cannot be run: .*; install it"):
        run_program("no-such-program", "apply", remedy="install it")
    with pytest.raises(ProjectError, match=r"`.*python.* -c` failed with exit code 3; it says why above"):
        run_program(sys.executable, "-c", "raise SystemExit(3)", remedy="install it")


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_left_to_the_program_so_that_it_ends_in_order() -> None:
    interrupt = "import os, signal, time; os.kill(os.getppid(), signal.SIGINT); time.sleep(0.5); print('in order')"
    assert run_program(sys.executable, "-c", interrupt, remedy="none", stdout=subprocess.PIPE) == "in order\n"
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ProjectError("Do this."), "error: Do this.\n"),
        (ClientError({"Error": {"Code": "ExpiredToken"}}, "CreateStack"), "error: AWS refused CreateStack (Expired"),
        (S3UploadFailedError("Failed to upload"), "error: AWS did not answer: Failed to upload"),
    ],
)
def test_what_a_command_refuses_is_one_line(
    raised: Exception, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise raised

    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(SystemExit, match="1"):
        run_command(refuse)
    [line] = capsys.readouterr().err.splitlines(keepends=True)
    assert line.startswith(expected)


@pytest.mark.parametrize(("ci", "approved"), [("", False), ("true", True), ("woodpecker", True)])
def test_where_ci_runs_it_nobody_is_asked(ci: str, approved: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def apply(approve: Approve = False) -> None:
        seen.append(approve)

    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(SystemExit, match="0"):
        run_command(apply)
    assert seen == [approved]


def test_an_environment_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["command", "--environment", "stagign"])
    with pytest.raises(SystemExit, match="2"):
        run_command(push)


def test_without_a_commit_no_image_has_a_name(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="git commit"):
        find_commit(tmp_path, ("src",))


@cache
def make_client(service: str) -> Any:
    """A client, which takes a second to make."""
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    return boto3.client(service, region_name="eu-central-1", **keys)


def start(account: Account) -> dict[str, Any]:
    """Run a job to its end."""
    request = make_request(account, TrainingSettings(), "image", {"raw": "s3://data/raw/0/"})
    return Job(account, "Training", "training", "job").run(**request)


def describe(stubs: Stubs, status: str, state: str) -> None:
    """Expect to be asked for a job once, and answer so."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    described: dict[str, Any] = {
        **NAME,
        "TrainingJobArn": "arn:aws:sagemaker:job",
        "TrainingJobStatus": status,
        "SecondaryStatus": state,
        "ModelArtifacts": {"S3ModelArtifacts": "s3://models/jobs/job/output/model.tar.gz"},
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "ResourceConfig": {"VolumeSizeInGB": 1},
        "StoppingCondition": {},
        "CreationTime": now,
    }
    stubs["sagemaker"].add_response("describe_training_job", described, NAME)
