"""`train --onnx FILE`: a model that was trained elsewhere, from the feature matrix of `dataset.read_matrix`."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from ..errors import ProjectError
from ..schema import Schema
from .model import ScoreFunction, Scores, load_onnx

_SUM_TOLERANCE = 1e-3


def take_onnx(
    source: Path, target: Path, schema: Schema, present: tuple[str, ...], matrix: NDArray[np.float32]
) -> tuple[tuple[str, ...], ScoreFunction]:
    """Copy an ONNX file, its weights included, if it scores `matrix`; its labels, and the function that scores.

    Its probabilities are those of the schema's labels, or of `present` alone, those that the training rows have.
    Raises ProjectError where it cannot be read, takes another matrix, or gives no probabilities or values.
    """
    try:
        model = onnx.load(source)  # weights that lie in files beside it become part of it
        target.write_bytes(model.SerializeToString(deterministic=True))
    except FileNotFoundError as error:
        raise ProjectError(f"{error.filename or source} does not exist.") from error
    except Exception as error:
        raise ProjectError(f"{source} cannot be read as an ONNX file: {' '.join(str(error).split())}") from error
    weights = {weight.name for weight in model.graph.initializer}
    _check_input(source, [given for given in model.graph.input if given.name not in weights], matrix.shape[1])
    score = load_onnx(target, bool(schema.labels))
    try:
        scores, alone = np.asarray(score(matrix)), np.asarray(score(matrix[:1]))
    except Exception as error:
        raise ProjectError(
            f"{source} cannot score {len(matrix)} rows, or one: {' '.join(str(error).split())}"
        ) from error
    labels = present if scores.ndim == 2 and scores.shape[1] == len(present) else schema.labels
    problem = _find_problem(scores, alone, len(matrix), labels)
    if problem:
        raise ProjectError(f"{source}: {problem}.")
    return labels, score


def _check_input(source: Path, inputs: list[onnx.ValueInfoProto], features: int) -> None:
    wanted = f"it needs a single input, float32 of shape [rows, {features}]: one column for each feature"
    if len(inputs) != 1:
        raise ProjectError(f"{source} has {len(inputs)} inputs; {wanted}.")
    given = inputs[0].type.tensor_type
    shape = [size.dim_value or "rows" for size in given.shape.dim]
    if given.elem_type != onnx.TensorProto.FLOAT:
        raise ProjectError(f"{source} takes {onnx.TensorProto.DataType.Name(given.elem_type)}; {wanted}.")
    if len(shape) != 2 or shape[1] not in (features, "rows"):
        raise ProjectError(f"{source} takes shape {shape}; {wanted}. Did features in config/model.yaml change since?")


def _find_problem(scores: Scores, alone: Scores, rows: int, labels: tuple[str, ...]) -> str:
    wanted = (rows, len(labels)) if labels else (rows,)
    if scores.shape != wanted:
        what = f"a probability for each of {', '.join(map(repr, labels))}" if labels else "one value"
        return f"its last output has shape {scores.shape} for {rows} rows; it must give {what}, {wanted}"
    bad = int(np.count_nonzero(~np.isfinite(scores.reshape(rows, -1)).all(axis=1)))
    if bad:
        return f"it gives no finite number for {bad} of {rows} rows; a missing number reaches it as NaN"
    if labels:
        sums = scores.sum(axis=1)
        if scores.min() < 0 or np.abs(sums - 1).max() > _SUM_TOLERANCE:
            return (
                f"its last output is no probabilities: rows sum to {sums.min():.4g} to {sums.max():.4g}; add a softmax"
            )
    if not np.allclose(alone, scores[:1], rtol=1e-3, atol=1e-4):
        return "it scores a row otherwise when it is alone; export it in evaluation mode"
    return ""
