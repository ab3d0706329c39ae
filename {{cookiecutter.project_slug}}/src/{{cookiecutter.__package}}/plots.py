"""Pictures of data and models; each function gives a figure, `save_figure` writes it."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .files import write_bytes

_Numbers = NDArray[Any]

# The colors of Okabe and Ito (2008), which people with any color vision tell apart, and a gray.
_ACCENT, _CONTRAST, _GOOD, _QUIET = "#0072b2", "#d55e00", "#009e73", "#8a8a8a"
_WIDE, _HIGH = 6.0, 4.2

# The one style of all pictures: 6 inches are shown about 480 pixels wide, where 11 points are nearly as large as the
# text around them; at 200 dots an inch they have twice as many pixels and more, which a dense screen needs.
_COLORS = [_ACCENT, "#e69f00", _GOOD, "#cc79a7", "#56b4e9", _CONTRAST, "#000000"]
matplotlib.rc("axes", axisbelow=True, grid=True, prop_cycle=cycler(color=_COLORS), titlelocation="left")
matplotlib.rc("axes.spines", right=False, top=False)
matplotlib.rc("figure.constrained_layout", use=True)
matplotlib.rc("font", size=11)
matplotlib.rc("grid", color="#e6e6e6")
matplotlib.rc("legend", frameon=False)
matplotlib.rc("text", parse_math=False)  # names of columns are no formulas, whatever dollars are in them


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        figure.savefig(buffer, format="png", dpi=200, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def plot_confusion_matrix(counts: NDArray[np.int64], labels: Sequence[str], rows: str = "test rows") -> Figure:
    """Counts, (truth, prediction), and their shares of each true label."""
    size = min(max(_HIGH, 0.8 * len(labels) + 2), 16)
    figure, axes = _new_figure(wide=size + 1, high=size)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for truth, prediction in np.argwhere(counts) if len(labels) <= 25 else ():
        count, share = counts[truth, prediction], shares[truth, prediction]
        color = "white" if share > 0.5 else "black"
        axes.text(prediction, truth, f"{count}\n{share:.0%}", ha="center", va="center", color=color)
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="Predicted (shares of the true label)", ylabel="True", title=f"Confusion matrix, {rows}")
    axes.grid(visible=False)
    return figure


def plot_calibration(truth: _Numbers, probabilities: _Numbers, labels: Sequence[str]) -> Figure:
    """How often a label is true, by the probability that the model gave it."""
    from sklearn.calibration import calibration_curve

    figure, axes = _new_figure()
    axes.plot([0, 1], [0, 1], color=_QUIET, linestyle="--", label="perfect")
    for place, label in _choose_labels(truth, labels):
        given = probabilities[:, place].clip(0, 1)
        shares, means = calibration_curve(truth == place, given, n_bins=10, strategy="quantile")
        axes.plot(means, shares, marker="o", label=label)
    title = f"Calibration, {len(truth)} test rows in tenths"
    axes.set(xlabel="Predicted probability", ylabel="Share that is true", title=title)
    axes.legend(loc="upper left")
    return figure


def plot_ranking(truth: _Numbers, probabilities: _Numbers, labels: Sequence[str]) -> Figure:
    """ROC of a label against the rest, and beside it precision over recall."""
    from sklearn.metrics import PrecisionRecallDisplay, RocCurveDisplay

    figure, (left, right) = _new_figure(2 * _WIDE, ncols=2)
    left.plot([0, 1], [0, 1], color=_QUIET, linestyle="--", label="by chance")
    for place, label in _choose_labels(truth, labels):
        drawn = truth == place, probabilities[:, place]
        RocCurveDisplay.from_predictions(*drawn, ax=left, name=label)
        PrecisionRecallDisplay.from_predictions(*drawn, ax=right, name=label)
    left.set(xlabel="False positive rate", ylabel="True positive rate", title="ROC, test rows")
    right.set(xlabel="Recall", ylabel="Precision", title="Precision and recall, test rows")
    return figure


def plot_errors(truth: _Numbers, values: _Numbers, target: str, residuals: bool, rows: str = "test rows") -> Figure:
    """Truth, or truth minus prediction, by the prediction."""
    figure, axes = _new_figure()
    start, slope = (0, 0) if residuals else (values.min(), 1)
    axes.axline((values.min(), start), slope=slope, color=_QUIET, linestyle="--")
    axes.scatter(values, truth - values if residuals else truth, s=16, alpha=0.6)
    title, shown = ("Residuals", "Residual (true - predicted)") if residuals else ("Predictions", f"True {target}")
    axes.set(xlabel=f"Predicted {target}", ylabel=shown, title=f"{title}, {rows}")
    return figure


def plot_importance(names: Sequence[str], losses: Sequence[float], deviations: Sequence[float], metric: str) -> Figure:
    """What the metric loses when a column is shuffled, the first 20 columns; bars of one deviation."""
    figure, axes = _new_bars(len(names[:20]))
    axes.barh(names[:20], losses[:20], xerr=deviations[:20], capsize=3, ecolor="#444444")
    axes.set(xlabel=f"Loss of {metric} when shuffled\n(mean and deviation)", title="Permutation importance, test rows")
    return figure


def plot_stability(names: Sequence[str], indices: Sequence[float], drifted: Sequence[bool]) -> Figure:
    """The population stability index by column, the first 30 ones; those that drifted stand out."""
    figure, axes = _new_bars(len(names[:30]))
    axes.barh(names[:30], indices[:30], color=[_CONTRAST if drift else _ACCENT for drift in drifted[:30]])
    axes.set(xlabel="Population stability index", title="Change since training; red drifted")
    return figure


def plot_compared_counts(bins: Sequence[str], reference: _Numbers, window: _Numbers, name: str) -> Figure:
    """Two samples' shares in each bin, the 30 fullest ones."""
    order = np.sort(np.argsort(-(reference + window), kind="stable")[:30])
    figure, axes = _new_bars(len(order))
    places = np.arange(len(order))
    for counts, label, color, shift in ((reference, "training", _ACCENT, -0.2), (window, "window", _CONTRAST, 0.2)):
        axes.barh(places + shift, counts[order] / max(counts.sum(), 1), height=0.4, color=color, label=label)
    axes.set_yticks(places, [bins[place] for place in order])
    axes.set(xlabel="Share of rows", title=f"{name}, training and window")
    axes.legend()
    return figure


def _new_figure(wide: float = _WIDE, high: float = _HIGH, **panels: Any) -> tuple[Figure, Any]:
    figure = Figure(figsize=(wide, high))
    return figure, figure.subplots(**panels)


def _new_bars(bars: int) -> tuple[Figure, Any]:
    figure, axes = _new_figure(high=max(3.0, 0.35 * bars + 1.5))
    axes.grid(visible=False, axis="y")
    axes.invert_yaxis()
    return figure, axes


def _choose_labels(truth: _Numbers, labels: Sequence[str]) -> list[tuple[int, str]]:
    """Of two labels the second, as what tells one of them tells the other; of more the six most frequent ones."""
    counts = np.bincount(truth, minlength=len(labels))
    places = [1] if len(labels) == 2 else sorted(np.argsort(-counts, kind="stable")[:6])
    names = [label if len(label) <= 24 else f"{label[:23]}…" for label in labels]
    return [(int(place), names[place]) for place in places if 0 < counts[place] < len(truth)]
