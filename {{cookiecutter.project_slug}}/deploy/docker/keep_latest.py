"""Copy the version that `models/latest` names, and the pointer to it: `keep_latest.py MODELS TARGET`."""

import json
import shutil
import sys
from pathlib import Path


def main() -> None:
    """Copy both, or exit with what to run where there is no version."""
    models, target = map(Path, sys.argv[1:])
    pointer = models / "latest" / "pointer.json"
    if not pointer.exists():
        sys.exit("error: models/latest names no version; run `make pipeline` first, or build the target `mounted`.")
    version = json.loads(pointer.read_bytes())["version"]
    if not (models / "versioned" / version).is_dir():
        sys.exit(f"error: models/versioned/{version}, which models/latest names, is not here; fetch it first.")
    shutil.copytree(models / "versioned" / version, target / "versioned" / version)
    shutil.copytree(models / "latest", target / "latest")


if __name__ == "__main__":
    main()
