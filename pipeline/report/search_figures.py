"""Figures of a search: its history, its learning curves, and each hyperparameter's effect."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from pipeline.report.charts import (
    BLUE,
    GRAY,
    INK,
    ORANGE,
    RED,
    Chart,
    chart,
    mark_integers,
    mark_powers,
)
from pipeline.report.searches import SearchSummary, TrialSummary, best_so_far, focus
from pipeline.report.text import hyperparameter
from pipeline.tuning.hyperparameters import Value

_MARKERS = {"complete": ("o", BLUE), "pruned": ("x", GRAY)}
# Steps of the golden section spread neighbouring trials evenly and the same way every time.
_GOLDEN = 0.618034
# Above this many trials, marks and lines are drawn finer, so that they stay apart.
_CROWDED = 150


def history(key: str, summary: SearchSummary) -> Markup:
    """Draws every trial's value by its number, the best so far, and what did not finish.

    Args:
        key: Of the figure, unique in the page.
        summary: With at least one complete trial.
    """
    steps = best_so_far(summary)
    alt = (
        f"{summary.objective_name} of {len(summary.trials)} trials by number; the best so far "
        f"goes from {steps[0][1]:.4g} to {steps[-1][1]:.4g}."
    )
    with chart(key, alt=alt, size=(4.7, 2.9), num_marks=len(summary.trials)) as drawn:
        axes = drawn.axes[0]
        low, high = _limit(axes, summary)
        axes.step(*zip(*steps, strict=True), where="post", color=ORANGE, label="best so far")
        for outcome in _MARKERS:
            _scatter(axes, summary.of(outcome), outcome, limits=(low, high))
        lost = [trial.number for trial in summary.of("failed", "diverged")]
        if lost:
            edge = low if summary.maximize else high
            axes.scatter(
                lost,
                [edge] * len(lost),
                marker="s",
                color=RED,
                s=20,
                clip_on=False,
                label="failed or diverged",
            )
        axes.set(xlabel="trial", ylabel=summary.objective_name)
        mark_integers(axes.xaxis)
        _legend(drawn)
    return drawn.markup


def learning_curves(key: str, summary: SearchSummary) -> Markup:
    """Draws the objective of every trial by epoch, the best trial's on top.

    Args:
        key: Of the figure, unique in the page.
        summary: With at least one complete trial.
    """
    # A line's point takes about an eighth of the text of a mark.
    num_marks = sum(len(trial.curve) for trial in summary.trials) // 8
    alt = (
        f"{summary.objective_name} by epoch of {len(summary.of('complete'))} complete and "
        f"{len(summary.of('pruned'))} pruned trials."
    )
    with chart(key, alt=alt, size=(4.7, 2.9), num_marks=num_marks) as drawn:
        axes = drawn.axes[0]
        _limit_curves(axes, summary)
        for outcome in ("pruned", "complete"):
            _draw_curves(axes, summary, outcome)
        if summary.best is not None and summary.best.curve:
            axes.plot(
                *zip(*summary.best.curve, strict=True),
                color=ORANGE,
                lw=2.0,
                marker="o",
                ms=3,
                label=f"best: trial {summary.best.number}",
            )
        axes.set(xlabel="epoch", ylabel=summary.objective_name)
        mark_integers(axes.xaxis)
        _legend(drawn)
    return drawn.markup


def hyperparameter_effects(key: str, summary: SearchSummary) -> dict[str, Markup]:
    """Draws the value of every trial over each searched hyperparameter, one small figure each.

    Args:
        key: Of the figures, unique in the page.
        summary: With at least one complete trial.

    Returns:
        By hyperparameter, those that took at least two values.
    """
    figures = {}
    for name, distribution in summary.space.items():
        trials = [t for t in summary.of(*_MARKERS) if name in t.hyperparameters]
        if len({t.hyperparameters[name] for t in trials if t.value is not None}) > 1:
            figures[name] = _effect(f"{key}-{name}", summary, name, distribution=distribution)
    return figures


def _effect(
    key: str, summary: SearchSummary, name: str, *, distribution: Mapping[str, Any]
) -> Markup:
    alt = f"{summary.objective_name} of every trial over {name}."
    with chart(key, alt=alt, size=(2.7, 2.1), num_marks=len(summary.trials)) as drawn:
        axes = drawn.axes[0]
        limits = _limit(axes, summary)
        axes.set_title(name)
        if distribution["type"] == "choice":
            _name_choices(axes, distribution["choices"])
            _mark_medians(axes, summary, name, choices=distribution["choices"])
        else:
            _scale(axes, distribution)
        for outcome in _MARKERS:
            trials = [t for t in summary.of(outcome) if name in t.hyperparameters]
            places = [_place(t, name, distribution) for t in trials]
            _scatter(axes, trials, outcome, limits=limits, places=places)
        best = summary.best
        if best is not None and best.value is not None and name in best.hyperparameters:
            axes.scatter(
                [_place(best, name, distribution)],
                [best.value],
                s=70,
                color=ORANGE,
                facecolor="none",
                linewidth=1.6,
            )
    return drawn.markup


def _scale(axes: Axes, distribution: Mapping[str, Any]) -> None:
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


def _place(trial: TrialSummary, name: str, distribution: Mapping[str, Any]) -> float:
    value: Value = trial.hyperparameters[name]
    if distribution["type"] != "choice":
        return float(value)
    shift = (trial.number * _GOLDEN) % 1.0 - 0.5
    return float(_position(value, distribution["choices"]) + 0.5 * shift)


def _position(value: Value, choices: list[Value]) -> int:
    # Compared as text: 1, 1.0 and True are equal to Python and different choices to a search.
    return [str(choice) for choice in choices].index(str(value))


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


def _mark_medians(axes: Axes, summary: SearchSummary, name: str, *, choices: list[Value]) -> None:
    for place, choice in enumerate(choices):
        values = [
            trial.value
            for trial in summary.of("complete")
            if trial.value is not None and str(trial.hyperparameters.get(name)) == str(choice)
        ]
        if values:
            axes.hlines(
                float(np.median(values)), place - 0.32, place + 0.32, color=INK, lw=1.6, zorder=3
            )


def _limit(axes: Axes, summary: SearchSummary) -> tuple[float, float]:
    values = [t.value for t in summary.of("complete") if t.value is not None]
    low, high = focus(values, maximize=summary.maximize)
    axes.set_ylim(low, high)
    return low, high


def _draw_curves(axes: Axes, summary: SearchSummary, outcome: str) -> None:
    color = _MARKERS[outcome][1]
    width = 0.4 if len(summary.trials) > _CROWDED else 0.9
    curves = [trial.curve for trial in summary.of(outcome) if trial.curve]
    for index, curve in enumerate(curves):
        label = outcome if index == 0 else None
        axes.plot(*zip(*curve, strict=True), color=color, alpha=0.6, lw=width, label=label)
    if outcome == "pruned":
        for epoch, value in (curve[-1] for curve in curves):
            axes.plot(epoch, value, "x", color=color, ms=4)


def _limit_curves(axes: Axes, summary: SearchSummary) -> None:
    # Curves climb into the range that matters: some more of the bad end shows where most stop.
    low, high = _limit(axes, summary)
    points = [value for trial in summary.trials for _, value in trial.curve]
    reach = 3 * (high - low)
    if summary.maximize:
        low = min(low, max(low - reach, float(np.quantile(points, 0.1))))
    else:
        high = max(high, min(high + reach, float(np.quantile(points, 0.9))))
    axes.set_ylim(low, high)


def _scatter(
    axes: Axes,
    trials: list[TrialSummary],
    outcome: str,
    *,
    limits: tuple[float, float],
    places: list[float] | None = None,
) -> None:
    """Draws trials as points; those outside the limits as arrows at the edge."""
    marker, color = _MARKERS[outcome]
    points = [
        (trial.number if places is None else places[index], trial.value)
        for index, trial in enumerate(trials)
        if trial.value is not None and math.isfinite(trial.value)
    ]
    low, high = limits
    inside = [point for point in points if low <= point[1] <= high]
    below = [place for place, value in points if value < low]
    above = [place for place, value in points if value > high]
    is_crowded = len(points) > _CROWDED
    style: dict[str, Any] = {"color": color, "s": 5 if is_crowded else 16, "linewidth": 1.0}
    if points:
        x, y = zip(*inside, strict=True) if inside else ((), ())
        axes.scatter(x, y, marker=marker, label=outcome, **style)
    for arrow, edge, beyond in (("v", low, below), ("^", high, above)):
        if beyond:
            axes.scatter(beyond, [edge] * len(beyond), marker=arrow, clip_on=False, **style)


def _legend(drawn: Chart) -> None:
    legend = drawn.figure.legend(
        loc="outside lower center", ncols=4, handlelength=1.4, columnspacing=1.4
    )
    for line in legend.get_lines():
        line.set_alpha(1.0)
