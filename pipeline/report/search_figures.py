"""Figures of a search as a whole: its history and its learning curves."""

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from pipeline.report.charts import ORANGE, RED, Chart, chart, mark_integers
from pipeline.report.summary import SearchSummary, best_so_far
from pipeline.report.trial_marks import CROWDED, MARKERS, limit_values, mark_trials


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
        low, high = limit_values(axes, summary)
        axes.step(*zip(*steps, strict=True), where="post", color=ORANGE, label="best so far")
        for outcome in MARKERS:
            points = [(t.number, t.value) for t in summary.of(outcome) if t.value is not None]
            mark_trials(axes, points, outcome, limits=(low, high))
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


def _draw_curves(axes: Axes, summary: SearchSummary, outcome: str) -> None:
    color = MARKERS[outcome][1]
    width = 0.4 if len(summary.trials) > CROWDED else 0.9
    curves = [trial.curve for trial in summary.of(outcome) if trial.curve]
    for index, curve in enumerate(curves):
        label = outcome if index == 0 else None
        axes.plot(*zip(*curve, strict=True), color=color, alpha=0.6, lw=width, label=label)
    if outcome == "pruned":
        for epoch, value in (curve[-1] for curve in curves):
            axes.plot(epoch, value, "x", color=color, ms=4)


def _limit_curves(axes: Axes, summary: SearchSummary) -> None:
    # Curves climb into the range that matters: some more of the bad end shows where most stop.
    low, high = limit_values(axes, summary)
    points = [value for trial in summary.trials for _, value in trial.curve]
    reach = 3 * (high - low)
    if summary.maximize:
        low = min(low, max(low - reach, float(np.quantile(points, 0.1))))
    else:
        high = max(high, min(high + reach, float(np.quantile(points, 0.9))))
    axes.set_ylim(low, high)


def _legend(drawn: Chart) -> None:
    legend = drawn.figure.legend(
        loc="outside lower center", ncols=4, handlelength=1.4, columnspacing=1.4
    )
    for line in legend.get_lines():
        line.set_alpha(1.0)
