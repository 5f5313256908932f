"""Figures of the test part: what is taken for what, and how far a probability can be trusted."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from pipeline.evaluation.intervals import wilson_interval
from pipeline.report.charts import BLUE, GRAY, chart, mark_powers

_RIGHT = "#1f5fa8"
_WRONG = "#b3361b"
# Beyond these, counts and names no longer fit their cells.
_MAX_CLASSES_WITH_COUNTS = 15
_MAX_CLASSES_WITH_NAMES = 40
_MAX_NAME_LENGTH = 18


def confusion_matrix(key: str, counts: NDArray[np.integer[Any]], class_names: list[str]) -> Markup:
    """Draws the confusion matrix: colour by share of the row, numbers as counts.

    Args:
        key: Of the figure, unique in the page.
        counts: Shape (num_classes, num_classes), rows are labels.
        class_names: By class id.
    """
    num_classes = len(class_names)
    alt = (
        f"Confusion matrix of {num_classes} classes: {int(counts.trace())} of {int(counts.sum())} "
        "test images on the diagonal. The table of the most frequent mistakes has the others."
    )
    with chart(key, alt=alt, size=(4.7, 4.3)) as drawn:
        axes = drawn.axes[0]
        strengths = np.sqrt(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
        axes.imshow(_colors(strengths), interpolation="nearest", aspect="auto")
        if num_classes <= _MAX_CLASSES_WITH_COUNTS:
            _write_counts(axes, counts, strengths)
        axes.set(xlabel="predicted", ylabel="actual")
        axes.grid(visible=False)
        _name_classes(axes, class_names)
    return drawn.markup


def reliability_diagram(key: str, calibration: Mapping[str, Any]) -> Markup:
    """Draws accuracy over confidence, with Wilson's intervals, above the number of images.

    Args:
        key: Of the figure, unique in the page.
        calibration: `{"bins": [...], "ece"}`, with at least one image.
    """
    bins = [one for one in calibration["bins"] if one["n"]]
    alt = (
        f"Accuracy over confidence in {len(bins)} bins; the mean gap to the diagonal, the expected "
        f"calibration error, is {calibration['ece']:.4f}."
    )
    with chart(key, alt=alt, size=(4.7, 4.3), height_ratios=(3.0, 1.0)) as drawn:
        top, bottom = drawn.axes
        top.plot([0, 1], [0, 1], "--", color=GRAY, lw=1.2, label="perfectly calibrated")
        _draw_accuracy(top, bins)
        top.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
        drawn.figure.legend(loc="outside lower center", ncols=2)
        _draw_counts(bottom, bins)
        bottom.set_xlabel("confidence (largest probability)")
    return drawn.markup


def _draw_accuracy(axes: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    intervals = [wilson_interval(round(one["accuracy"] * one["n"]), one["n"]) for one in bins]
    arms = np.array([(i.value - i.low, i.high - i.value) for i in intervals]).T
    axes.errorbar(
        [one["confidence"] for one in bins],
        [interval.value for interval in intervals],
        # Rounding leaves -1e-17 at the edges, which matplotlib refuses.
        yerr=np.maximum(arms, 0),
        fmt="o-",
        color=BLUE,
        ms=4,
        lw=1.2,
        capsize=2,
        label="test images, 95% interval",
    )


def _draw_counts(axes: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    axes.bar(
        [one["low"] for one in bins],
        [one["n"] for one in bins],
        width=[one["high"] - one["low"] for one in bins],
        align="edge",
        color=BLUE,
        edgecolor="none",
        alpha=0.75,
    )
    axes.set(ylabel="images", yscale="log")
    mark_powers(axes.yaxis, low=1, high=10 * max(one["n"] for one in bins))


def _colors(strengths: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Returns RGBA: blue for right, red for wrong, as opaque as the share's square root."""
    colors = np.empty((*strengths.shape, 4))
    colors[..., :3] = to_rgb(_WRONG)
    diagonal = np.arange(len(strengths))
    colors[diagonal, diagonal, :3] = to_rgb(_RIGHT)
    # The root, since a mistake in one of a hundred images would not show beside the diagonal.
    colors[..., 3] = strengths
    return colors


def _write_counts(
    axes: Axes, counts: NDArray[np.integer[Any]], strengths: NDArray[np.floating[Any]]
) -> None:
    size = 8.0 if len(counts) <= 10 else 6.0
    for (row, column), count in np.ndenumerate(counts):
        if count:
            style: dict[str, Any] = {"color": "white"} if strengths[row, column] > 0.62 else {}
            axes.text(column, row, f"{count}", ha="center", va="center", size=size, **style)


def _name_classes(axes: Axes, class_names: list[str]) -> None:
    places = range(len(class_names))
    if len(class_names) > _MAX_CLASSES_WITH_NAMES:
        axes.tick_params(length=0, labelbottom=False, labelleft=False)
        return
    size = 8.0 if len(class_names) <= _MAX_CLASSES_WITH_COUNTS else 5.0
    names = [_short(name) for name in class_names]
    axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor", size=size)
    axes.set_yticks(places, names, size=size)


def _short(name: str) -> str:
    if len(name) <= _MAX_NAME_LENGTH:
        return name
    return f"{name[: _MAX_NAME_LENGTH - 1]}\N{HORIZONTAL ELLIPSIS}"
