"""What is built on AWS: held to its tools' formats, built on an emulator, and taken down to nothing.

Terraform finds its provider in a folder that TERRAFORM_PLUGINS names, or that lies where machines without
internet have it; else it downloads it.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from baking import BakedProject, Oven
from combinations import Combination, default_combination
from composing import composer
from conftest import Bake, Shared
from emulators import UV_TOOL, aws
from running import environment

REQUIRED = "CONTAINERS_REQUIRED"
"""A variable that makes a machine without Terraform fail, where others skip."""

KINDS = ("aws", "aws-cloudformation")
RICHEST = {
    "project_slug": "penguins",
    "python_version": "3.11",
    "serving": "fastapi",
    "monitoring": "drift",
    "ci": "github",
}
DISTINCT = [
    {"serving": serving, "ci": ci}
    for serving, ci in itertools.product(["fastapi", "none"], ["github", "gitlab", "none"])
]
"""The answers by which the infrastructure differs; Flask's is FastAPI's, as a test says."""

OUTPUTS = {
    *("region", "account_id", "environment", "data_bucket", "models_bucket"),
    *("training_repository_url", "training_role_arn", "deploy_role_arn", "plan_role_arn"),
}
OUTPUTS_OF_SERVING = {
    *("serving_repository_url", "function_name", "function_alias", "api_url", "api_keys_secret_arn"),
    "alarm_name",
}

FORCED = {
    "ecr:GetAuthorizationToken": "a token is for the whole registry",
    "cloudwatch:PutMetricData": "metrics have no resource",
    "kms:ListAliases": "a list",
    "logs:DescribeLogGroups": "a list",
}
"""What AWS allows on every resource or not at all."""

LOOK = """
import ast, json, boto3
def names(service, call, list_name, key, **more):
    return sorted(each[key] for each in getattr(boto3.client(service), call)(**more)[list_name])
iam = boto3.client("iam")
roles = {role["RoleName"]: role for role in iam.list_roles()["Roles"]}
def policies(role):
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        # Moto keeps a stack's as Python.
        yield ast.literal_eval(policy) if isinstance(policy, str) else policy
keys = [key["KeyId"] for key in boto3.client("kms").list_keys()["Keys"]]
state = lambda key: boto3.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
account = boto3.client("sts").get_caller_identity()["Account"]
print(json.dumps({
    "buckets": names("s3", "list_buckets", "Buckets", "Name"),
    "repositories": names("ecr", "describe_repositories", "repositories", "repositoryName"),
    "functions": names("lambda", "list_functions", "Functions", "FunctionName"),
    "apis": names("apigatewayv2", "get_apis", "Items", "Name"),
    "logs": names("logs", "describe_log_groups", "logGroups", "logGroupName"),
    "alarms": names("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    "topics": names("sns", "list_topics", "Topics", "TopicArn"),
    "secrets": names("secretsmanager", "list_secrets", "SecretList", "Name"),
    "budgets": names("budgets", "describe_budgets", "Budgets", "BudgetName", AccountId=account),
    "issuers": names("iam", "list_open_id_connect_providers", "OpenIDConnectProviderList", "Arn"),
    "keys": [key for key in keys if state(key) == "Enabled"],
    "trust": {name: role["AssumeRolePolicyDocument"] for name, role in roles.items()},
    "policies": {name: list(policies(name)) for name in roles},
}))
"""
"""What there is in the account, by kind."""

PUSH = """
import json, sys, boto3
kind = "application/vnd.docker.distribution.manifest.v2+json"
config = {"digest": "sha256:" + "a" * 64, "size": 1, "mediaType": "application/vnd.oci.image.config.v1+json"}
manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "layers": [], "config": config})
repository = boto3.client("ecr")
sent = repository.put_image(repositoryName=sys.argv[1], imageTag="v1", imageManifest=manifest)
print(sent["image"]["imageId"]["imageDigest"])
"""
"""An image of no layers, which no emulator minds."""

LIGHT = "uv run --quiet --no-project --exclude-newer 2026-11-14 --with boto3==1.40.61"
"""What runs a script that asks the account, with no more installed than it needs."""

Policy = dict[str, Any]


class Account:
    """A project, and an account of the emulator that it is built in."""

    def __init__(self, project: BakedProject, variables: dict[str, str]) -> None:
        self.project = project
        # An emulator's buckets have no names in DNS.
        self.variables = {**variables, "CI": "", "TF_CLI_ARGS_init": "-backend-config=use_path_style=true"}

    def make(self, target: str, **given: str) -> str:
        """Make a target of the project."""
        arguments = [f"{name}={value}" for name, value in given.items()]
        return self.project.run("timeout", "300", "make", target, *arguments, **self.variables)

    def ask(self, script: str, *arguments: str) -> str:
        """Run a script that asks the account."""
        return self.project.run(*LIGHT.split(), "python", "-c", script, *arguments, **self.variables)

    def look(self) -> dict[str, Any]:
        """Return what there is in the account."""
        found: dict[str, Any] = json.loads(self.ask(LOOK))
        return found


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the variables by which Terraform finds its provider."""
    if shutil.which("terraform") is None:
        assert REQUIRED not in os.environ, "Terraform is not here"
        pytest.skip("Terraform is not here")
    file = tmp_path_factory.mktemp("terraform") / "terraform.rc"
    mirror = find_mirror()
    installed = (
        f'provider_installation {{\n  filesystem_mirror {{ path = "{mirror}" }}\n}}\n' if mirror else ""
    )
    file.write_text(installed, encoding="utf-8")
    return {"TF_CLI_CONFIG_FILE": str(file), "CHECKPOINT_DISABLE": "1", "NO_COLOR": "1"}


