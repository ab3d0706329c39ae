"""Logging to the console and to `logs/`."""

import logging
import sys
from pathlib import Path

_ROOT = __name__.split(".", maxsplit=1)[0]
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def get_logger(name: str) -> logging.Logger:
    """The logger of a module; pass `__name__`."""
    return logging.getLogger(name)


def configure_logging(log_file: Path | None = None, level: int = logging.INFO) -> None:
    """Send the package's log lines to stderr and, where given, to a file.

    A log folder that cannot be written (a read-only container) leaves the console alone working.
    """
    logger = logging.getLogger(_ROOT)
    logger.setLevel(level)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(console)
    if log_file is None:
        return
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(log_file, encoding="utf-8")
    except OSError as error:
        logger.warning("Not logging to %s: %s", log_file, error)
        return
    file.setFormatter(logging.Formatter(_FORMAT))
    logger.addHandler(file)
