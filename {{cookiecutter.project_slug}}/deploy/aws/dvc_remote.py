"""`make dvc-remote`: an environment's bucket becomes DVC's default remote, in `.dvc/config`, which git keeps."""

import json
import subprocess
import sys

from .infrastructure import OUTPUTS, InfrastructureError, Request, run


def add(request: Request) -> None:
    """Name the bucket of the outputs to DVC."""
    file = OUTPUTS / f"{request.environment}.json"
    if not file.exists():
        raise InfrastructureError(f"{file.name} is not here: run `make infra-apply ENVIRONMENT={request.environment}`.")
    outputs = json.loads(file.read_bytes())
    for arguments in (
        ("add", "--default", "--force", "storage", f"s3://{outputs['data_bucket']}/dvc"),
        ("modify", "storage", "region", outputs["region"]),
    ):
        subprocess.run([sys.executable, "-m", "dvc", "remote", *arguments], check=True)  # noqa: S603


if __name__ == "__main__":
    run(add)