def find_mirror() -> Path | None:
    """Return the folder that has Terraform's providers, if a folder has."""
    if named := os.environ.get("TERRAFORM_PLUGINS"):
        return Path(named)
    places = (
        Path(place).glob("*/registry.terraform.io/hashicorp/aws")
        for place in ("/opt", "/srv", "/usr/local/share")
    )
    return next((found.parents[2] for found in itertools.chain(*places)), None)


def lay_out(folder: Path, answers: Combination) -> Path:
    """Write what a project with these answers would deploy with, and return its folder of Terraform's."""
    composed = composer().compose({**default_combination(), **answers})
    for file, content in composed.contents.items():
        if file.startswith("deploy/"):
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.data)
    return folder / "deploy" / "terraform" / "aws"


def run_terraform(folder: Path, *arguments: str, **variables: str) -> str:
    """Run Terraform in a folder; raises where it fails."""
    done = subprocess.run(
        ["terraform", f"-chdir={folder}", *arguments],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, f"terraform {' '.join(arguments)}:\n{done.stdout}"
    return done.stdout


def names_of(answers: Combination) -> str:
    return "-".join(answers.values())


@pytest.mark.slow
@pytest.mark.parametrize("answers", [DISTINCT[0], DISTINCT[-1]], ids=names_of)
def test_a_project_s_own_checks_of_terraform_s_files_pass_without_an_account(
    answers: Combination, terraform: dict[str, str], oven: Oven, shared: Shared
) -> None:
    project = oven.bake({**answers, "python_version": "3.11", "cloud": "aws"})
    assert "Success!" in project.run("make", "infra-check", **terraform, **shared(project))


@pytest.mark.slow
@pytest.mark.parametrize("answers", DISTINCT[1:-1], ids=names_of)
def test_terraform_finds_the_other_sets_of_files_well_formed_and_valid(
    answers: Combination, terraform: dict[str, str], tmp_path: Path
) -> None:
    folder = lay_out(tmp_path, {**answers, "cloud": "aws"})
    run_terraform(folder, "fmt", "-check", "-diff", "-recursive")
    run_terraform(folder, "init", "-backend=false", "-input=false", **terraform)
    run_terraform(folder, "validate", **terraform)


@pytest.mark.slow
def test_cfn_lint_finds_nothing_in_any_template(tmp_path: Path) -> None:
    for answers in DISTINCT:
        lay_out(tmp_path / names_of(answers), {**answers, "cloud": "aws-cloudformation"})
    templates = [
        str(path) for path in tmp_path.rglob("*.yaml") if path.parent.name in ("aws", "cloudformation")
    ]
    assert len(templates) == 2 * len(DISTINCT)
    # No more may be sent without a bucket for templates.
    assert all(Path(template).stat().st_size < 51_200 for template in templates)
    assert lint(templates) == ""


@pytest.mark.slow
def test_a_project_s_own_check_of_its_templates_refuses_an_unknown_property(
    oven: Oven, shared: Shared
) -> None:
    project = oven.bake({**RICHEST, "cloud": "aws-cloudformation"})
    template = project.path / "deploy" / "aws" / "cloudformation" / "stack.yaml"
    template.write_text(
        template.read_text("utf-8").replace("EnableKeyRotation", "EnablesKeyRotation"), "utf-8"
    )
    with pytest.raises(AssertionError, match="E3002"):
        project.run("make", "infra-check", **shared(project))


def lint(templates: list[str]) -> str:
    """Return what cfn-lint says of templates."""
    command = [*UV_TOOL, "cfn-lint==1.58.0", "cfn-lint", *templates]
    done = subprocess.run(command, env=environment(), capture_output=True, encoding="utf-8", timeout=300)
    return done.stdout + done.stderr


@pytest.mark.parametrize("cloud", KINDS)
def test_the_infrastructure_is_the_same_for_both_frameworks(cloud: str) -> None:
    asked = [
        {**default_combination(), "cloud": cloud, "serving": serving} for serving in ("fastapi", "flask")
    ]
    first, second = (composer().compose(answers).digests for answers in asked)
    built = {file for file in first if file.startswith(("deploy/terraform", "deploy/aws"))}
    assert built
    assert {file: first[file] for file in built} == {file: second[file] for file in built}


@pytest.mark.slow
@pytest.mark.parametrize("cloud", KINDS)
def test_it_is_built_in_an_empty_account_and_taken_down_to_nothing(
    cloud: str, terraform: dict[str, str], oven: Oven, shared: Shared, tmp_path: Path
) -> None:
    project = oven.bake({**RICHEST, "cloud": cloud})
    with aws(tmp_path) as variables:
        account = Account(project, {**variables, **terraform, **shared(project)})
        name_repository(project)
        if cloud == "aws":
            assert "make infra-bootstrap" in refused(account, "infra-apply")
        account.make("infra-bootstrap")
        account.make("infra-bootstrap")  # once more changes nothing
        before = account.look()
        assert len(before["issuers"]) == 1

        account.make("infra-apply", APPROVE="yes")
        outputs = read_outputs(project)
        assert set(outputs) == OUTPUTS | OUTPUTS_OF_SERVING
        assert all(outputs.values())
        built = account.look()
        assert not built["functions"], "a function cannot be without an image"

        repository = outputs["serving_repository_url"].partition("/")[2]
        digest = account.ask(PUSH, repository).strip()
        account.make("infra-apply", APPROVE="yes", IMAGE_URI=f"{outputs['serving_repository_url']}@{digest}")
        built = account.look()
        assert built["functions"] == [outputs["function_name"]]
        assert len(built["buckets"]) - len(before["buckets"]) == 2
        assert outputs["alarm_name"] in built["alarms"]

        for role, policies in built["policies"].items():
            assert [too_wide(policy) for policy in policies if too_wide(policy)] == [], role
        deployers = built["trust"]["penguins-staging-deploy"]["Statement"][0]["Condition"]
        assert "repo:acme/penguins:environment:staging" in json.dumps(deployers)
        assert "*" not in json.dumps(deployers)

        # Nothing is left to do, and the image is remembered.
        assert NOTHING_TO_DO[cloud] in account.make("infra-plan")
        key = account.ask(READ_KEY, outputs["api_keys_secret_arn"]).strip()
        assert len(key) == 64
        (project.path / "deploy" / "outputs" / "staging.json").unlink()
        account.make("infra-outputs")
        assert read_outputs(project) == outputs
        assert account.ask(READ_KEY, outputs["api_keys_secret_arn"]).strip() == key
        if cloud == "aws":
            check_state(account, key)

        account.make("infra-destroy", APPROVE="yes")
        assert not (project.path / "deploy" / "outputs" / "staging.json").exists()
        after = account.look()
        assert after == {**before, "trust": after["trust"], "policies": after["policies"]}
        assert set(after["trust"]) == set(before["trust"])


NOTHING_TO_DO = {"aws": "No changes", "aws-cloudformation": "0 changes"}
"""What a plan says then. Moto notes a set of changes of no resource, where CloudFormation refuses one."""

READ_KEY = """
import sys, boto3
print(boto3.client("secretsmanager").get_secret_value(SecretId=sys.argv[1])["SecretString"])
"""
LOCK = """
import sys, boto3
s3, bucket = boto3.client("s3"), sys.argv[1]
s3.put_object(Bucket=bucket, Key="staging.tfstate.tflock", Body=b'{"ID": "somebody"}')
"""
UNLOCK = (
    "import sys, boto3; boto3.client('s3').delete_object(Bucket=sys.argv[1], Key='staging.tfstate.tflock')"
)
STATE = """
import sys, boto3
print(boto3.client("s3").get_object(Bucket=sys.argv[1], Key="staging.tfstate")["Body"].read().decode())
"""


def name_repository(project: BakedProject) -> None:
    """Say whose jobs may deploy, as the guide does."""
    variables = project.path / "deploy" / "terraform" / "aws" / "staging.tfvars"
    parameters = project.path / "deploy" / "aws" / "cloudformation" / "staging.json"
    if variables.exists():
        variables.write_text(
            f'{variables.read_text("utf-8")}repository = "acme/penguins"\n', encoding="utf-8"
        )
    else:
        told = json.loads(parameters.read_bytes()) | {"Repository": "acme/penguins"}
        parameters.write_text(json.dumps(told), encoding="utf-8")


def check_state(account: Account, key: str) -> None:
    """See that the state is in the bucket alone, knows no key, and is changed by one person at a time."""
    [bucket] = [name for name in account.look()["buckets"] if "-state-" in name]
    assert key not in account.ask(STATE, bucket)
    assert not list((account.project.path / "deploy" / "terraform" / "aws").glob("*.tfstate"))
    account.ask(LOCK, bucket)
    assert "Error acquiring the state lock" in refused(account, "infra-apply", APPROVE="yes")
    account.ask(UNLOCK, bucket)


def refused(account: Account, target: str, **given: str) -> str:
    """Return what a target said that failed."""
    with pytest.raises(AssertionError) as failed:
        account.make(target, **given)
    return str(failed.value)


def read_outputs(project: BakedProject) -> dict[str, str]:
    found: dict[str, str] = json.loads((project.path / "deploy" / "outputs" / "staging.json").read_bytes())
    return found


def too_wide(policy: Policy) -> list[str]:
    """Return the actions of a role's policy that are allowed on more than they need."""
    return list(find_too_wide(policy))


def find_too_wide(policy: Policy) -> Iterator[str]:
    for statement in as_list(policy["Statement"]):
        if statement["Effect"] == "Allow":
            for action in as_list(statement["Action"]):
                service, _, name = action.partition(":")
                everywhere = "*" in as_list(statement["Resource"])
                if name in ("", "*") or "*" in service or (everywhere and action not in FORCED):
                    yield action


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("*", "arn:aws:s3:::data"),
        ("s3:*", "arn:aws:s3:::data"),
        ("s3:GetObject", "*"),
        (["logs:PutLogEvents", "iam:PassRole"], ["arn:aws:logs:x", "*"]),
    ],
)
def test_a_right_that_is_too_wide_is_found(action: Any, resource: Any) -> None:
    assert too_wide({"Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]})


def test_a_narrow_right_and_one_that_aws_forces_are_not() -> None:
    narrow = {"Effect": "Allow", "Action": "s3:GetBucket*", "Resource": "arn:aws:s3:::data"}
    forced = {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}
    refusal = {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}
    assert too_wide({"Statement": [narrow, forced, refusal]}) == []


@pytest.mark.slow
@pytest.mark.parametrize("cloud", KINDS)
def test_the_bucket_becomes_the_remote_of_dvc(cloud: str, oven: Oven, shared: Shared) -> None:
    project = oven.bake({**RICHEST, "cloud": cloud, "data_versioning": "dvc"})
    project.run("git", "init", "--quiet")
    with pytest.raises(AssertionError, match="run `make infra-apply ENVIRONMENT=staging`"):
        project.run("make", "dvc-remote", **shared(project))
    (project.path / "deploy" / "outputs").mkdir()
    outputs = {
        "environment": "staging",
        "region": "eu-central-1",
        "account_id": "123456789012",
        "data_bucket": "the-data",
    }
    (project.path / "deploy" / "outputs" / "staging.json").write_text(json.dumps(outputs), encoding="utf-8")
    project.run("make", "dvc-remote", **shared(project))
    project.run("make", "dvc-remote", **shared(project))  # once more changes nothing
    config = (project.path / ".dvc" / "config").read_text(encoding="utf-8")
    assert config.count("url = s3://the-data/dvc\n") == 1
    assert "remote = storage\n" in config
    assert "region = eu-central-1\n" in config


MAKE_ROLE = """
import json, boto3
nobody = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nobody"}
iam = boto3.client("iam", **nobody)
iam.create_user(UserName="me")
may = lambda *actions: json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": actions, "Resource": "*"}]})
iam.put_user_policy(UserName="me", PolicyName="all", PolicyDocument=may("*"))
key = iam.create_access_key(UserName="me")["AccessKey"]
me = boto3.Session(aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
secret = me.client("secretsmanager").create_secret(Name="keys", SecretString="one,two")["ARN"]
trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}
trusted = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
role = me.client("iam").create_role(RoleName="function", AssumeRolePolicyDocument=trusted)["Role"]["Arn"]
allowed = may("secretsmanager:GetSecretValue")
me.client("iam").put_role_policy(RoleName="function", PolicyName="read", PolicyDocument=allowed)
taken = me.client("sts").assume_role(RoleArn=role, RoleSessionName="function")["Credentials"]
print(json.dumps({"SECRET": secret, "AWS_ACCESS_KEY_ID": taken["AccessKeyId"],
    "AWS_SECRET_ACCESS_KEY": taken["SecretAccessKey"], "AWS_SESSION_TOKEN": taken["SessionToken"]}))
"""
"""A secret, and the credentials of a role that may read it."""

READ = "import os, secrets_manager; print(secrets_manager.read_secret(os.environ['SECRET']))"


@pytest.mark.slow
def test_the_image_reads_a_secret_as_its_role_and_hears_why_it_may_not(bake: Bake, tmp_path: Path) -> None:
    project = bake(**RICHEST, cloud="aws")
    folder = str(project.path / "deploy" / "docker")
    with aws(tmp_path, INITIAL_NO_AUTH_ACTION_COUNT="3") as variables:
        role = json.loads(Account(project, variables).ask(MAKE_ROLE))
        told = {
            **role,
            "PYTHONPATH": folder,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": variables["AWS_ENDPOINT_URL"],
        }
        assert project.run("python", "-c", READ, **told) == "one,two\n"
        with pytest.raises(AssertionError, match=r"(?s)OSError: 403 .*SignatureDoesNotMatch"):
            project.run("python", "-c", READ, **told | {"AWS_SECRET_ACCESS_KEY": "wrong"})


@pytest.mark.slow
def test_checkov_finds_nothing_but_what_has_its_reason_beside_it(tmp_path: Path) -> None:
    for cloud in KINDS:
        lay_out(tmp_path / cloud, {**RICHEST, "cloud": cloud})
    assert "Failed checks: 0" in scan(tmp_path / "aws" / "deploy" / "terraform", "terraform")
    assert "Failed checks: 0" in scan(tmp_path / "aws-cloudformation" / "deploy" / "aws", "cloudformation")
    storage = tmp_path / "aws" / "deploy" / "terraform" / "aws" / "modules" / "storage" / "main.tf"
    text = storage.read_text(encoding="utf-8")
    storage.write_text(
        text.replace("block_public_policy     = true", "block_public_policy     = false"), "utf-8"
    )
    assert "CKV_AWS_54" in scan(tmp_path / "aws" / "deploy" / "terraform", "terraform")


def scan(folder: Path, framework: str) -> str:
    """Return what checkov says of a folder."""
    command = [
        *UV_TOOL,
        "checkov==3.3.30",
        "checkov",
        "--framework",
        framework,
        "--skip-download",
        "--compact",
    ]
    done = subprocess.run(
        [*command, "--quiet", "--directory", str(folder)],
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )
    return done.stdout + done.stderr
