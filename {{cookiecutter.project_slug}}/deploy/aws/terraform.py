"""Terraform with an environment's state and variables, for `make infra-plan` and its like; it shows each command."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from typing import Any

import boto3
from botocore.exceptions import ClientError

from .infrastructure import (
    ROOT,
    InfrastructureError,
    Request,
    bootstrap,
    find_state_bucket,
    forget_outputs,
    keep_outputs,
    open_session,
    run,
)

FOLDER = ROOT / "deploy" / "terraform" / "aws"


def plan(request: Request) -> None:
    """Show what an apply would change; whoever may only read can do so."""
    session = begin(request)
    terraform(session, request.environment, "plan", "-input=false", "-lock=false", *variables(session, request))


def apply(request: Request) -> None:
    """Build or change it, and write the outputs."""
    session = begin(request)
    approval = ["-auto-approve", "-input=false"] if request.is_approved else []
    terraform(session, request.environment, "apply", *approval, *variables(session, request))
    keep_outputs(session, read_outputs(session, request.environment)["summary"])


def outputs(request: Request) -> None:
    """Write the outputs of what is there, for whoever did not build it."""
    session = begin(request)
    found = read_outputs(session, request.environment)
    if "summary" not in found:
        raise InfrastructureError(f"Nothing is built: run `make infra-apply ENVIRONMENT={request.environment}`.")
    keep_outputs(session, found["summary"])


def destroy(request: Request) -> None:
    """Take it down, where its buckets and repositories may be deleted with what is in them."""
    session = begin(request)
    if read_outputs(session, request.environment).get("deletable") is False:
        file = f"deploy/terraform/aws/{request.environment}.tfvars"
        raise InfrastructureError(
            f"{request.environment} keeps its data: set `deletable = true` in {file} and run "
            f"`make infra-apply ENVIRONMENT={request.environment}` first, then this again."
        )
    approval = ["-auto-approve", "-input=false"] if request.is_approved else []
    terraform(session, request.environment, "destroy", *approval, *variables(session, request))
    forget_outputs(request.environment)


def check(_: Request) -> None:
    """Hold the files to Terraform's format, types and tests; no account is asked."""
    terraform(None, "check", "fmt", "-check", "-recursive", "-diff")
    terraform(None, "check", "init", "-backend=false", "-input=false")
    terraform(None, "check", "validate")
    terraform(None, "check", "test")


def begin(request: Request) -> boto3.Session:
    """Sign in and make the state of an environment known to Terraform."""
    session = open_session()
    bucket = find_state_bucket(session)
    try:
        session.client("s3").head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"].get("Code") not in ("404", "NoSuchBucket"):
            raise
        raise InfrastructureError(f"There is no bucket {bucket} for the state: run `make infra-bootstrap`.") from error
    backend = {"bucket": bucket, "key": f"{request.environment}.tfstate", "region": session.region_name}
    settings = (f"-backend-config={name}={value}" for name, value in backend.items())
    terraform(session, request.environment, "init", "-input=false", "-reconfigure", *settings)
    return session


def variables(session: boto3.Session, request: Request) -> list[str]:
    """The variables of an environment; the image that the function was made with stays, unless another is given."""
    given = [f"-var-file={request.environment}.tfvars"]
    if (FOLDER / "serving.tf").exists():
        image = request.image_uri or read_outputs(session, request.environment).get("image_uri", "")
        given.append(f"-var=image_uri={image}")
    return given


def read_outputs(session: boto3.Session, environment: str) -> dict[str, Any]:
    """What the state says was built."""
    found = json.loads(terraform(session, environment, "output", "-json", is_read=True))
    return {name: output["value"] for name, output in found.items()}


def terraform(session: boto3.Session | None, environment: str, *arguments: str, is_read: bool = False) -> str:
    """Run Terraform with a folder of an environment's own; what it printed, where that is to be read."""
    program = shutil.which("terraform")
    if program is None:
        raise InfrastructureError("Terraform is not here: https://developer.hashicorp.com/terraform/install")
    settings = {**os.environ, "TF_DATA_DIR": str(FOLDER / ".terraform" / environment), "TF_IN_AUTOMATION": "yes"}
    if session is not None:
        settings["AWS_REGION"] = session.region_name
    if not is_read:
        print(f"+ terraform {shlex.join(arguments)}", flush=True)
    command = [program, f"-chdir={FOLDER}", *arguments]
    done = subprocess.run(command, env=settings, stdout=subprocess.PIPE if is_read else None, encoding="utf-8")  # noqa: S603
    if done.returncode:
        sys.exit(done.returncode)  # it has said why
    return done.stdout or ""


if __name__ == "__main__":
    run(bootstrap, plan, apply, outputs, destroy, check)
