"""A loaded model: columns in, probabilities or values out. Shared by evaluation, batch and API."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CodeChangedError, ProjectError
from ..features import Columns, FeaturePlan, engineer_features, plan_features
from .golden import find_change
from .manifest import GOLDEN_FILE, ONNX_FILE, SKOPS_FILE, Manifest, check_artifacts, read_manifest

INPUT_NAME = "features"

Scores = NDArray[np.floating[Any]]
ScoreFunction = Callable[[NDArray[np.float32]], Scores]


@dataclass(frozen=True)
class Model:
    """A model that was checked and loaded."""

    manifest: Manifest
    plan: FeaturePlan
    score: ScoreFunction

    def predict(self, columns: Columns) -> Scores:
        """Probabilities, (rows, labels), each row summing to 1; or values, (rows,), in the target's unit."""
        return self.score(engineer_features(columns, self.plan))


def choose_places(probabilities: Scores) -> NDArray[np.int64]:
    """The decision: of each row's probabilities, (rows, labels), the place of the label that it gets."""
    places: NDArray[np.int64] = probabilities.argmax(axis=1)
    return places


def load_model(folder: Path, threads: int = 1) -> Model:
    """Load a candidate or version, once its hashes are right and it scores its golden rows as it did.

    Raises CodeChangedError where it does not, and ProjectError where a file is missing or damaged, or the runtime is
    not installed.
    """
    manifest = read_manifest(folder)
    check_artifacts(folder, manifest)
    name = manifest.version or folder.name
    remedy = f"restore the code{f' of commit {manifest.commit}' if manifest.commit else ''}, or train and promote again"
    try:
        plan = plan_features(manifest.table, manifest.derived)
    except ProjectError as error:
        raise CodeChangedError(f"{name} does not fit the present feature code, {remedy}: {error}") from error
    if plan.names != manifest.features:
        raise CodeChangedError(f"{name} was made by other feature engineering than this package has: {remedy}.")
    if manifest.runtime == "onnx":
        score = load_onnx(folder / ONNX_FILE, bool(manifest.labels), threads)
    else:
        score = _load_skops(folder / SKOPS_FILE, manifest)
    if GOLDEN_FILE in manifest.files:  # versions that were made before there were any have none
        change = find_change(folder / GOLDEN_FILE, manifest.table, plan, manifest.labels, score)
        if change:
            raise CodeChangedError(f"{name} does not score as it did at its training ({change}): {remedy}.")
    return Model(manifest, plan, score)


def load_onnx(path: Path, is_classification: bool, threads: int = 1) -> ScoreFunction:
    """The ONNX model as a function from the feature matrix to scores: its last output.

    Raises ProjectError where onnxruntime cannot load the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ProjectError(f"{path} cannot be loaded by onnxruntime: {error}") from error
    given, outputs = session.get_inputs()[0].name, [session.get_outputs()[-1].name]

    def score(matrix: NDArray[np.float32]) -> Scores:
        result: Scores = session.run(outputs, {given: matrix})[0]
        return result if is_classification else result.reshape(-1)

    return score


def _load_skops(path: Path, manifest: Manifest) -> ScoreFunction:
    try:
        from .persistence import load_skops
    except ImportError as error:
        raise ProjectError(
            f"{path.parent} is served by scikit-learn ({manifest.parity.reason}); "
            "install the `training` extra, or promote a model that exports to ONNX."
        ) from error
    return score_with_pipeline(load_skops(path), bool(manifest.labels))


def score_with_pipeline(pipeline: Any, is_classification: bool) -> ScoreFunction:
    """A fitted scikit-learn pipeline as a function from the feature matrix to scores."""
    return pipeline.predict_proba if is_classification else pipeline.predict  # type: ignore[no-any-return]
