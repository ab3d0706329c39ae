"""Pictures of data and models; each function gives a figure, `save_figure` writes it."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from .files import write_bytes

_Numbers = NDArray[Any]

_ACCENT = "#2a6f97"
_CONTRAST = "#c8553d"
_WIDE = 8.0
_HIGH = 5.0
_BINS = 10


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    for text in figure.findobj(Text):
        # Names of columns are no formulas, whatever dollars are in them.
        text.set_parse_math(False)
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        figure.savefig(buffer, format="png", metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def plot_confusion_matrix(counts: NDArray[np.int64], labels: Sequence[str], rows: str = "test rows") -> Figure:
    """Counts, (truth, prediction), as shares of each true label."""
    size = max(_HIGH, 0.6 * len(labels) + 2)
    figure, axes = _new_figure(size + 1, size)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for truth, prediction in np.ndindex(counts.shape):
        color = "white" if shares[truth, prediction] > 0.5 else "black"
        axes.text(prediction, truth, str(counts[truth, prediction]), ha="center", va="center", color=color)
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="Predicted", ylabel="True", title=f"Confusion matrix, {rows}")
    figure.colorbar(image, ax=axes, label="Share of the true label")
    return figure


def plot_calibration(truth: _Numbers, probabilities: _Numbers, labels: Sequence[str]) -> Figure:
    """How often a label is true, by the probability that the model gave it."""
    figure, axes = _new_figure()
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfect")
    for place, label in enumerate(labels):
        given = probabilities[:, place].astype(float)
        bins = np.minimum((given * _BINS).astype(int), _BINS - 1)
        filled = [number for number in range(_BINS) if np.any(bins == number)]
        mean_given = [float(given[bins == number].mean()) for number in filled]
        mean_true = [float((truth[bins == number] == place).mean()) for number in filled]
        axes.plot(mean_given, mean_true, marker="o", label=label)
    axes.set(xlabel="Predicted probability", ylabel="Share that is true", title="Calibration, test rows")
    axes.legend()
    return figure


def plot_residuals(truth: _Numbers, values: _Numbers, target: str, rows: str = "test rows") -> Figure:
    """Truth minus prediction, against the prediction."""
    figure, axes = _new_figure()
    axes.axhline(0, color="grey", linestyle="--")
    axes.scatter(values, truth - values, s=14, alpha=0.6, color=_ACCENT)
    axes.set(xlabel=f"Predicted {target}", ylabel="Residual", title=f"Residuals, {rows}")
    return figure


def plot_predicted_values(truth: _Numbers, values: _Numbers, target: str) -> Figure:
    """Prediction against truth."""
    figure, axes = _new_figure()
    limits = [float(min(truth.min(), values.min())), float(max(truth.max(), values.max()))]
    axes.plot(limits, limits, color="grey", linestyle="--", label="perfect")
    axes.scatter(truth, values, s=14, alpha=0.6, color=_ACCENT)
    axes.set(xlabel=f"True {target}", ylabel=f"Predicted {target}", title="Predictions, test rows")
    axes.legend(loc="upper left")  # finding the best place takes seconds with many points
    return figure


def plot_importance(names: Sequence[str], losses: Sequence[float], metric: str, most: int = 20) -> Figure:
    """What the metric loses when a column is shuffled, the `most` important columns."""
    shown = list(zip(names, losses, strict=True))[:most][::-1]
    figure, axes = _new_figure(high=max(3.0, 0.35 * len(shown) + 1.5))
    axes.barh([name for name, _ in shown], [loss for _, loss in shown], color=_ACCENT)
    axes.set(xlabel=f"Loss of {metric} when shuffled", title="Permutation importance, test rows")
    return figure


def plot_stability(names: Sequence[str], indices: Sequence[float], drifted: Sequence[bool], most: int = 30) -> Figure:
    """The population stability index by column, the `most` changed ones; those that drifted stand out."""
    shown = list(zip(names, indices, drifted, strict=True))[:most][::-1]
    figure, axes = _new_figure(high=max(3.0, 0.35 * len(shown) + 1.5))
    colors = [_CONTRAST if drift else _ACCENT for *_, drift in shown]
    axes.barh([name for name, *_ in shown], [index for _, index, _ in shown], color=colors)
    axes.set(xlabel="Population stability index", title="Change since training; red drifted")
    return figure


def plot_compared_numbers(edges: Sequence[float], reference: _Numbers, window: _Numbers, name: str) -> Figure:
    """Two samples' cumulative distributions, from their counts between `edges`."""
    figure, axes = _new_figure()
    for counts, label, color in ((reference, "training", _ACCENT), (window, "window", _CONTRAST)):
        # The first count is below the first edge and the second at it; the last is above the last edge.
        shares = np.cumsum(counts)[1:-1] / max(counts.sum(), 1)
        axes.step(edges, shares, where="post", label=label, color=color)
    axes.set(xlabel=name, ylabel="Share of rows at or below", ylim=(0, 1.02), title=f"{name}, training and window")
    axes.legend()
    return figure


def plot_compared_counts(categories: Sequence[str], reference: _Numbers, window: _Numbers, name: str) -> Figure:
    """Two samples' shares of each category, the 30 most frequent ones."""
    order = np.argsort(-(reference + window), kind="stable")[:30][::-1]
    figure, axes = _new_figure(high=max(3.0, 0.5 * len(order) + 1.5))
    places = np.arange(len(order))
    for counts, label, color, shift in ((reference, "training", _ACCENT, 0.2), (window, "window", _CONTRAST, -0.2)):
        axes.barh(places + shift, counts[order] / max(counts.sum(), 1), height=0.4, color=color, label=label)
    axes.set_yticks(places, [categories[place] for place in order])
    axes.set(xlabel="Share of rows", title=f"{name}, training and window")
    axes.legend()
    return figure


def plot_runs(names: Sequence[str], values: Sequence[float], promoted: Sequence[bool], metric: str) -> Figure:
    """A test metric over the runs, oldest first; those that became a version stand out."""
    figure, axes = _new_figure()
    places = range(len(values))
    axes.plot(places, values, color="grey", linewidth=1, zorder=1)
    for became, label, color in ((False, "not promoted", _ACCENT), (True, "promoted", _CONTRAST)):
        shown = [place for place in places if promoted[place] == became]
        axes.scatter(shown, [values[place] for place in shown], s=36, color=color, label=label, zorder=2)
    step = max(1, len(values) // 12)
    axes.set_xticks(places[::step], names[::step], rotation=30, ha="right", fontsize=8)
    axes.set(ylabel=f"test {metric}", title="Runs, oldest first")
    axes.legend()
    return figure


def _new_figure(wide: float = _WIDE, high: float = _HIGH) -> tuple[Figure, Any]:
    figure = Figure(figsize=(wide, high), dpi=110, layout="constrained")
    return figure, figure.add_subplot()
