"""CloudFormation with an environment's parameters, for `make infra-plan` and its like: change sets, shown first."""

import json
import re
from pathlib import Path
from typing import Any

from botocore.exceptions import WaiterError

from .account import open_session
from .command import Environment, run_command, run_program
from .infrastructure import (
    PREFIX,
    TEMPLATE,
    Approve,
    ImageUri,
    bootstrap,
    describe_stack,
    find_stack,
    forget_outputs,
    keep_outputs,
)
from .package import PROJECT, ProjectError

FOLDER = Path(__file__).with_name("cloudformation")
CHANGE_SET = "make-infra"


def plan(environment: Environment = "staging", image_uri: ImageUri = "") -> None:
    """Show what an apply would change, and leave nothing behind."""
    cloudformation, name = open_session().client("cloudformation"), name_stack(environment)
    stack = find_stack(cloudformation, name)
    if propose(cloudformation, stack, environment, image_uri):
        cloudformation.delete_change_set(StackName=name, ChangeSetName=CHANGE_SET)
    if stack is None:
        cloudformation.delete_stack(StackName=name)  # the empty one that a change set needs


def apply(environment: Environment = "staging", image_uri: ImageUri = "", approve: Approve = False) -> None:
    """Build or change it, and write the outputs."""
    session = open_session()
    cloudformation, name = session.client("cloudformation"), name_stack(environment)
    stack = find_stack(cloudformation, name)
    if propose(cloudformation, stack, environment, image_uri):
        if not approve and input("Do it? Only `yes` will be accepted: ") != "yes":
            raise ProjectError("Nothing was changed.")
        cloudformation.execute_change_set(StackName=name, ChangeSetName=CHANGE_SET)
        kind = "stack_create_complete" if is_empty(stack) else "stack_update_complete"
        cloudformation.get_waiter(kind).wait(StackName=name)
    keep_outputs(session, read_outputs(cloudformation, environment))


def outputs(environment: Environment = "staging") -> None:
    """Write the outputs of what is there, for whoever did not build it."""
    session = open_session()
    keep_outputs(session, read_outputs(session.client("cloudformation"), environment))


def destroy(environment: Environment = "staging", approve: Approve = False) -> None:
    """Take it down, where its buckets may be deleted with what is in them."""
    session = open_session()
    cloudformation, name = session.client("cloudformation"), name_stack(environment)
    stack = find_stack(cloudformation, name)
    if stack is None:
        raise ProjectError(f"There is no stack {name}.")
    if ("Deletable", "yes") not in ((each["ParameterKey"], each["ParameterValue"]) for each in stack["Parameters"]):
        raise ProjectError(
            f"{environment} keeps its data: set Deletable to yes in {name_parameters(environment)} and run "
            f"`make infra-apply ENVIRONMENT={environment}` first, then this again."
        )
    if not approve and input(f"Delete {name} and all its data? Only `yes` will be accepted: ") != "yes":
        raise ProjectError("Nothing was deleted.")
    # Those that the stack made, not those that it was pointed at.
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
    for resource in (resource for page in pages for resource in page["StackResourceSummaries"]):
        if resource["ResourceType"] == "AWS::S3::Bucket":
            session.resource("s3").Bucket(resource["PhysicalResourceId"]).object_versions.delete()
    cloudformation.delete_stack(StackName=name)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=name)
    forget_outputs(environment)
    print(f"{name} is gone")


def check() -> None:
    """Hold the templates to CloudFormation's types; no account is asked."""
    run_program("cfn-lint", str(FOLDER / "stack.yaml"), str(TEMPLATE), remedy="run `make setup`")


def propose(cloudformation: Any, stack: dict[str, Any] | None, environment: str, image_uri: str) -> bool:
    """Make a change set and show it; whether there is anything to change, which may be an output or a tag alone."""
    name, template = name_stack(environment), (FOLDER / "stack.yaml").read_text(encoding="utf-8")
    change_set = {"StackName": name, "ChangeSetName": CHANGE_SET}
    tags = {"Project": PROJECT, "Environment": environment, "ManagedBy": "cloudformation"}
    cloudformation.create_change_set(
        **describe_stack(name, template, read_parameters(environment, image_uri), stack),
        ChangeSetName=CHANGE_SET,
        ChangeSetType="CREATE" if is_empty(stack) else "UPDATE",
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )
    try:
        cloudformation.get_waiter("change_set_create_complete").wait(**change_set)
    except WaiterError as error:
        reason = str(error.last_response.get("StatusReason", error))
        cloudformation.delete_change_set(**change_set)
        if "didn't contain changes" not in reason and "No updates" not in reason:
            raise ProjectError(f"CloudFormation takes no such change: {reason}") from error
        print("No changes.")
        return False
    pages = cloudformation.get_paginator("describe_change_set").paginate(**change_set)
    changes = [change["ResourceChange"] for page in pages for change in page["Changes"]]
    for change in changes:
        replaced = ", which makes it anew" if change.get("Replacement") == "True" else ""
        print(f"{change['Action']:8}{change['ResourceType']:32}{change['LogicalResourceId']}{replaced}")
    print(f"{len(changes)} changes of resources.")
    return True


def read_parameters(environment: str, image_uri: str) -> dict[str, str]:
    """What the file of an environment says, and what follows from the project."""
    try:
        given = json.loads((FOLDER / f"{environment}.json").read_bytes())
    except ValueError as error:
        raise ProjectError(f"{name_parameters(environment)} is no JSON: {error}") from error
    image = {"ImageUri": image_uri} if image_uri else {}
    return {"Environment": environment, "BucketPrefix": PREFIX, **given, **image}


def read_outputs(cloudformation: Any, environment: str) -> dict[str, str]:
    """What the stack says was built, under the names of the file."""
    stack = find_stack(cloudformation, name_stack(environment))
    if stack is None or is_empty(stack):
        raise ProjectError(f"Nothing is built: run `make infra-apply ENVIRONMENT={environment}`.")
    found = {output["OutputKey"]: output.get("OutputValue", "") for output in stack["Outputs"]}
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): value for name, value in found.items()}


def name_stack(environment: str) -> str:
    """How an environment's stack is called."""
    return f"{PROJECT}-{environment}"


def name_parameters(environment: str) -> str:
    """The file of an environment's parameters, as a person finds it."""
    return f"deploy/aws/cloudformation/{environment}.json"


def is_empty(stack: dict[str, Any] | None) -> bool:
    """Tell whether there is no stack yet, or one with nothing in it."""
    return stack is None or stack["StackStatus"] == "REVIEW_IN_PROGRESS"


if __name__ == "__main__":
    run_command(bootstrap, plan, apply, outputs, destroy, check)
