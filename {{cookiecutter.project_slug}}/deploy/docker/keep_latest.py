"""Copy what `models/latest` points to, and nothing else of `models`: `keep_latest.py MODELS TARGET`."""

import json
import shutil
import sys
from pathlib import Path


def main() -> None:
    """Copy the pointer and its version; without a version, leave the target empty."""
    models, target = map(Path, sys.argv[1:])
    pointer = models / "latest" / "pointer.json"
    if not pointer.exists():
        sys.exit("error: models/latest has no version; run `make pipeline` before `make image`.")
    version = json.loads(pointer.read_bytes())["version"]
    shutil.copytree(models / "latest", target / "latest")
    shutil.copytree(models / "versioned" / version, target / "versioned" / version)


if __name__ == "__main__":
    main()
