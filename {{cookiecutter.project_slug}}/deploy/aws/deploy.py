"""`make deploy`: the image with `latest` onto Lambda, tried, let in by a canary, and out again where that fails."""

from typing import Annotated

import typer

from .account import Account, open_account
from .command import Environment, run_command
from .copying import copy_image
from .images import ensure_pushed, serving_image
from .jobs import terminable
from .package import Project, ProjectError, find_project
from .settings import DeploymentSettings, read_aws_settings
from .smoke import try_address, try_version
from .traffic import describe_version, read_alias, shift

NEEDED = ("serving_repository_url", "function_name", "api_url", "api_keys_secret_arn", "alarm_name")
"""The outputs without which nothing is deployed."""

Canary = Annotated[bool, typer.Option(help="Without one, a version that passed its test gets all requests at once.")]
Given = Annotated[
    str, typer.Option(help="An image by digest, such as staging's; without one, ECR has it or it is built.")
]


def deploy(environment: Environment = "staging", image: Given = "", canary: Canary = True) -> None:
    """Deploy models/latest to an environment."""
    project = find_project()
    settings = read_aws_settings(project.root).deployment
    account = open_account(project.root, environment, *NEEDED)
    wanted = serving_image(project, account.outputs.serving_repository_url)
    with terminable():
        address = copy_image(account, image, wanted) if image else ensure_pushed(account, project, wanted)
        version = publish(account, address, wanted.tag)
        try_version(account, project, version)
        put_into_service(account, project, version, settings if canary else None)
    print(f"{environment} answers with version {version} at {account.outputs.api_url}")
    print(address)


def publish(account: Account, image: str, tag: str) -> str:
    """Give the function an image; the version that this made, which nobody is sent to yet."""
    client, name = account.client("lambda"), account.outputs.function_name
    try:
        present = client.get_function(FunctionName=name)["Code"]
    except client.exceptions.ResourceNotFoundException as error:
        raise ProjectError(
            f"The function {name} does not exist yet, since it is made of an image. ECR has one now; run `make "
            f"infra-apply ENVIRONMENT={account.outputs.environment} IMAGE_URI={image}`, then `make deploy` again."
        ) from error
    if image not in (present.get("ResolvedImageUri"), present.get("ImageUri")):
        client.update_function_code(FunctionName=name, ImageUri=image)
        client.get_waiter("function_updated_v2").wait(FunctionName=name)
    # The same image and settings once more give the same version.
    description = describe_version(tag, read_alias(account).version)
    version = str(client.publish_version(FunctionName=name, Description=description)["Version"])
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier=version)
    return version


def put_into_service(account: Account, project: Project, version: str, settings: DeploymentSettings | None) -> None:
    """Send requests to a version, by a canary where there are settings for one."""
    alias = read_alias(account)
    if alias.canary:
        raise ProjectError(
            f"Version {alias.canary} is a canary of another deploy; wait for it, or end it: "
            f"`make deploy-rollback ENVIRONMENT={account.outputs.environment}`."
        )
    if alias.version == version:
        try_address(account, project)
        return
    share, seconds = (settings.canary_share, 60 * settings.watch_minutes) if settings else (0.0, 0.0)
    shift(account, version, share, seconds, lambda: try_address(account, project))


if __name__ == "__main__":
    run_command(deploy)
