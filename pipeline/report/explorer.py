"""All trials of all studies: rows of a table, and what the page's script draws and filters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.hyperparameter import Value
from pipeline.report.inputs import Results, StudyResults
from pipeline.report.summary import (
    SearchSummary,
    TrialSummary,
    in_table_order,
    summarize_search,
)
from pipeline.report.text import DASH, among, duration, objective_value, short_names
from pipeline.trials.bounds import Distribution
from pipeline.trials.health import UNKNOWN, verdict
from pipeline.trials.record import TrialRecord

# What the axes of a trial have before those of hyperparameters: see `_facts`.
_FACTS = ("trial", "epochs", "seconds")


@dataclass(frozen=True, kw_only=True)
class Axis:
    """What trials can be drawn along.

    Attributes:
        name: Of the objective, of a fact, or of a hyperparameter.
        log: Whether its scale is logarithmic.
        is_share: Whether its values lie in [0, 1] and read best as a percentage.
        values: Of a choice, in the order of params.yaml; a number has none.
    """

    name: str
    log: bool = False
    is_share: bool = False
    values: Sequence[Value] = ()

    def place(self, value: Value | None) -> Value | None:
        """Returns a number as it is, and of a choice its place."""
        if value is None or not self.values:
            return value
        return [_typed(one) for one in self.values].index(_typed(value))

    def content(self) -> dict[str, object]:
        """Returns it as the script reads it."""
        kind = "choice" if self.values else "number"
        shown = {"name": self.name, "kind": kind, "log": self.log, "share": self.is_share}
        return {**shown, "choices": short_names(self.values)}


def view_trials(results: Results) -> dict[str, object]:
    """Returns all trials: `columns` and `rows` of text, and `data` as `explore.js` reads it.

    In `data` each trial has a value for each of `axes`: a number, the place of a choice among its
    choices, or None where the hyperparameter does not exist. Axis 0 is the objective's.
    """
    studies = [(study, summarize_search(study.search)) for study in results.studies]
    axes = _axes([summary for _, summary in studies])
    trials = [
        _Trial(study, summary, record, trial)
        for study, summary in studies
        for record, trial in zip(study.search.trials, summary.trials, strict=True)
    ]
    has_health = any(trial.health for trial in trials)
    summary = studies[0][1]
    objective = Axis(name=summary.objective_name, is_share=summary.is_share)
    drawn = [objective, *(Axis(name=name) for name in _FACTS), *axes.values()]
    return {
        "columns": [
            *("Trial", "Trained by", "State"),
            *(["Health"] if has_health else []),
            *(summary.objective_name, "Epochs", "Time", "Searched hyperparameters"),
        ],
        "rows": [trial.row(has_health=has_health) for trial in trials],
        "filters": _filters(trials, has_health=has_health),
        "data": {
            "maximize": summary.maximize,
            "axes": [axis.content() for axis in drawn],
            "trials": [trial.content(axes) for trial in trials],
        },
    }


class _Trial:
    """A trial in all its forms."""

    def __init__(
        self,
        study: StudyResults,
        summary: SearchSummary,
        record: TrialRecord,
        trial: TrialSummary,
    ) -> None:
        self.study, self.state = study.name, trial.outcome
        self.rung = next((r.name for r in summary.rungs if r.share == trial.share), DASH)
        self.health = health_of(record)
        self._summary, self._trial = summary, trial

    def row(self, *, has_health: bool) -> list[str]:
        trial = self._trial
        return [
            f"{self.study} {trial.number}",
            *(self.rung, self.state),
            *([self.health or DASH] if has_health else []),
            objective_value(trial.value, self._summary),
            str(len(trial.curve)),
            DASH if trial.seconds is None else duration(trial.seconds),
            ", ".join(
                f"{name} {among(trial.hyperparameters[name], one.choices)}"
                for name, one in self._summary.space.items()
                if name in trial.hyperparameters
            ),
        ]

    def content(self, axes: Mapping[str, Axis]) -> dict[str, object]:
        trial = self._trial
        values = [
            axis.place(trial.hyperparameters.get(name) if name in self._summary.space else None)
            for name, axis in axes.items()
        ]
        return {
            "study": self.study,
            "rung": self.rung,
            "state": self.state,
            "health": self.health,
            "number": trial.number,
            "at": [trial.value, trial.number, len(trial.curve), trial.seconds, *values],
        }


def health_of(trial: TrialRecord) -> str:
    """Returns what ailed a trial, `healthy` or the like; empty where that is not known."""
    found = verdict(trial)
    return next(iter(found.names), "" if found.health == UNKNOWN else found.health)


def _axes(summaries: Sequence[SearchSummary]) -> dict[str, Axis]:
    """Returns an axis for each hyperparameter of which the trials have at least two values."""
    names = in_table_order({name: None for one in summaries for name in one.space})
    found = {name: _axis(name, summaries) for name in names}
    return {name: axis for name, axis in found.items() if axis is not None}


def _axis(name: str, summaries: Sequence[SearchSummary]) -> Axis | None:
    distributions = [one.space[name] for one in summaries if name in one.space]
    values = [
        trial.hyperparameters[name]
        for one in summaries
        for trial in one.trials
        if name in one.space and name in trial.hyperparameters
    ]
    found = {_typed(one) for one in values}
    if len(found) < 2:
        return None
    if _is_number(distributions, values):
        return Axis(name=name, log=all(one.log for one in distributions))
    listed = [choice for one in distributions for choice in one.choices]
    choices = {_typed(one): one for one in [*listed, *values] if _typed(one) in found}
    return Axis(name=name, values=list(choices.values()))


def _typed(value: Value) -> tuple[type, Value]:
    return type(value), value  # Python takes True for 1.


def _is_number(distributions: Sequence[Distribution], values: Sequence[Value]) -> bool:
    are_numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return are_numbers and all(one.type != "choice" for one in distributions)


def _filters(trials: Sequence[_Trial], *, has_health: bool) -> list[tuple[str, str, list[str]]]:
    """Returns (name, label, choices) of what trials can be filtered by."""
    names = {"study": "Study", "rung": "Trained by", "state": "State"}
    if has_health:
        names["health"] = "Health"
    return [
        (name, label, list(dict.fromkeys(getattr(trial, name) or DASH for trial in trials)))
        for name, label in names.items()
    ]
