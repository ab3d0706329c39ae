"""`make push-images`: the images to ECR, unless it has them; their addresses by digest.

In Python, since the AWS command line that a shell script would need is one more thing to install.
"""

# {% if cookiecutter.serving != "none" %}
import sys

# {% endif %}
from .account import open_account
from .command import Environment, run_command
# {% if cookiecutter.serving != "none" %}
from .images import ensure_pushed, serving_image, training_image
from .package import Registry, find_project
# {% else %}
from .images import ensure_pushed, training_image
from .package import find_project
# {% endif %}
from .settings import read_outputs


def push(environment: Environment = "staging") -> None:
    """Build and push what ECR lacks, and print each image's address by digest."""
    project = find_project()
    outputs = read_outputs(project.root, environment)
    images = []
    if outputs.training_repository_url:
        images.append(training_image(project, outputs.training_repository_url))
    # {% if cookiecutter.serving != "none" %}
    if outputs.serving_repository_url and Registry(project.models).latest():
        images.append(serving_image(project, outputs.serving_repository_url))
    elif outputs.serving_repository_url:
        sys.stderr.write("The image of the API has a model in it, and none was promoted yet: it comes later.\n")
    # {% endif %}
    account = open_account(outputs)
    for image in images:
        print(ensure_pushed(account, project, image))


if __name__ == "__main__":
    run_command(push)
