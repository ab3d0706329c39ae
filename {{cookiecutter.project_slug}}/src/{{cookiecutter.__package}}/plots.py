"""Pictures of data and models; each function gives a figure, `save_figure` writes it."""

import io
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .files import write_bytes

_Numbers = NDArray[Any]

# The colors of Okabe and Ito (2008), which people with any color vision tell apart.
_ACCENT, _CONTRAST, _GOOD = "#0072b2", "#d55e00", "#009e73"
_QUIET = "#8a8a8a"
_WIDE, _HIGH = 6.0, 4.2
_DOTS = 200
_BINS = 10
_ROWS_IN_BIN = 10
_MOST_CURVES = 6
_MOST_CHARACTERS = 24

# The one style of all pictures: 6 inches are shown about 480 pixels wide, where 11 points are nearly as large as the
# text around them; at 200 dots an inch they have twice as many pixels and more, which a dense screen needs.
matplotlib.rcParams.update(
    {
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.prop_cycle": cycler(color=[_ACCENT, "#e69f00", _GOOD, "#cc79a7", "#56b4e9", _CONTRAST, "#000000"]),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "figure.constrained_layout.use": True,
        "font.size": 11,
        "grid.color": "#e6e6e6",
        "legend.frameon": False,
        "text.parse_math": False,  # names of columns are no formulas, whatever dollars are in them
    }
)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        figure.savefig(buffer, format="png", dpi=_DOTS, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def plot_confusion_matrix(counts: NDArray[np.int64], labels: Sequence[str], rows: str = "test rows") -> Figure:
    """Counts, (truth, prediction), and their shares of each true label."""
    size = min(max(_HIGH, 0.8 * len(labels) + 2), 16)
    figure, axes = _new_figure(size + 1, size)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for truth, prediction in np.argwhere(counts) if len(labels) <= 25 else ():
        share = shares[truth, prediction]
        text = f"{counts[truth, prediction]}\n{share:.0%}"
        axes.text(prediction, truth, text, ha="center", va="center", color="white" if share > 0.5 else "black")
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="Predicted (shares of the true label)", ylabel="True", title=f"Confusion matrix, {rows}")
    axes.grid(visible=False)
    return figure


def plot_calibration(truth: _Numbers, probabilities: _Numbers, labels: Sequence[str]) -> Figure:
    """How often a label is true, by the probability that the model gave it, and in how many rows it gave that."""
    figure, (axes, below) = _new_panels(2, 1, _WIDE, _HIGH + 1, height_ratios=(3, 1), sharex=True)
    axes.plot([0, 1], [0, 1], color=_QUIET, linestyle="--", label="perfect")
    for place, label in _choose_labels(truth, labels):
        given, share, rows = _bin_equally(probabilities[:, place].astype(float), truth == place)
        color = axes.plot(given, share, marker="o", label=label)[0].get_color()
        below.vlines(given, 0, rows, color=color, linewidth=3)
    axes.set(ylabel="Share that is true", title="Calibration, test rows in bins of equal counts")
    axes.legend(loc="upper left")
    below.set(xlabel="Predicted probability", ylabel="Rows in bin", ylim=(0, None))
    return figure


def plot_ranking(truth: _Numbers, probabilities: _Numbers, labels: Sequence[str]) -> Figure:
    """ROC and precision over recall of a label against the rest."""
    from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

    figure, (left, right) = _new_panels(1, 2, 2 * _WIDE, _HIGH)
    left.plot([0, 1], [0, 1], color=_QUIET, linestyle="--", label="by chance")
    for place, label in _choose_labels(truth, labels):
        is_label, given = truth == place, probabilities[:, place]
        false, true, _ = roc_curve(is_label, given)
        left.plot(false, true, label=f"{label}: area {auc(false, true):.3f}")
        precision, recall, _ = precision_recall_curve(is_label, given)
        average = average_precision_score(is_label, given)
        right.step(
            recall, precision, where="post", label=f"{label}: average {average:.3f}, {is_label.mean():.0%} of rows"
        )
    left.set(xlabel="False positive rate", ylabel="True positive rate", title="ROC, test rows")
    right.set(xlabel="Recall", ylabel="Precision", ylim=(-0.02, 1.05), title="Precision and recall, test rows")
    for axes, where in ((left, "lower right"), (right, "lower left")):
        if len(axes.get_legend_handles_labels()[0]):
            axes.legend(loc=where)
    return figure


def plot_scores(truth: _Numbers, probabilities: _Numbers, labels: Sequence[str]) -> Figure:
    """The probabilities that a label was given in its own rows and in the others."""
    shown = _choose_labels(truth, labels)
    across = min(3, len(shown)) or 1
    down = math.ceil(len(shown) / across) or 1
    figure, panels = _new_panels(down, across, max(_WIDE, 4 * across), 3.6 * down, squeeze=False)
    for axes in panels.flat[len(shown) :]:
        axes.set_axis_off()
    for axes, (place, label) in zip(panels.flat, shown, strict=False):
        rest = _shorten(labels[1 - place]) if len(labels) == 2 else "the rest"
        for inside, name in ((truth == place, label), (truth != place, rest)):
            given = probabilities[inside, place]
            shares = np.full(len(given), 1 / len(given))
            axes.hist(given, np.linspace(0, 1, 21), weights=shares, alpha=0.6, label=f"{name}, {len(given)} rows")
        axes.set(xlabel=f"Probability of {label}", ylabel="Share of its rows")
        axes.legend()
    return figure


