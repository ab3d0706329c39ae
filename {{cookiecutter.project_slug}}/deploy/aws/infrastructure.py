"""What is around Terraform or CloudFormation: the account's bootstrap, the first API key, the file of outputs."""

import os
import secrets
from pathlib import Path
from typing import Annotated, Any

import boto3
import typer
from botocore.exceptions import ClientError

from .account import find_account, open_session
from .package import PROJECT, ProjectError, find_project, write_json
from .settings import find_outputs

TEMPLATE = Path(__file__).with_name("bootstrap.yaml")
PREFIX = PROJECT.replace("_", "-")[:28].strip("-")
"""What the names of buckets begin with; a bucket's name has at most 63 characters and no underscore."""

FINISHED = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"}

ImageUri = Annotated[str, typer.Option(help="Which image the function is first made with.")]
Approve = Annotated[
    bool,
    # Where CI runs it, whoever approved the job approved this.
    typer.Option("--approve", help="Ask nobody.", callback=lambda given: given or bool(os.environ.get("CI"))),
]


def bootstrap() -> None:
    """Make or update what all environments of the account share."""
    session = open_session()
    cloudformation, name = session.client("cloudformation"), f"{PROJECT}-bootstrap"
    template = TEMPLATE.read_text(encoding="utf-8")
    parameters = {"StateBucketName": find_state_bucket(session)} if "StateBucketName:" in template else {}
    stack = find_stack(cloudformation, name)
    if stack is None:
        # What is there already was made by somebody else, and is theirs to keep.
        parameters |= {"LogGroups": "no" if _has_log_groups(session) else "yes"}
        if "OidcProvider:" in template:
            parameters |= {"Issuer": "no" if _has_issuer(session, template) else "yes"}
    elif stack["StackStatus"] not in FINISHED:
        raise ProjectError(f"The stack {name} is {stack['StackStatus']}: wait, or look at it in the console.")
    request = describe_stack(name, template, parameters, stack)
    if stack is None:
        cloudformation.create_stack(**request, OnFailure="DELETE")
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name)
    else:
        update_stack(cloudformation, request)
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


def describe_stack(
    name: str, template: str, parameters: dict[str, str], stack: dict[str, Any] | None
) -> dict[str, Any]:
    """A stack as CloudFormation is asked for it; parameters that are not given stay as the present stack has them."""
    present = {each["ParameterKey"] for each in (stack or {}).get("Parameters", [])} - set(parameters)
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    kept = [{"ParameterKey": key, "UsePreviousValue": True} for key in sorted(present)]
    rights = ["CAPABILITY_NAMED_IAM"]
    return {"StackName": name, "TemplateBody": template, "Parameters": [*given, *kept], "Capabilities": rights}


def update_stack(cloudformation: Any, request: dict[str, Any]) -> None:
    """Update a stack, where there is anything to update."""
    try:
        cloudformation.update_stack(**request)
    except ClientError as error:
        if "No updates" not in str(error):
            raise
    else:
        cloudformation.get_waiter("stack_update_complete").wait(StackName=request["StackName"])


def keep_outputs(session: boto3.Session, outputs: dict[str, str]) -> None:
    """Write what was built where the other commands read it, and see to a first API key."""
    if secret := outputs.get("api_keys_secret_arn"):
        ensure_key(session, secret)
    root = find_project().root
    file = find_outputs(root, outputs["environment"])
    write_json(file, outputs)
    print(f"wrote {file.relative_to(root)}")


def ensure_key(session: boto3.Session, secret: str) -> None:
    """Put a key into a secret that has none yet, so that no template, plan or state has to know it."""
    client = session.client("secretsmanager")
    if not client.describe_secret(SecretId=secret).get("VersionIdsToStages"):
        client.put_secret_value(SecretId=secret, SecretString=secrets.token_hex(32))
        print(f"put a first API key into {secret}")


def forget_outputs(environment: str) -> None:
    """Remove the file of an environment that is gone."""
    find_outputs(find_project().root, environment).unlink(missing_ok=True)


def _has_log_groups(session: boto3.Session) -> bool:
    found = session.client("logs").describe_log_groups(logGroupNamePrefix="/aws/sagemaker/")
    return any(group["logGroupName"].endswith(("/TrainingJobs", "/ProcessingJobs")) for group in found["logGroups"])


def _has_issuer(session: boto3.Session, template: str) -> bool:
    host = template.partition("Url: https://")[2].split()[0]
    found = session.client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"]
    return any(provider["Arn"].endswith(f"oidc-provider/{host}") for provider in found)
