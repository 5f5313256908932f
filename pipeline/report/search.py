"""A search as the page shows it: figures, and tables as rows of text."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from pipeline.hyperparameter import Value
from pipeline.report.charts import (
    CROWDED,
    MARKERS,
    ORANGE,
    RED,
    Chart,
    chart,
    limit_values,
    mark_integers,
    mark_trials,
)
from pipeline.report.effects import hyperparameter_effects
from pipeline.report.inputs import StudyResults
from pipeline.report.summary import (
    SearchSummary,
    best_so_far,
    bound_notes,
    in_table_order,
    summarize_search,
)
from pipeline.report.text import (
    DASH,
    among,
    describe_distribution,
    duration,
    hyperparameter,
    mean_and_deviation,
    objective_value,
    percent,
    searched_value,
)
from pipeline.trials.candidate import CandidateRecord, StandingRecord
from pipeline.trials.ranking import num_finished

Row = list[str]
NUM_TOP_TRIALS = 8


def view_search(study: StudyResults) -> dict[str, object]:
    """Returns a study's search and confirmation as the page shows them: texts, rows, figures."""
    summary = summarize_search(study.search)
    winner = study.confirm.winner
    values = in_table_order(winner.hyperparameters)
    return dict(
        objective=summary.objective_name,
        winner=str(winner.number),
        searched=searched_value(winner, summary),
        confirmed=mean_and_deviation(winner.mean, winner.std, summary),
        num_seeds=winner.num_seeds,
        facts=_facts(study, summary),
        rungs=_rungs(summary),
        history=history(f"{study.name}-history", summary),
        curves=learning_curves(f"{study.name}-curves", summary),
        effects=hyperparameter_effects(study.name, summary),
        chosen=_chosen(values, summary),
        fixed=[
            f"{name} = {hyperparameter(value)}"
            for name, value in values.items()
            if name not in summary.space
        ],
        notes=bound_notes(
            study.name, values, summary.space, num_tried=num_finished(study.search.trials)
        ),
        top_trials=_top_trials(summary),
        confirmation_columns=_confirmation_columns(_most_seeds(study.confirm.candidates)),
        confirmation=_confirmation(study.confirm.candidates, summary),
    )


def _facts(study: StudyResults, summary: SearchSummary) -> list[tuple[str, str]]:
    # Others run, or wait: they are queued, or are to be tried again.
    num_trials = sum(trial.outcome != "unfinished" for trial in summary.trials)
    names = ("complete", "pruned", "diverged", "failed", "cut off")
    outcomes = ((name, len(summary.of(name))) for name in names)
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
        ("Configurations wanted", str(study.search.target or "what there was time for")),
        ("Trials ended", f"{num_trials}: {', '.join(counted)}"),
        ("Best trial", _best_text(summary) if best else DASH),
        ("Trained", f"{epochs:,} epochs, {duration(seconds)} summed over workers"),
    ]


def _best_text(summary: SearchSummary) -> str:
    best = summary.best
    if best is None:
        return DASH
    return f"trial {best.number} with {objective_value(best.value, summary)}"


def _chosen(values: Mapping[str, Value], summary: SearchSummary) -> list[Row]:
    return [
        [name, hyperparameter(values[name]) if name in values else DASH, describe_distribution(d)]
        for name, d in summary.space.items()
    ]


def _rungs(summary: SearchSummary) -> list[Row]:
    """Returns a row for each rung; none where every trial is a whole training."""
    if len(summary.rungs) < 2:
        return []
    whole = sum(rung.seconds for rung in summary.rungs) or 1.0
    return [
        [
            rung.name,
            str(rung.num_finished),
            str(rung.num_promoted),
            DASH if rung.best is None else objective_value(rung.best.value, summary),
            f"{duration(rung.seconds)}, {percent(rung.seconds / whole, 1)}",
        ]
        for rung in summary.rungs
    ]


def _top_trials(summary: SearchSummary) -> list[Row]:
    return [
        [
            str(trial.number),
            objective_value(trial.value, summary),
            str(len(trial.curve)),
            DASH if trial.seconds is None else duration(trial.seconds),
            ", ".join(
                f"{name} {among(trial.hyperparameters[name], one.choices)}"
                for name, one in summary.space.items()
                if name in trial.hyperparameters
            ),
        ]
        for trial in summary.ranked[:NUM_TOP_TRIALS]
    ]


def _confirmation_columns(num_seeds: int) -> Row:
    trainings = [f"Training {number}" for number in range(1, num_seeds + 1)]
    measured = ["Trial", "Search", *trainings, "Mean \N{PLUS-MINUS SIGN} std", "95% interval"]
    return [*measured, "Best with probability", "Behind the best mean by", "Weights"]


def _most_seeds(candidates: Sequence[CandidateRecord]) -> int:
    """Returns how many trainings a candidate has at most; where time was short the best have it."""
    return max(len(one.values) for one in candidates)


def _confirmation(candidates: Sequence[CandidateRecord], summary: SearchSummary) -> list[Row]:
    def text(value: float | None) -> str:
        return objective_value(value, summary)

    return [
        [
            str(one.number),
            searched_value(one, summary),
            *[text(value) for value in one.values],
            *[DASH] * (_most_seeds(candidates) - len(one.values)),
            mean_and_deviation(one.mean, one.std, summary),
            DASH if one.low is None else f"{text(one.low)} to {text(one.high)}",
            *_standing(one.standing, summary),
        ]
        for one in candidates
    ]


def _standing(one: StandingRecord | None, summary: SearchSummary) -> list[str]:
    if one is None:
        return [DASH] * 3
    scale, decimals = (100, 2) if summary.is_share else (1, 4)
    behind, low, high = (
        f"{scale * number:.{decimals}f}" for number in (one.behind, one.low, one.high)
    )
    tied = ", tied" if one.is_tied else ""
    return [
        f"{one.probability_best:.2f}",
        f"{behind} ({low} to {high}){tied}",
        f"{one.num_parameters:,}",
    ]


def history(key: str, summary: SearchSummary) -> Markup:
    """Draws every trial's value by its number, the best so far, and what did not finish.

    Args:
        key: Key of the figure, unique in the page.
        summary: The search, with at least one complete trial.
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
        key: Key of the figure, unique in the page.
        summary: The search, with at least one complete trial.
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
