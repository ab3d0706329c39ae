"""`make deploy`: what is let in, what is not, and the way back."""

import io
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from demo_project.config import Project
from demo_project.errors import ProjectError
from demo_project.files import hash_file
from deploy.aws import copying, smoke, traffic
from deploy.aws.account import Account
from deploy.aws.deploy import publish, put_into_service
from deploy.aws.images import Image, ensure_pushed, serving_image
from deploy.aws.settings import Outputs
from deploy.aws.traffic import describe_version, find_before, shift

from .test_aws_in_depth import Stubs, stubs  # noqa: F401

OUTPUTS = Outputs(
    environment="staging",
    region="eu-central-1",
    account_id="123456789012",
    function_name="penguins",
    api_url="http://127.0.0.1:9",
    api_keys_secret_arn="arn:aws:secretsmanager:eu-central-1:123456789012:secret:keys",
    alarm_name="penguins-errors",
)
KEYS = "right, other"
REGISTRY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"


@pytest.fixture
def account(stubs: Stubs) -> Account:
    return Account(OUTPUTS, lambda service: stubs[service].client)


def test_a_canary_that_stays_quiet_gets_all_requests(account: Account, stubs: Stubs) -> None:
    expect_alias(stubs, "1")
    expect_alarm(stubs, "OK")
    expect_move(stubs, "1", canary="2")
    expect_alarm(stubs, "OK", "INSUFFICIENT_DATA")
    expect_move(stubs, "2")
    shift(account, "2", 0.25, 0.3, lambda: None)


@pytest.mark.parametrize("states", [("OK", "ALARM"), ("OK", "OK", "ALARM")])
def test_a_canary_that_alarms_is_taken_out(account: Account, stubs: Stubs, states: tuple[str, ...]) -> None:
    expect_alias(stubs, "1")
    expect_alarm(stubs, states[0])
    expect_move(stubs, "1", canary="2")
    expect_alarm(stubs, *states[1:])
    expect_move(stubs, "1")
    with pytest.raises(ProjectError, match="fires: too many errors"):
        shift(account, "2", 0.25, 0.3, lambda: None)


def test_nothing_moves_while_the_alarm_fires(account: Account, stubs: Stubs) -> None:
    expect_alias(stubs, "1")
    expect_alarm(stubs, "ALARM")
    with pytest.raises(ProjectError, match="CANARY=no"):
        shift(account, "2", 0.25, 0.3, lambda: None)


def test_a_version_that_does_not_answer_at_the_address_is_taken_out(
    account: Account, stubs: Stubs, trained: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smoke, "SETTLING_SECONDS", 0)
    expect_alias(stubs, "1")
    expect_move(stubs, "2")
    expect_move(stubs, "1")
    with pytest.raises(ProjectError, match="does not answer"):
        shift(account, "2", 0, 0, lambda: smoke.try_address(account, trained))


def test_nothing_is_let_in_beside_the_canary_of_another(account: Account, stubs: Stubs, trained: Project) -> None:
    alias = {
        "FunctionVersion": "1",
        "RevisionId": "revision",
        "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.1}},
    }
    stubs["lambda"].add_response("get_alias", alias)
    with pytest.raises(ProjectError, match="make deploy-rollback ENVIRONMENT=staging"):
        put_into_service(account, trained, "3", None)


def test_a_function_that_is_not_there_yet_is_made_of_the_image(account: Account, stubs: Stubs) -> None:
    stubs["lambda"].add_client_error("get_function", "ResourceNotFoundException")
    with pytest.raises(ProjectError, match="make infra-apply ENVIRONMENT=staging IMAGE_URI=registry/serving@sha256:0`"):
        publish(account, "registry/serving@sha256:0", "tag")


