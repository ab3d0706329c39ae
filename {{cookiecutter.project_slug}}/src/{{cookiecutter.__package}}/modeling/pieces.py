"""What the hashed pieces of a text say of the target, learned as a part of the scikit-learn pipeline."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from skl2onnx import update_registered_converter
from skl2onnx.algebra.onnx_ops import OnnxMatMul
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.preprocessing import LabelBinarizer

from .gate import sample_rows

# What is tried, on some of the rows: which is best hardly depends on their number.
_ALPHAS = (10.0, 100.0, 1e3, 1e4, 1e5)
_ROWS_FOR_ALPHA, _MOST_ROWS = 5_000, 50_000

Numbers = NDArray[np.float32]


class PieceRegression(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A ridge regression of the target on the pieces: (rows, 1), or of more than two labels a column for each.

    Cross-fitted, as scikit-learn's TargetEncoder is: a row that it is fitted on gets what the rows of the other folds
    say. Pieces are held down by their standard deviation, so that rare ones count as much as frequent ones.
    """

    def __init__(self, cv: Any, seed: int = 0) -> None:
        self.cv = cv
        self.seed = seed

    def fit(self, pieces: Numbers, target: NDArray[Any]) -> Self:
        """Learn the weights of the pieces."""
        self.fit_transform(pieces, target)
        return self

    def fit_transform(self, pieces: Numbers, target: NDArray[Any]) -> Numbers:
        """Learn the weights, and say of each row what they say that are learned without it."""
        wanted = LabelBinarizer().fit_transform(target) if target.dtype.kind == "i" else target[:, np.newaxis]
        some = sample_rows(len(pieces), self.seed, _ROWS_FOR_ALPHA)
        alpha = RidgeCV(_ALPHAS).fit(_scale(pieces[some])[0], wanted[some]).alpha_

        def learn(rows: NDArray[np.int64]) -> Numbers:
            rows = rows[sample_rows(len(rows), self.seed, _MOST_ROWS)]
            scaled, deviations = _scale(pieces[rows])
            ridge = Ridge(alpha, solver="cholesky").fit(scaled, wanted[rows])
            weights: Numbers = (np.atleast_2d(ridge.coef_) / deviations).T.astype(np.float32)
            return weights

        self.weights_ = learn(np.arange(len(pieces)))
        scores = np.empty((len(pieces), self.weights_.shape[1]), dtype=np.float32)
        for fitted, left in self.cv.split(pieces, target):
            scores[left] = pieces[left] @ learn(fitted)
        return scores

    def transform(self, pieces: Numbers) -> Numbers:
        """What the weights say of each row."""
        scores: Numbers = pieces @ self.weights_
        return scores


def _scale(pieces: Numbers) -> tuple[Numbers, Numbers]:
    deviations = pieces.std(axis=0) + np.float32(1e-6)  # a piece that no row has stays 0
    return pieces / deviations, deviations


def _tell_shape(operator: Any) -> None:
    operator.outputs[0].type = FloatTensorType([None, operator.raw_operator.weights_.shape[1]])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    product = OnnxMatMul(
        operator.inputs[0],
        operator.raw_operator.weights_,
        op_version=container.target_opset,
        output_names=operator.outputs[:1],
    )
    product.add_to(scope, container)


update_registered_converter(PieceRegression, "PieceRegression", _tell_shape, _convert)
