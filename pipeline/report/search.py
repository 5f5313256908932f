"""A search as the page shows it: figures, and tables as rows of text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from pipeline.hyperparameter import Value
from pipeline.report.effects import hyperparameter_effects
from pipeline.report.inputs import StudyResults
from pipeline.report.search_figures import history, learning_curves
from pipeline.report.summary import (
    SearchSummary,
    best_trials,
    bound_notes,
    in_table_order,
    summarize_search,
)
from pipeline.report.text import (
    DASH,
    describe_distribution,
    duration,
    hyperparameter,
    mean_and_deviation,
    objective_value,
    percent,
)

Row = list[str]
NUM_TOP_TRIALS = 8


@dataclass(frozen=True, kw_only=True)
class SearchView:
    """What the page shows of a study's search and confirmation; a row has a text per column.

    Attributes:
        objective: In words.
        winner: The winner's trial number.
        searched: The winner's value in the search.
        confirmed: Its mean and deviation on the confirmation part.
        num_seeds: Trainings behind that.
        facts: Label and text of what the search did.
        history: Figure of every trial by number.
        curves: Figure of every trial by epoch.
        effects: By hyperparameter its figure.
        chosen: Rows of name, value, range: what was searched and won.
        fixed: What was not searched, as `name = value`.
        notes: Values near the end of their range.
        top_trials: Rows of number, value, epochs, time, searched hyperparameters.
        confirmation_columns: Heads of the next.
        confirmation: Rows of number, value in the search, each training, mean, interval.
    """

    objective: str
    winner: str
    searched: str
    confirmed: str
    num_seeds: int
    facts: list[tuple[str, str]]
    history: Markup
    curves: Markup
    effects: Mapping[str, Markup]
    chosen: list[Row]
    fixed: list[str]
    notes: list[str]
    top_trials: list[Row]
    confirmation_columns: Row
    confirmation: list[Row]


def view_search(study: StudyResults) -> SearchView:
    """Returns a study's search and confirmation as the page shows them."""
    summary = summarize_search(study.search)
    winner = study.confirm["winner"]
    values = in_table_order(winner["hyperparameters"])
    return SearchView(
        objective=summary.objective_name,
        winner=str(winner["number"]),
        searched=objective_value(winner["search_value"], summary),
        confirmed=mean_and_deviation(winner["mean"], winner["std"], summary),
        num_seeds=winner["num_seeds"],
        facts=_facts(study, summary),
        history=history(f"{study.name}-history", summary),
        curves=learning_curves(f"{study.name}-curves", summary),
        effects=hyperparameter_effects(study.name, summary),
        chosen=_chosen(values, summary),
        fixed=[
            f"{name} = {hyperparameter(value)}"
            for name, value in values.items()
            if name not in summary.space
        ],
        notes=bound_notes(study.name, values, summary.space),
        top_trials=_top_trials(summary),
        confirmation_columns=_confirmation_columns(winner["num_seeds"]),
        confirmation=_confirmation(study.confirm["candidates"], summary),
    )


def _facts(study: StudyResults, summary: SearchSummary) -> list[tuple[str, str]]:
    num_trials = len(summary.trials)
    outcomes = ((o, len(summary.of(o))) for o in ("complete", "pruned", "diverged", "failed"))
    counted = [
        f"{count} {outcome} ({percent(count / max(num_trials, 1), 1)})"
        for outcome, count in outcomes
        if count
    ]
    epochs = sum(len(trial.curve) for trial in summary.trials)
    seconds = sum(trial.seconds or 0.0 for trial in summary.trials)
    best = summary.best
    direction = "highest" if summary.maximize else "lowest"
    return [
        ("Objective", f"{summary.objective_name}, {direction} is best"),
        ("Finished trials wanted", str(study.search["target"])),
        ("Trials started", f"{num_trials}: {', '.join(counted)}"),
        ("Best trial", _best_text(summary) if best else DASH),
        ("Trained", f"{epochs:,} epochs, {duration(seconds)} summed over workers"),
    ]


def _best_text(summary: SearchSummary) -> str:
    best = summary.best
    if best is None or best.value is None:
        return DASH
    return f"trial {best.number} with {objective_value(best.value, summary)}"


def _chosen(values: Mapping[str, Value], summary: SearchSummary) -> list[Row]:
    return [
        [name, hyperparameter(values[name]) if name in values else DASH, describe_distribution(d)]
        for name, d in summary.space.items()
    ]


def _top_trials(summary: SearchSummary) -> list[Row]:
    return [
        [
            str(trial.number),
            DASH if trial.value is None else objective_value(trial.value, summary),
            str(len(trial.curve)),
            DASH if trial.seconds is None else duration(trial.seconds),
            ", ".join(
                f"{name} {hyperparameter(trial.hyperparameters[name])}"
                for name in summary.space
                if name in trial.hyperparameters
            ),
        ]
        for trial in best_trials(summary, limit=NUM_TOP_TRIALS)
    ]


def _confirmation_columns(num_seeds: int) -> Row:
    trainings = [f"Training {number}" for number in range(1, num_seeds + 1)]
    return ["Trial", "Search", *trainings, "Mean \N{PLUS-MINUS SIGN} std", "95% interval"]


def _confirmation(candidates: Sequence[Mapping[str, Any]], summary: SearchSummary) -> list[Row]:
    def text(value: float | None) -> str:
        return DASH if value is None else objective_value(value, summary)

    return [
        [
            str(one["number"]),
            text(one["search_value"]),
            *[text(value) for value in one["values"]],
            mean_and_deviation(one["mean"], one["std"], summary),
            DASH if one["low"] is None else f"{text(one['low'])} to {text(one['high'])}",
        ]
        for one in candidates
    ]