def test_an_interrupted_canary_is_taken_out(account: Account, stubs: Stubs, monkeypatch: pytest.MonkeyPatch) -> None:
    expect_alias(stubs, "1")
    expect_alarm(stubs, "OK")
    expect_move(stubs, "1", canary="2")
    expect_move(stubs, "1")
    monkeypatch.setattr(traffic, "watch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        shift(account, "2", 0.25, 60, lambda: None)


def test_a_function_without_an_alias_is_not_deployed_to(account: Account, stubs: Stubs) -> None:
    stubs["lambda"].add_client_error("get_alias", "ResourceNotFoundException")
    with pytest.raises(ProjectError, match="has no alias live; run `make infra-apply"):
        shift(account, "1", 0.25, 60, lambda: None)


def test_a_version_knows_after_which_it_came(account: Account, stubs: Stubs) -> None:
    stubs["lambda"].add_response("get_function_configuration", {"Description": describe_version("abc-v2-def", "3")})
    assert find_before(account, "7") == "3"


@pytest.mark.parametrize(("version", "before"), [("10", "9"), ("2", "1"), ("1", "")])
def test_one_that_says_nothing_came_after_the_last_number(
    account: Account, stubs: Stubs, version: str, before: str
) -> None:
    stubs["lambda"].add_response("get_function_configuration", {"Description": ""})
    versions = [{"Version": number} for number in ("$LATEST", "1", "2", "9", "10")]
    stubs["lambda"].add_response("list_versions_by_function", {"Versions": versions})
    assert find_before(account, version) == before


def test_a_way_back_that_is_closed_is_named(account: Account, stubs: Stubs, capsys: pytest.CaptureFixture[str]) -> None:
    expect_alias(stubs, "1")
    expect_move(stubs, "2")
    stubs["lambda"].add_client_error("get_alias", "ExpiredTokenException")
    with pytest.raises(KeyboardInterrupt):
        shift(account, "2", 0, 0, interrupt)
    assert "make deploy-rollback ENVIRONMENT=staging" in capsys.readouterr().err


def test_a_version_is_tried_with_a_key_and_without(account: Account, stubs: Stubs, trained: Project) -> None:
    expect_answer(stubs, 401)
    expect_keys(stubs)
    expect_answer(stubs, 200, {"model_version": "v1"})
    smoke.try_version(account, trained, "7")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (200, None, "answered 200 in place of 401"),
        (401, (422, {"detail": "no such column"}), "no such column"),
        (401, (200, {"model_version": "v0"}), "by model v0, but models/latest is v1"),
    ],
)
def test_a_version_that_answers_wrong_is_refused(
    account: Account,
    stubs: Stubs,
    trained: Project,
    first: int,
    second: tuple[int, dict[str, str]] | None,
    expected: str,
) -> None:
    expect_answer(stubs, first)
    if second:
        expect_keys(stubs)
        expect_answer(stubs, *second)
    with pytest.raises(ProjectError, match=expected):
        smoke.try_version(account, trained, "7")


def test_a_version_that_does_not_start_says_why(account: Account, stubs: Stubs, trained: Project) -> None:
    failed = {"errorType": "Start", "errorMessage": "API_KEYS is empty"}
    payload = {"Payload": io.BytesIO(json.dumps(failed).encode()), "FunctionError": "Unhandled"}
    stubs["lambda"].add_response("invoke", payload)
    with pytest.raises(ProjectError, match="API_KEYS is empty"):
        smoke.try_version(account, trained, "7")


def test_an_image_is_named_after_its_code_and_its_model(trained: Project, tmp_path: Path) -> None:
    for folder in ("config", "models"):
        shutil.copytree(trained.root / folder, tmp_path / folder)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "config")
    git(tmp_path, "-c", "user.name=me", "-c", "user.email=me@example.org", "commit", "--quiet", "-m", "One")
    manifest = tmp_path / "models" / "versioned" / "v1" / "manifest.json"
    image = serving_image(Project(tmp_path), "registry/serving")
    assert image.tag.endswith(f"-v1-{hash_file(manifest)[:8]}")
    assert image.address == f"registry/serving:{image.tag}"
    (tmp_path / "config" / "new").touch()
    with pytest.raises(ProjectError, match="config/new as it is; commit first"):
        serving_image(Project(tmp_path), "registry/serving")


def test_without_a_promoted_model_there_is_no_image(toy: Project) -> None:
    with pytest.raises(ProjectError, match="run `make pipeline` first"):
        serving_image(toy, "registry/serving")


def test_an_image_that_is_there_is_not_built(account: Account, stubs: Stubs, tmp_path: Path) -> None:
    stubs["ecr"].add_response(
        "describe_images",
        {"imageDetails": [{"imageDigest": "sha256:0"}]},
        {"repositoryName": "serving", "imageIds": [{"imageTag": "tag"}]},
    )
    image = Image("registry/serving", "tag", "none.Dockerfile")
    assert ensure_pushed(account, Project(tmp_path), image) == "registry/serving@sha256:0"


