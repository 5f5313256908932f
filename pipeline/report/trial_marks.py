"""Marks of trials, the same in every figure of a search."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from pipeline.report.charts import BLUE, GRAY
from pipeline.report.summary import SearchSummary, focus

# By outcome: the mark and its colour.
MARKERS = {"complete": ("o", BLUE), "pruned": ("x", GRAY)}
# Above this many trials, marks and lines are drawn finer, so that they stay apart.
CROWDED = 150

Point = tuple[float, float]


def limit_values(axes: Axes, summary: SearchSummary) -> Point:
    """Sets the y axis to where good trials differ; returns its limits.

    Args:
        axes: What to set.
        summary: With at least one complete trial.
    """
    values = [trial.value for trial in summary.of("complete") if trial.value is not None]
    low, high = focus(values, maximize=summary.maximize)
    axes.set_ylim(low, high)
    return low, high


def mark_trials(axes: Axes, points: Sequence[Point], outcome: str, *, limits: Point) -> None:
    """Draws trials as marks; those beyond the limits as arrows at the edge.

    Args:
        axes: Where to draw.
        points: Place along x, and value.
        outcome: A key of `MARKERS`; the marks' name in a legend.
        limits: Of the y axis.
    """
    if not points:
        return
    marker, color = MARKERS[outcome]
    low, high = limits
    inside = [point for point in points if low <= point[1] <= high]
    size = 5 if len(points) > CROWDED else 16
    style: dict[str, Any] = {"color": color, "s": size, "linewidth": 1.0}
    # Also where nothing is inside: the legend then still says what the arrows' colour means.
    x, y = zip(*inside, strict=True) if inside else ((), ())
    axes.scatter(x, y, marker=marker, label=outcome, **style)
    below = [place for place, value in points if value < low]
    above = [place for place, value in points if value > high]
    for arrow, edge, beyond in (("v", low, below), ("^", high, above)):
        if beyond:
            axes.scatter(beyond, [edge] * len(beyond), marker=arrow, clip_on=False, **style)
