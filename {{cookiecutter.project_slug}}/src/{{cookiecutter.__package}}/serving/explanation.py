"""Why this answer: by how much it would differ if a row had the typical value in one of its columns.

One column at a time, so what only several columns do together is not seen. (The idea is that of ablation, or occlusion:
Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014.)
"""

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

from ..modeling.manifest import Manifest
from .rows import RefusedError, Row

_MOST_COLUMNS = 10
_MOST_REPLACEMENTS = 20_000
_CELLS_AT_ONCE = 5_000_000  # bounds the memory where there are thousands of columns


def explain_rows(
    manifest: Manifest,
    score: Callable[[Sequence[Row]], list[Any]],
    rows: Sequence[Row],
    scores: Sequence[Any],
    predictions: Sequence[dict[str, Any]],
) -> list[list[dict[str, Any]]]:
    """An `Effect` of each column that moved the prediction of a row, the largest ten first, for each of `rows`.

    Raises RefusedError where the version has no typical values, or there is too much to compute.
    """
    typical = manifest.typical
    if not typical:
        problem = f"{manifest.version} has no typical values, without which it cannot explain; train and promote again"
        raise RefusedError(422, problem)
    if len(rows) * len(typical) > _MOST_REPLACEMENTS:
        most = _MOST_REPLACEMENTS // len(typical)
        raise RefusedError(422, f"At most {most} rows of {len(typical)} columns are explained in a request; send fewer")
    changes = [
        (place, name) for place, row in enumerate(rows) for name, value in typical.items() if row.get(name) != value
    ]
    changed: list[Any] = []
    step = max(1, _CELLS_AT_ONCE // len(typical))
    for start in range(0, len(changes), step):
        changed += score([rows[place] | {name: typical[name]} for place, name in changes[start : start + step]])
    found: list[list[dict[str, Any]]] = [[] for _ in rows]
    for (place, name), other in zip(changes, changed, strict=True):
        before = scores[place]
        if manifest.labels:
            label = manifest.labels.index(predictions[place]["label"])
            before, other = before[label], other[label]
        # A difference that is not finite says nothing.
        if isfinite(other) and before != other:
            found[place].append({"column": name, "value": rows[place].get(name), "effect": before - other})
    return [sorted(effects, key=lambda each: -abs(each["effect"]))[:_MOST_COLUMNS] for effects in found]