def plot_residuals(truth: _Numbers, values: _Numbers, target: str, rows: str = "test rows") -> Figure:
    """Truth minus prediction, against the prediction, and how it is distributed."""
    figure, (axes, aside) = _new_panels(1, 2, _WIDE, _HIGH, width_ratios=(4, 1), sharey=True)
    axes.axhline(0, color=_QUIET, linestyle="--")
    axes.scatter(values, truth - values, s=16, alpha=0.6)
    axes.set(xlabel=f"Predicted {target}", ylabel="Residual (true - predicted)", title=f"Residuals, {rows}")
    aside.hist(truth - values, bins=30, orientation="horizontal")
    aside.set(xlabel="Rows")
    return figure


def plot_predicted_values(truth: _Numbers, values: _Numbers, target: str) -> Figure:
    """Prediction against truth."""
    figure, axes = _new_figure()
    limits = [float(min(truth.min(), values.min())), float(max(truth.max(), values.max()))]
    axes.plot(limits, limits, color=_QUIET, linestyle="--", label="perfect")
    axes.scatter(truth, values, s=16, alpha=0.6)
    axes.set(xlabel=f"True {target}", ylabel=f"Predicted {target}", title="Predictions, test rows")
    axes.legend(loc="upper left")  # finding the best place takes seconds with many points
    return figure


def plot_importance(
    names: Sequence[str], losses: Sequence[float], deviations: Sequence[float], metric: str, most: int = 20
) -> Figure:
    """What the metric loses when a column is shuffled, the `most` important columns; bars of one deviation."""
    shown = list(zip(names, losses, deviations, strict=True))[:most][::-1]
    figure, axes = _new_bars(len(shown))
    columns, bars, errors = zip(*shown, strict=True)
    axes.barh(columns, bars, xerr=errors, capsize=3, ecolor="#444444")
    axes.set(xlabel=f"Loss of {metric} when shuffled (mean and deviation)", title="Permutation importance, test rows")
    return figure


def plot_stability(names: Sequence[str], indices: Sequence[float], drifted: Sequence[bool], most: int = 30) -> Figure:
    """The population stability index by column, the `most` changed ones; those that drifted stand out."""
    shown = list(zip(names, indices, drifted, strict=True))[:most][::-1]
    figure, axes = _new_bars(len(shown))
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
    figure, axes = _new_bars(len(order))
    places = np.arange(len(order))
    for counts, label, color, shift in ((reference, "training", _ACCENT, 0.2), (window, "window", _CONTRAST, -0.2)):
        axes.barh(places + shift, counts[order] / max(counts.sum(), 1), height=0.4, color=color, label=label)
    axes.set_yticks(places, [categories[place] for place in order])
    axes.set(xlabel="Share of rows", title=f"{name}, training and window")
    axes.legend()
    return figure


def plot_runs(
    names: Sequence[str], values: Sequence[float], promoted: Sequence[bool], data: Sequence[str], metric: str
) -> Figure:
    """A metric over the runs, oldest first: versions stand out, and a line joins runs on the same data."""
    figure, axes = _new_figure()
    places = range(len(values))
    for same in dict.fromkeys(data):
        joined = [place for place in places if data[place] == same]
        axes.plot(joined, [values[place] for place in joined], color=_QUIET, linewidth=1, zorder=1)
    for became, label, color in ((False, "not promoted", _ACCENT), (True, "promoted", _GOOD)):
        shown = [place for place in places if promoted[place] == became]
        axes.scatter(shown, [values[place] for place in shown], s=36, color=color, label=label, zorder=2)
    step = max(1, len(values) // 12)
    axes.set_xticks(places[::step], names[::step], rotation=30, ha="right")
    axes.set(ylabel=metric.replace("_", " ", 1), title="Runs, oldest first")
    axes.legend()
    return figure


def _new_figure(wide: float = _WIDE, high: float = _HIGH) -> tuple[Figure, Any]:
    figure = Figure(figsize=(wide, high))
    return figure, figure.add_subplot()


def _new_bars(bars: int) -> tuple[Figure, Any]:
    figure, axes = _new_figure(high=max(3.0, 0.35 * bars + 1.5))
    axes.grid(visible=False, axis="y")
    return figure, axes


def _new_panels(down: int, across: int, wide: float, high: float, **options: Any) -> tuple[Figure, Any]:
    figure = Figure(figsize=(wide, high))
    return figure, figure.subplots(down, across, **options)


def _choose_labels(truth: _Numbers, labels: Sequence[str]) -> list[tuple[int, str]]:
    """Of two labels the second, as what tells one of them tells the other; of more the most frequent ones."""
    counts = np.bincount(truth, minlength=len(labels))
    places = [1] if len(labels) == 2 else sorted(np.argsort(-counts, kind="stable")[:_MOST_CURVES])
    return [(int(place), _shorten(labels[place])) for place in places if 0 < counts[place] < len(truth)]


def _shorten(label: str) -> str:
    return label if len(label) <= _MOST_CHARACTERS else f"{label[: _MOST_CHARACTERS - 1]}…"


def _bin_equally(given: _Numbers, is_label: _Numbers) -> tuple[_Numbers, _Numbers, _Numbers]:
    """Bins of rows by probability: its mean, the share of the label, and how many rows; equal ones stay together."""
    bins = max(1, min(_BINS, len(given) // _ROWS_IN_BIN))
    edges = np.quantile(given, np.linspace(0, 1, bins + 1)[1:-1])
    places = np.searchsorted(edges, given, side="right")
    rows = np.bincount(places, minlength=bins)
    filled = rows > 0
    mean, share = (
        np.bincount(places, weights=each, minlength=bins)[filled] / rows[filled] for each in (given, is_label)
    )
    return mean, share, rows[filled]
