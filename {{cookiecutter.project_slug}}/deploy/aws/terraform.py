"""Terraform with an environment's state and variables, for `make infra-plan` and its like; it shows each command."""

import json
import os
import shlex
from pathlib import Path
from subprocess import PIPE
from typing import Any

import boto3
from botocore.exceptions import ClientError

from .account import error_code, open_session
from .command import Environment, run_command, run_program
from .infrastructure import Approve, ImageUri, bootstrap, find_state_bucket, forget_outputs, keep_outputs
from .package import ProjectError

FOLDER = Path(__file__).parents[1] / "terraform" / "aws"
APPROVED = ("-auto-approve", "-input=false")


def plan(environment: Environment = "staging", image_uri: ImageUri = "") -> None:
    """Show what an apply would change; whoever may only read can do so."""
    begin(environment)
    terraform(environment, "plan", "-input=false", "-lock=false", *list_variables(environment, image_uri))


def apply(environment: Environment = "staging", image_uri: ImageUri = "", approve: Approve = False) -> None:
    """Build or change it, and write the outputs."""
    session = begin(environment)
    terraform(environment, "apply", *(APPROVED if approve else ()), *list_variables(environment, image_uri))
    keep_outputs(session, read_outputs(environment)["summary"])


def outputs(environment: Environment = "staging") -> None:
    """Write the outputs of what is there, for whoever did not build it."""
    session = begin(environment)
    found = read_outputs(environment)
    if "summary" not in found:
        raise ProjectError(f"Nothing is built: run `make infra-apply ENVIRONMENT={environment}`.")
    keep_outputs(session, found["summary"])


def destroy(environment: Environment = "staging", approve: Approve = False) -> None:
    """Take it down, where its buckets and repositories may be deleted with what is in them."""
    begin(environment)
    if read_outputs(environment).get("deletable") is False:
        raise ProjectError(
            f"{environment} keeps its data: set `deletable = true` in deploy/terraform/aws/{environment}.tfvars and "
            f"run `make infra-apply ENVIRONMENT={environment}` first, then this again."
        )
    terraform(environment, "destroy", *(APPROVED if approve else ()), *list_variables(environment))
    forget_outputs(environment)


def check() -> None:
    """Hold the files to Terraform's format, types and tests; no account is asked."""
    terraform("check", "fmt", "-check", "-recursive", "-diff")
    terraform("check", "init", "-backend=false", "-input=false")
    terraform("check", "validate")
    terraform("check", "test")


def begin(environment: str) -> boto3.Session:
    """Sign in and make the state of an environment known to Terraform."""
    session = open_session()
    os.environ["AWS_REGION"] = session.region_name  # so that Terraform's provider builds where its state is
    bucket = find_state_bucket(session)
    try:
        session.client("s3").head_bucket(Bucket=bucket)
    except ClientError as error:
        if error_code(error) not in ("404", "NoSuchBucket"):
            raise
        raise ProjectError(f"There is no bucket {bucket} for the state: run `make infra-bootstrap`.") from error
    backend = {"bucket": bucket, "key": f"{environment}.tfstate", "region": session.region_name}
    settings = (f"-backend-config={name}={value}" for name, value in backend.items())
    terraform(environment, "init", "-input=false", "-reconfigure", *settings)
    return session


def list_variables(environment: str, image_uri: str = "") -> list[str]:
    """The variables of an environment; the image that the function was made with stays, unless another is given."""
    given = [f"-var-file={environment}.tfvars"]
    if (FOLDER / "serving.tf").exists():
        given.append(f"-var=image_uri={image_uri or read_outputs(environment).get('image_uri', '')}")
    return given


def read_outputs(environment: str) -> dict[str, Any]:
    """What the state says was built."""
    found = json.loads(terraform(environment, "output", "-json", is_read=True))
    return {name: output["value"] for name, output in found.items()}


def terraform(environment: str, *arguments: str, is_read: bool = False) -> str:
    """Run Terraform with a folder of an environment's own; what it printed, where that is to be read."""
    if not is_read:
        print(f"+ terraform {shlex.join(arguments)}", flush=True)
    settings = {**os.environ, "TF_DATA_DIR": str(FOLDER / ".terraform" / environment), "TF_IN_AUTOMATION": "yes"}
    output, remedy = PIPE if is_read else None, "install it: https://developer.hashicorp.com/terraform/install"
    return run_program("terraform", *arguments, remedy=remedy, cwd=FOLDER, env=settings, stdout=output)


if __name__ == "__main__":
    run_command(bootstrap, plan, apply, outputs, destroy, check)
