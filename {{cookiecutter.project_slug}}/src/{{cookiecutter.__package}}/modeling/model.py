"""A loaded model: columns in, probabilities or values out. Shared by evaluation, batch and API."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ProjectError
from ..features import Columns, FeaturePlan, engineer_features, plan_features
from .manifest import ONNX_FILE, SKOPS_FILE, Manifest, check_artifacts, read_manifest

INPUT_NAME = "features"

Scores = NDArray[np.floating[Any]]
_Score = Callable[[NDArray[np.float32]], Scores]


@dataclass(frozen=True)
class Model:
    """A model that was checked and loaded."""

    manifest: Manifest
    plan: FeaturePlan
    score: _Score

    def predict(self, columns: Columns) -> Scores:
        """Probabilities, (rows, labels), each row summing to 1; or values, (rows,), in the target's unit."""
        return self.score(engineer_features(columns, self.plan))


def load_model(folder: Path, threads: int = 1) -> Model:
    """Check the hashes of a candidate or version and load it.

    Raises:
        ProjectError: a file is missing, damaged or does not fit the manifest, or the runtime is not installed.
    """
    manifest = read_manifest(folder)
    check_artifacts(folder, manifest)
    plan = plan_features(manifest.table, manifest.derived)
    if plan.names != manifest.features:
        raise ProjectError(f"{folder} was made by other feature engineering than this package has; train again.")
    if manifest.runtime == "onnx":
        score = load_onnx(folder / ONNX_FILE, bool(manifest.labels), threads)
    else:
        score = _load_skops(folder / SKOPS_FILE, manifest)
    return Model(manifest, plan, score)


def load_onnx(path: Path, is_classification: bool, threads: int = 1) -> _Score:
    """The ONNX model as a function from the feature matrix to scores.

    Raises:
        ProjectError: onnxruntime cannot load the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ProjectError(f"{path} cannot be loaded by onnxruntime: {error}") from error
    outputs = [session.get_outputs()[-1].name]

    def score(matrix: NDArray[np.float32]) -> Scores:
        result: Scores = session.run(outputs, {INPUT_NAME: matrix})[0]
        return result if is_classification else result.reshape(-1)

    return score


def _load_skops(path: Path, manifest: Manifest) -> _Score:
    try:
        from .export import load_skops
    except ImportError as error:
        raise ProjectError(
            f"{path.parent} is served by scikit-learn ({manifest.parity.reason}); "
            "install the `training` extra, or promote a model that exports to ONNX."
        ) from error
    return score_with_pipeline(load_skops(path), bool(manifest.labels))


def score_with_pipeline(pipeline: Any, is_classification: bool) -> _Score:
    """A fitted scikit-learn pipeline as a function from the feature matrix to scores."""

    def score(matrix: NDArray[np.float32]) -> Scores:
        result: Scores = pipeline.predict_proba(matrix) if is_classification else pipeline.predict(matrix)
        return result

    return score
