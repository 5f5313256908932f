"""Figures of what each hyperparameter did: a small one for each that was searched."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from pipeline.hyperparameter import Value
from pipeline.report.charts import (
    INK,
    MARKERS,
    ORANGE,
    Point,
    chart,
    limit_values,
    mark_integers,
    mark_powers,
    mark_trials,
)
from pipeline.report.summary import SearchSummary, TrialSummary
from pipeline.report.text import hyperparameter

# Steps of the golden section spread neighbouring trials evenly and the same way every time.
_GOLDEN = 0.618034

Distribution = Mapping[str, Any]


def hyperparameter_effects(key: str, summary: SearchSummary) -> dict[str, Markup]:
    """Draws the value of every trial over each searched hyperparameter, one small figure each.

    Args:
        key: Begins the key of each figure; unique in the page.
        summary: The search, with at least one complete trial.

    Returns:
        By hyperparameter, those that took at least two values.
    """
    figures = {}
    for name, distribution in summary.space.items():
        trials = summary.of(*MARKERS)
        found = ((trial, _point(trial, name, distribution)) for trial in trials)
        points = {trial.number: (trial, point) for trial, point in found if point is not None}
        if len({str(trial.hyperparameters[name]) for trial, _ in points.values()}) > 1:
            figures[name] = _draw(f"{key}-{name}", summary, name, distribution, points)
    return figures


def _point(trial: TrialSummary, name: str, distribution: Distribution) -> Point | None:
    """Returns the place of a trial along x, and its value; None if it has none."""
    if trial.value is None or name not in trial.hyperparameters:
        return None
    value = trial.hyperparameters[name]
    if distribution["type"] != "choice":
        return float(value), trial.value
    choices = _texts(distribution)
    # A trial may be older than the choices, where a study goes on with others.
    if str(value) not in choices:
        return None
    shift = (trial.number * _GOLDEN) % 1.0 - 0.5
    return choices.index(str(value)) + 0.5 * shift, trial.value


def _texts(distribution: Distribution) -> list[str]:
    # As text: 1, 1.0 and True are equal to Python and different choices to a search.
    return [str(choice) for choice in distribution["choices"]]


def _draw(
    key: str,
    summary: SearchSummary,
    name: str,
    distribution: Distribution,
    points: Mapping[int, tuple[TrialSummary, Point]],
) -> Markup:
    """Draws the trials of a hyperparameter, by number with their points; the best one ringed."""
    alt = f"{summary.objective_name} of every trial over {name}."
    with chart(key, alt=alt, size=(2.7, 2.1), num_marks=len(points)) as drawn:
        axes = drawn.axes[0]
        axes.set_title(name)
        limits = limit_values(axes, summary)
        if distribution["type"] == "choice":
            _name_choices(axes, distribution["choices"])
            for place, choice in enumerate(_texts(distribution)):
                values = [
                    value
                    for trial, (_, value) in points.values()
                    if trial.outcome == "complete" and str(trial.hyperparameters[name]) == choice
                ]
                if values:
                    median = float(np.median(values))
                    axes.hlines(median, place - 0.32, place + 0.32, color=INK, lw=1.6, zorder=3)
        else:
            _show_range(axes, distribution)
        for outcome in MARKERS:
            marks = [point for trial, point in points.values() if trial.outcome == outcome]
            mark_trials(axes, marks, outcome, limits=limits)
        if summary.best is not None and summary.best.number in points:
            x, y = points[summary.best.number][1]
            axes.scatter([x], [y], s=70, color=ORANGE, facecolor="none", linewidth=1.6)
    return drawn.markup


def _show_range(axes: Axes, distribution: Distribution) -> None:
    """Shows the whole range that was searched, also where no trial went."""
    low, high = distribution["low"], distribution["high"]
    if distribution.get("log"):
        axes.set_xscale("log")
        mark_powers(axes.xaxis, low=low, high=high)
        margin = (high / low) ** 0.05
        axes.set_xlim(low / margin, high * margin)
    else:
        if distribution["type"] == "int":
            mark_integers(axes.xaxis)
        margin = 0.05 * (high - low)
        axes.set_xlim(low - margin, high + margin)


def _name_choices(axes: Axes, choices: list[Value]) -> None:
    names = [hyperparameter(choice) for choice in choices]
    is_long = sum(map(len, names)) > 20
    axes.set_xticks(
        range(len(names)),
        names,
        rotation=35 if is_long else 0,
        ha="right" if is_long else "center",
        rotation_mode="anchor",
    )
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.grid(visible=False, axis="x")
