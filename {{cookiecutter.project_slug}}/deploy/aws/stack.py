"""CloudFormation with an environment's parameters, for `make infra-plan` and its like: change sets, shown first."""

import json
import re
import shutil
import subprocess
import sys
from typing import Any

from botocore.exceptions import WaiterError

from .infrastructure import (
    PREFIX,
    PROJECT,
    ROOT,
    InfrastructureError,
    Request,
    bootstrap,
    find_stack,
    forget_outputs,
    keep_outputs,
    list_parameters,
    open_session,
    run,
)

FOLDER = ROOT / "deploy" / "aws" / "cloudformation"
CHANGE_SET = "make-infra"


def plan(request: Request) -> None:
    """Show what an apply would change, and leave nothing behind."""
    cloudformation, name = open_session().client("cloudformation"), f"{PROJECT}-{request.environment}"
    made = find_stack(cloudformation, name)
    if propose(cloudformation, name, request):
        cloudformation.delete_change_set(StackName=name, ChangeSetName=CHANGE_SET)
    if made is None:
        cloudformation.delete_stack(StackName=name)  # the empty one that a change set needs


def apply(request: Request) -> None:
    """Build or change it, and write the outputs."""
    session = open_session()
    cloudformation, name = session.client("cloudformation"), f"{PROJECT}-{request.environment}"
    made = find_stack(cloudformation, name)
    if propose(cloudformation, name, request):
        if not request.is_approved and input("Do it? Only `yes` will be accepted: ") != "yes":
            raise InfrastructureError("Nothing was changed.")
        cloudformation.execute_change_set(StackName=name, ChangeSetName=CHANGE_SET)
        kind = "stack_create_complete" if is_new(made) else "stack_update_complete"
        cloudformation.get_waiter(kind).wait(StackName=name)
    keep_outputs(session, read_outputs(cloudformation, request.environment))


def outputs(request: Request) -> None:
    """Write the outputs of what is there, for whoever did not build it."""
    session = open_session()
    keep_outputs(session, read_outputs(session.client("cloudformation"), request.environment))


def destroy(request: Request) -> None:
    """Take it down, where its buckets may be deleted with what is in them."""
    session = open_session()
    cloudformation, name = session.client("cloudformation"), f"{PROJECT}-{request.environment}"
    stack = find_stack(cloudformation, name)
    if stack is None:
        raise InfrastructureError(f"There is no stack {name}.")
    if {"ParameterKey": "Deletable", "ParameterValue": "yes"}.items() not in map(dict.items, stack["Parameters"]):
        raise InfrastructureError(
            f"{request.environment} keeps its data: set Deletable to yes in {shown(request)} and run "
            f"`make infra-apply ENVIRONMENT={request.environment}` first, then this again."
        )
    if not request.is_approved and input(f"Delete {name} and all its data? Only `yes` will be accepted: ") != "yes":
        raise InfrastructureError("Nothing was deleted.")
    for bucket in made_buckets(cloudformation, name):
        session.resource("s3").Bucket(bucket).object_versions.delete()
    cloudformation.delete_stack(StackName=name)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=name)
    forget_outputs(request.environment)
    print(f"{name} is gone")


def check(_: Request) -> None:
    """Hold the templates to CloudFormation's types; no account is asked."""
    program = shutil.which("cfn-lint")
    if program is None:
        raise InfrastructureError("cfn-lint is not here: run `make setup`.")
    templates = [str(FOLDER / "stack.yaml"), str(FOLDER.with_name("bootstrap.yaml"))]
    sys.exit(subprocess.run([program, *templates]).returncode)  # noqa: S603


def propose(cloudformation: Any, name: str, request: Request) -> bool:
    """Make a change set and show it; whether there is anything to change, which may be an output or a tag alone."""
    stack = find_stack(cloudformation, name)
    tags = {"Project": PROJECT, "Environment": request.environment, "ManagedBy": "cloudformation"}
    cloudformation.create_change_set(
        StackName=name,
        ChangeSetName=CHANGE_SET,
        ChangeSetType="CREATE" if is_new(stack) else "UPDATE",
        TemplateBody=(FOLDER / "stack.yaml").read_text(encoding="utf-8"),
        Parameters=list_parameters(stack, parameters(request)),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )
    try:
        cloudformation.get_waiter("change_set_create_complete").wait(StackName=name, ChangeSetName=CHANGE_SET)
    except WaiterError as error:
        reason = str(error.last_response.get("StatusReason", error))
        cloudformation.delete_change_set(StackName=name, ChangeSetName=CHANGE_SET)
        if "didn't contain changes" not in reason and "No updates" not in reason:
            raise InfrastructureError(f"CloudFormation takes no such change: {reason}") from error
        print("No changes.")
        return False
    pages = cloudformation.get_paginator("describe_change_set").paginate(StackName=name, ChangeSetName=CHANGE_SET)
    changes = [change["ResourceChange"] for page in pages for change in page["Changes"]]
    for change in changes:
        replaced = ", which makes it anew" if change.get("Replacement") == "True" else ""
        print(f"{change['Action']:8}{change['ResourceType']:32}{change['LogicalResourceId']}{replaced}")
    print(f"{len(changes)} changes of resources.")
    return True


def parameters(request: Request) -> dict[str, str]:
    """What the file of an environment says, and what follows from the project."""
    try:
        given = json.loads((FOLDER / f"{request.environment}.json").read_bytes())
    except ValueError as error:
        raise InfrastructureError(f"{shown(request)} is no JSON: {error}") from error
    image = {"ImageUri": request.image_uri} if request.image_uri else {}
    return {"Environment": request.environment, "BucketPrefix": PREFIX, **given, **image}


def shown(request: Request) -> str:
    """The file of an environment's parameters, as a person finds it."""
    return f"deploy/aws/cloudformation/{request.environment}.json"


def is_new(stack: dict[str, Any] | None) -> bool:
    """Tell whether a stack has nothing in it yet."""
    return stack is None or stack["StackStatus"] == "REVIEW_IN_PROGRESS"


def made_buckets(cloudformation: Any, name: str) -> list[str]:
    """The buckets that a stack made, not those that it was pointed at."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
    resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
    return [each["PhysicalResourceId"] for each in resources if each["ResourceType"] == "AWS::S3::Bucket"]


def read_outputs(cloudformation: Any, environment: str) -> dict[str, str]:
    """What the stack says was built, under the names of the file."""
    stack = find_stack(cloudformation, f"{PROJECT}-{environment}")
    if is_new(stack) or stack is None:
        raise InfrastructureError(f"Nothing is built: run `make infra-apply ENVIRONMENT={environment}`.")
    found = {output["OutputKey"]: output.get("OutputValue", "") for output in stack["Outputs"]}
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): value for name, value in found.items()}


if __name__ == "__main__":
    run(bootstrap, plan, apply, outputs, destroy, check)
