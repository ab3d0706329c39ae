"""Alarms that were given, so that the same drift does not start a retraining again and again."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from ..errors import ProjectError
from ..files import write_json

ALARMS_FILE = "drift_alarms.json"


def silence_known(
    findings: Sequence[str], path: Path, now: datetime, promoted_at: datetime | None, cooldown: timedelta
) -> dict[str, datetime]:
    """The findings that were alarmed before and are still cooling down, with the moment that ends it.

    A cooldown counts from the alarm, or, where a version was promoted since, from that promotion:
    what a retraining does not mend, the next one would not mend either. Findings that are not in the
    answer are new alarms, and are recorded.

    Raises:
        ProjectError: the record is damaged.
    """
    known = _read_alarms(path)
    quiet: dict[str, datetime] = {}
    for finding in findings:
        if finding in known:
            started = max(known[finding], promoted_at or known[finding])
            if now < started + cooldown:
                quiet[finding] = started + cooldown
    loud = [finding for finding in findings if finding not in quiet]
    if loud:
        known |= dict.fromkeys(loud, now)
        write_json(path, {finding: at.isoformat() for finding, at in sorted(known.items())})
    return quiet


def _read_alarms(path: Path) -> dict[str, datetime]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {finding: datetime.fromisoformat(at) for finding, at in content.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ProjectError(f"{path} is damaged ({error}); remove it, and the next drift alarms at once.") from error
