"""What is around Terraform or CloudFormation: the account's bootstrap, the first API key, the file of outputs."""

import argparse
import json
import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

PROJECT = "{{ cookiecutter.project_slug }}"
ROOT = Path(__file__).parents[2]
OUTPUTS = ROOT / "deploy" / "outputs"
TEMPLATE = Path(__file__).with_name("bootstrap.yaml")
PREFIX = PROJECT.replace("_", "-")[:28].strip("-")
"""What the names of buckets begin with; a bucket's name has at most 63 characters and no underscore."""

FINISHED = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"}


class InfrastructureError(Exception):
    """Something that whoever runs the command can change; its message says what."""


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line."""

    action: str
    environment: str
    image_uri: str
    is_approved: bool


def run(*functions: Callable[[Request], None]) -> None:
    """Do the action that the command line names; an error is one line and exit code 1."""
    actions = {function.__name__: function for function in functions}
    parser = argparse.ArgumentParser(description="Build what the project needs on AWS.")
    parser.add_argument("action", choices=actions)
    parser.add_argument("--environment", choices=("staging", "production"), default="staging")
    parser.add_argument("--image-uri", default="", help="which image the function is first made with")
    parser.add_argument("--approve", action="store_true", help="ask nobody")
    given = parser.parse_args()
    # Where CI runs it, whoever approved the job approved this.
    approved = given.approve or bool(os.environ.get("CI"))
    try:
        actions[given.action](Request(given.action, given.environment, given.image_uri, approved))
    except InfrastructureError as error:
        sys.exit(f"error: {error}")
    except ClientError as error:
        sys.exit(f"error: AWS refused {error.operation_name}: {error.response['Error'].get('Message', error)}")
    except (BotoCoreError, WaiterError) as error:
        sys.exit(f"error: AWS did not do it: {error}")


def open_session() -> boto3.Session:
    """A session by the credentials and the region that AWS's own tools find."""
    session = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
    if session.region_name is None:
        raise InfrastructureError("No region is set: `export AWS_REGION=eu-central-1`, or another.")
    if session.get_credentials() is None:
        raise InfrastructureError("No credentials are set: sign in, as by `aws sso login`, or set AWS_PROFILE.")
    return session


def find_account(session: boto3.Session) -> str:
    """The number of the account that the credentials belong to."""
    return str(session.client("sts").get_caller_identity()["Account"])


def bootstrap(_: Request) -> None:
    """Make or update what all environments of the account share."""
    session = open_session()
    cloudformation, name = session.client("cloudformation"), f"{PROJECT}-bootstrap"
    template = TEMPLATE.read_text(encoding="utf-8")
    parameters = {"StateBucketName": find_state_bucket(session)} if "StateBucketName:" in template else {}
    if find_stack(cloudformation, name) is None:
        # What is there already was made by somebody else, and is theirs to keep.
        parameters |= {"LogGroups": "no" if _has_log_groups(session) else "yes"}
        if "OidcProvider:" in template:
            parameters |= {"Issuer": "no" if _has_issuer(session, template) else "yes"}
    put_stack(cloudformation, name, template, parameters)
    print(f"{name} is complete")


def find_state_bucket(session: boto3.Session) -> str:
    """Where Terraform's state is."""
    return f"{PREFIX}-state-{find_account(session)}"


def find_stack(cloudformation: Any, name: str) -> dict[str, Any] | None:
    """What CloudFormation says of a stack; None where there is none."""
    try:
        [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return dict(stack)


def put_stack(cloudformation: Any, name: str, template: str, parameters: dict[str, str]) -> None:
    """Create a stack, or update it; parameters that are not given stay as they were."""
    stack = find_stack(cloudformation, name)
    request: dict[str, Any] = {"StackName": name, "TemplateBody": template, "Capabilities": ["CAPABILITY_NAMED_IAM"]}
    request["Parameters"] = list_parameters(stack, parameters)
    if stack is None:
        cloudformation.create_stack(**request, OnFailure="DELETE")
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name)
        return
    if stack["StackStatus"] not in FINISHED:
        raise InfrastructureError(f"The stack {name} is {stack['StackStatus']}: wait, or look at it in the console.")
    try:
        cloudformation.update_stack(**request)
    except ClientError as error:
        if "No updates" not in str(error):
            raise
    else:
        cloudformation.get_waiter("stack_update_complete").wait(StackName=name)


def list_parameters(stack: dict[str, Any] | None, given: dict[str, str]) -> list[dict[str, Any]]:
    """Parameters as CloudFormation wants them: those given, and for the others the values that the stack has."""
    known = {each["ParameterKey"] for each in (stack or {}).get("Parameters", [])} - set(given)
    return [
        *({"ParameterKey": name, "ParameterValue": value} for name, value in given.items()),
        *({"ParameterKey": name, "UsePreviousValue": True} for name in sorted(known)),
    ]


def keep_outputs(session: boto3.Session, outputs: dict[str, str]) -> None:
    """Write what was built where the other commands read it, and see to a first API key."""
    secret = outputs.get("api_keys_secret_arn")
    if secret:
        ensure_key(session, secret)
    OUTPUTS.mkdir(exist_ok=True)
    file = OUTPUTS / f"{outputs['environment']}.json"
    unfinished = file.with_suffix(".new")
    unfinished.write_text(json.dumps(outputs, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(file)
    print(f"wrote {file.relative_to(ROOT)}")


def ensure_key(session: boto3.Session, secret: str) -> None:
    """Put a key into a secret that has none yet, so that no template, plan or state has to know it."""
    client = session.client("secretsmanager")
    if not client.describe_secret(SecretId=secret).get("VersionIdsToStages"):
        client.put_secret_value(SecretId=secret, SecretString=secrets.token_hex(32))
        print(f"put a first API key into {secret}")


def forget_outputs(environment: str) -> None:
    """Remove the file of an environment that is gone."""
    (OUTPUTS / f"{environment}.json").unlink(missing_ok=True)


def _has_log_groups(session: boto3.Session) -> bool:
    found = session.client("logs").describe_log_groups(logGroupNamePrefix="/aws/sagemaker/")
    return any(group["logGroupName"].endswith(("/TrainingJobs", "/ProcessingJobs")) for group in found["logGroups"])


def _has_issuer(session: boto3.Session, template: str) -> bool:
    host = template.partition("Url: https://")[2].split()[0]
    found = session.client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"]
    return any(provider["Arn"].endswith(f"oidc-provider/{host}") for provider in found)
