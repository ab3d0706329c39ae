"""The account of an environment: clients of its services, and its refusals in plain words."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError, WaiterError

from .package import ProjectError
from .settings import Outputs

_SIGN_IN = "sign in (`aws sso login`, or a role's variables), or name a profile in AWS_PROFILE"
_QUOTA = "ask for more under Service Quotas, or choose another instance_type, or `spot: false`, in config/aws.yaml"
_ROLE = "`make infra-apply` makes the role that jobs run as"
_RIGHTS = "whoever the credentials belong to lacks that right; use the environment's deploy role"

REMEDIES = {
    "AccessDenied": _RIGHTS,
    "AccessDeniedException": _RIGHTS,
    "ExpiredToken": _SIGN_IN,
    "ExpiredTokenException": _SIGN_IN,
    "InvalidClientTokenId": _SIGN_IN,
    "NoSuchBucket": "run `make infra-apply`",
    "PreconditionFailedException": "another deploy is under way; wait for it",
    "RepositoryNotFoundException": "run `make infra-apply`",
    "ResourceConflictException": "another change of it is under way; try again in a minute",
    "ResourceLimitExceeded": _QUOTA,
    "UnrecognizedClientException": _SIGN_IN,
}
"""What to do, by the code of AWS's error."""


@dataclass(frozen=True)
class Account:
    """What the infrastructure of an environment says of itself, and how a client of a service is made."""

    outputs: Outputs
    client: Callable[[str], Any]

    @cached_property
    def s3(self) -> Any:
        return self.client("s3")


def open_account(outputs: Outputs) -> Account:
    """The account of an environment, by the credentials that AWS's own tools find.

    Raises ProjectError where there are none, or where they belong to another account.
    """
    config = Config(region_name=outputs.region, retries={"mode": "standard", "total_max_attempts": 8})
    session = boto3.Session()
    account = Account(outputs, lambda service: session.client(service, config=config))
    with explained():
        found = account.client("sts").get_caller_identity()["Account"]
    if found != outputs.account_id:
        raise ProjectError(
            f"The credentials belong to account {found}, but {outputs.environment} is in {outputs.account_id}; "
            f"{_SIGN_IN}."
        )
    return account


@contextmanager
def explained() -> Iterator[None]:
    """Say in one sentence what AWS refused, and what helps. Raises ProjectError in place of botocore's errors."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise ProjectError(f"There are no credentials for AWS; {_SIGN_IN}.") from error
    except ClientError as error:
        code, message = error_code(error), error.response["Error"].get("Message", "")
        known = _ROLE if code == "ValidationException" and "role" in message else REMEDIES.get(code)
        remedy = f"; {known}" if known else ""
        raise ProjectError(f"AWS refused {error.operation_name} ({code}): {message.rstrip('.')}{remedy}.") from error
    except WaiterError as error:
        last = error.last_response.get("Configuration", error.last_response)
        reason = last.get("LastUpdateStatusReason") or last.get("StateReason") or error
        raise ProjectError(f"AWS could not finish: {reason}") from error
    except BotoCoreError as error:
        raise ProjectError(f"AWS did not answer: {error}") from error


def error_code(error: ClientError) -> str:
    """The code of AWS's error."""
    return str(error.response["Error"].get("Code", ""))
