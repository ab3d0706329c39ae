"""`make dvc-remote`: an environment's bucket becomes DVC's default remote, in `.dvc/config`, which git keeps."""

from .command import Environment, run_command, run_program
from .package import find_project
from .settings import read_outputs


def set_remote(environment: Environment = "staging") -> None:
    """Name the bucket of the outputs to DVC."""
    outputs = read_outputs(find_project().root, environment)
    for arguments in (
        ("add", "--default", "--force", "storage", f"s3://{outputs.data_bucket}/dvc"),
        ("modify", "storage", "region", outputs.region),
    ):
        run_program("dvc", "remote", *arguments, remedy="run `make setup`")


if __name__ == "__main__":
    run_command(set_remote)