def test_an_image_is_copied_as_it_is(account: Account, stubs: Stubs, monkeypatch: pytest.MonkeyPatch) -> None:
    ecr, layer, digest = stubs["ecr"], f"sha256:{'1' * 64}", f"sha256:{'0' * 64}"
    config = {"digest": f"sha256:{'2' * 64}", "size": 1}
    parts = {"config": config, "layers": [{"digest": layer, "size": 5}]}
    manifest, address = json.dumps(parts), f"{REGISTRY}/staging@{digest}"
    ecr.add_response(
        "batch_get_image",
        {"images": [{"imageManifest": manifest, "imageId": {"imageDigest": digest}}]},
        {"registryId": "123456789012", "repositoryName": "staging", "imageIds": [{"imageDigest": digest}]},
    )
    there = {"layerDigest": config["digest"], "layerAvailability": "AVAILABLE"}
    ecr.add_response("batch_check_layer_availability", {"layers": [there]})
    ecr.add_response("get_download_url_for_layer", {"downloadUrl": "https://layer"})
    ecr.add_response("initiate_layer_upload", {"uploadId": "upload", "partSize": 3})
    monkeypatch.setattr(copying, "urlopen", lambda *_, **__: io.BytesIO(b"layer"))
    for first, blob in ((0, b"lay"), (3, b"er")):
        place = {"partFirstByte": first, "partLastByte": first + len(blob) - 1, "layerPartBlob": blob}
        ecr.add_response("upload_layer_part", {}, {"repositoryName": "production", "uploadId": "upload", **place})
    done = {"repositoryName": "production", "uploadId": "upload", "layerDigests": [layer]}
    ecr.add_response("complete_layer_upload", {}, done)
    put = {"repositoryName": "production", "imageTag": "tag", "imageManifest": manifest, "imageDigest": digest}
    ecr.add_response("put_image", {}, put)
    image = Image(f"{REGISTRY}/production", "tag", "none.Dockerfile")
    assert copying.copy_image(account, address, image) == f"{REGISTRY}/production@{digest}"


@pytest.mark.parametrize("address", ["staging:tag", "registry/staging@sha256:0", "1.dkr.ecr.eu-west-1.x/y@sha256:0"])
def test_what_is_no_image_by_digest_is_refused(account: Account, address: str) -> None:
    with pytest.raises(ProjectError, match="is no image of ECR in eu-central-1 by digest"):
        copying.copy_image(account, address, Image(f"{REGISTRY}/production", "tag", "none.Dockerfile"))


def interrupt(*_: object) -> None:
    """Do as Ctrl-C does."""
    raise KeyboardInterrupt


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder."""
    subprocess.run(["git", *arguments], cwd=folder, check=True)


def expect_alias(stubs: Stubs, version: str) -> None:
    """Expect that the alias is asked for."""
    stubs["lambda"].add_response("get_alias", {"FunctionVersion": version, "RevisionId": "revision"})


def expect_move(stubs: Stubs, version: str, canary: str = "") -> None:
    """Expect that the alias is changed, by who has seen its present state."""
    expect_alias(stubs, version)
    weights = {canary: 0.25} if canary else {}
    change = {
        "FunctionName": "penguins",
        "Name": "live",
        "FunctionVersion": version,
        "RoutingConfig": {"AdditionalVersionWeights": weights},
        "RevisionId": "revision",
    }
    stubs["lambda"].add_response("update_alias", {}, change)


def expect_alarm(stubs: Stubs, *states: str) -> None:
    """Expect that the alarm is asked for."""
    for state in states:
        alarm = {"StateValue": state, "StateReason": "too many errors"}
        stubs["cloudwatch"].add_response("describe_alarms", {"MetricAlarms": [alarm]})


def expect_keys(stubs: Stubs) -> None:
    """Expect that the keys are asked for."""
    stubs["secretsmanager"].add_response("get_secret_value", {"SecretString": KEYS})


def expect_answer(stubs: Stubs, status: int, body: dict[str, str] | None = None) -> None:
    """Expect that the function is asked, and let it answer."""
    answer = {"statusCode": status, "body": json.dumps(body or {})}
    stubs["lambda"].add_response("invoke", {"Payload": io.BytesIO(json.dumps(answer).encode())})
