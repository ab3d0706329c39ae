"""`make push-images`: the images to ECR, unless it has them; their addresses by digest.

In Python, since the AWS command line that a shell script would need is one more thing to install.
"""

from .account import open_account
from .command import Environment, run_command
from .images import ensure_pushed, find_images
from .package import find_project


def push(environment: Environment = "staging") -> None:
    """Build and push what ECR lacks, and print each image's address by digest."""
    project = find_project()
    account = open_account(project.root, environment)
    for image in find_images(project, account.outputs):
        print(ensure_pushed(account, project, image))


if __name__ == "__main__":
    run_command(push)
