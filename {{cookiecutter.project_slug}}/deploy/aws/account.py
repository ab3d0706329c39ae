"""The account of an environment: clients of its services, and its refusals in plain words."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError, WaiterError

from .package import ProjectError
from .settings import Outputs, read_outputs

_SIGN_IN = "sign in (`aws sso login`, or a role's variables), or name a profile in AWS_PROFILE"
_QUOTA = "ask for more under Service Quotas, or choose another instance_type, or `spot: false`, in config/aws.yaml"

REMEDIES = {
    "AccessDenied": "the credentials lack that right; to train and to deploy, use the environment's deploy role",
    "ExpiredToken": _SIGN_IN,
    "InvalidClientTokenId": _SIGN_IN,
    "NoSuchBucket": "run `make infra-apply`",
    "PreconditionFailed": "another deploy is under way; wait for it",
    "RepositoryNotFound": "run `make infra-apply`",
    "ResourceConflict": "another change of it is under way; try again in a minute",
    "ResourceLimitExceeded": _QUOTA,
    "UnrecognizedClient": _SIGN_IN,
}
"""What to do, by the code of AWS's error, which some services end with `Exception`."""


@dataclass(frozen=True)
class Account:
    """What the infrastructure of an environment says of itself, and how a client of a service is made."""

    outputs: Outputs
    client: Callable[[str], Any]


def open_account(root: Path, environment: str, *needed: str) -> Account:
    """The account of an environment, of whose outputs these are needed.

    Raises ProjectError where one is empty, or where the credentials belong to another account.
    """
    outputs = read_outputs(root, environment)
    outputs.need(*needed)
    session = open_session(outputs.region)
    found = find_account(session)
    if found != outputs.account_id:
        raise ProjectError(
            f"The credentials belong to account {found}, but {environment} is in {outputs.account_id}; {_SIGN_IN}."
        )
    config = Config(retries={"mode": "standard", "total_max_attempts": 8})
    return Account(outputs, cache(partial(session.client, config=config)))


def open_session(region: str | None = None) -> boto3.Session:
    """A session by the credentials that AWS's own tools find, in a region, or else in that which they find."""
    session = boto3.Session(region_name=region or os.environ.get("AWS_REGION") or None)
    if session.region_name is None:
        raise ProjectError("No region is set: `export AWS_REGION=eu-central-1`, or another.")
    return session


def find_account(session: boto3.Session) -> str:
    """The number of the account that the credentials belong to."""
    return str(session.client("sts").get_caller_identity()["Account"])


@contextmanager
def explained() -> Iterator[None]:
    """Say in one sentence what AWS refused, and what helps. Raises ProjectError in place of botocore's errors."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise ProjectError(f"No credentials are set: {_SIGN_IN}.") from error
    except ClientError as error:
        code, message = error_code(error), error.response["Error"].get("Message", "")
        known = REMEDIES.get(code.removesuffix("Exception"))
        if code == "ValidationException" and "role" in message:
            known = "`make infra-apply` makes the role that jobs run as"
        remedy = f"; {known}" if known else ""
        raise ProjectError(f"AWS refused {error.operation_name} ({code}): {message.rstrip('.')}{remedy}.") from error
    except WaiterError as error:
        last = error.last_response.get("Configuration", error.last_response)
        reason = last.get("LastUpdateStatusReason") or last.get("StateReason") or error
        raise ProjectError(f"AWS could not finish: {reason}") from error
    except (BotoCoreError, Boto3Error) as error:
        raise ProjectError(f"AWS did not answer: {error}") from error


def error_code(error: BotoCoreError | ClientError) -> str:
    """The code of AWS's error; "" where AWS was not reached."""
    return str(error.response["Error"].get("Code", "")) if isinstance(error, ClientError) else ""
