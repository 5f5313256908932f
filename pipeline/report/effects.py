"""Figures of what each hyperparameter did: a small one for each that was searched."""

from collections.abc import Sequence

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
from pipeline.report.text import short_names
from pipeline.trials.bounds import Distribution

# Steps of the golden section spread neighbouring trials evenly and the same way every time.
_GOLDEN = 0.618034


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
        effect = _Effect(summary, name, distribution)
        if effect.num_values > 1:
            figures[name] = effect.draw(f"{key}-{name}")
    return figures


class _Effect:
    """The trials in which one hyperparameter exists, by its value."""

    def __init__(self, summary: SearchSummary, name: str, distribution: Distribution) -> None:
        self._summary = summary
        self._name = name
        self._distribution = distribution
        drawn = [trial for trial in summary.compared if trial.outcome in MARKERS]
        self._trials = [trial for trial in drawn if self._has_place(trial)]

    @property
    def num_values(self) -> int:
        """How many values it took."""
        return len({str(trial.hyperparameters[self._name]) for trial in self._trials})

    def draw(self, key: str) -> Markup:
        """Draws the trials, the best one ringed."""
        alt = f"{self._summary.objective_name} of every trial over {self._name}."
        with chart(key, alt=alt, size=(2.7, 2.1), num_marks=len(self._trials)) as drawn:
            axes = drawn.axes[0]
            axes.set_title(self._name)
            limits = limit_values(axes, self._summary)
            if self._distribution.type == "choice":
                _name_choices(axes, self._distribution.choices)
                self._mark_medians(axes)
            else:
                _show_range(axes, self._distribution)
            for outcome in MARKERS:
                points = [self._point(t) for t in self._trials if t.outcome == outcome]
                mark_trials(axes, points, outcome, limits=limits)
            best = self._summary.best
            ringed = [t for t in self._trials if best and t.hyperparameters == best.hyperparameters]
            if ringed:
                x, y = self._point(ringed[0])
                axes.scatter([x], [y], s=70, color=ORANGE, facecolor="none", linewidth=1.6)
        return drawn.markup

    def _has_place(self, trial: TrialSummary) -> bool:
        if trial.value is None or self._name not in trial.hyperparameters:
            return False
        # A trial may be older than the choices, where a study goes on with others.
        is_choice = self._distribution.type == "choice"
        return not is_choice or self._value(trial) in self._choices()

    def _point(self, trial: TrialSummary) -> Point:
        value = float("nan") if trial.value is None else trial.value
        if self._distribution.type != "choice":
            return float(trial.hyperparameters[self._name]), value
        shift = (trial.number * _GOLDEN) % 1.0 - 0.5
        return self._choices().index(self._value(trial)) + 0.5 * shift, value

    def _choices(self) -> list[str]:
        # As text: 1, 1.0 and True are equal to Python and different choices to a search.
        return [str(choice) for choice in self._distribution.choices]

    def _value(self, trial: TrialSummary) -> str:
        return str(trial.hyperparameters[self._name])

    def _mark_medians(self, axes: Axes) -> None:
        for place, choice in enumerate(self._choices()):
            values = [
                trial.value
                for trial in self._trials
                if trial.outcome == "complete" and self._value(trial) == choice
            ]
            if values:
                median = float(np.median(np.array(values)))
                axes.hlines(median, place - 0.32, place + 0.32, color=INK, lw=1.6, zorder=3)


def _show_range(axes: Axes, distribution: Distribution) -> None:
    """Shows the whole range that was searched, also where no trial went."""
    low, high = distribution.low, distribution.high
    if distribution.log:
        axes.set_xscale("log")
        mark_powers(axes.xaxis, low=low, high=high)
        margin = (high / low) ** 0.05
        axes.set_xlim(low / margin, high * margin)
    else:
        if distribution.type == "int":
            mark_integers(axes.xaxis)
        margin = 0.05 * (high - low)
        axes.set_xlim(low - margin, high + margin)


def _name_choices(axes: Axes, choices: Sequence[Value]) -> None:
    names = short_names(choices)
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
