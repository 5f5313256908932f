"""One study as the page shows it: figures, and tables as rows of text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from pipeline.evaluation.classes import ClassScore, class_scores, most_confused
from pipeline.evaluation.metrics import confusion_counts
from pipeline.report.inputs import Results, StudyResults
from pipeline.report.judgement_figures import confusion_matrix, reliability_diagram
from pipeline.report.pictures import data_address
from pipeline.report.search_figures import history, hyperparameter_effects, learning_curves
from pipeline.report.searches import (
    SearchSummary,
    best_trials,
    bound_notes,
    summarize_search,
)
from pipeline.report.text import (
    describe_distribution,
    duration,
    hyperparameter,
    interval,
    mean_and_deviation,
    objective_value,
    percent,
)
from pipeline.tuning.hyperparameters import Value

Row = list[str]
NUM_TOP_TRIALS = 8
NUM_MISTAKES = 10
# A class each would make a page of tables; the worst are what one looks for.
MAX_CLASS_ROWS = 40
DASH = "\N{EM DASH}"

_METRIC_IS_SHARE = {"accuracy": True, "macro_f1": True, "log_loss": False, "ece": False}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A misclassified image.

    Attributes:
        address: The image itself, as a `data:` address.
        actual: The label's class name.
        predicted: The class name it was taken for.
        confidence: Its probability, as text.
        index: Place in the test part.
    """

    address: str
    actual: str
    predicted: str
    confidence: str
    index: int


@dataclass(frozen=True, kw_only=True)
class StudyView:
    """All that the page shows of a study; rows hold one text per column.

    Attributes:
        name: Its key in `params.yaml`.
        base: The base model's name; `none` without one.
        metrics: By metric the value and its interval, as text.
        n: Test images, as text.
        confirmed: Mean and deviation on the confirmation part.
        num_seeds: Trainings behind it.
        searched: The winner's value in the search.
        objective: In words.
        facts: Label and text of what the search did.
        figures: By name: history, curves, confusion, reliability.
        effects: By hyperparameter its figure.
        chosen: Rows of name, value, range: what was searched and won.
        fixed: What was not searched, as `name = value`.
        notes: Values near the end of their range.
        top_trials: Rows of number, value, epochs, time, what differs from the first.
        confirmation_columns: Heads of the next.
        confirmation: Rows of number, value in the search, each training, mean, interval.
        winner: The winner's number.
        scores: Rows of class, n, precision, recall, F1.
        scores_note: What the rows leave out; empty if nothing.
        mistakes: Rows of actual, predicted, count, share.
        pictures: What it was most sure and wrong about.
        lineage: Label and text.
    """

    name: str
    base: str
    metrics: Mapping[str, tuple[str, str]]
    n: str
    confirmed: str
    num_seeds: int
    searched: str
    objective: str
    facts: list[tuple[str, str]]
    figures: Mapping[str, Markup]
    effects: Mapping[str, Markup]
    chosen: list[Row]
    fixed: list[str]
    notes: list[str]
    top_trials: list[Row]
    confirmation_columns: Row
    confirmation: list[Row]
    winner: str
    scores: list[Row]
    scores_note: str
    mistakes: list[Row]
    pictures: list[Picture]
    lineage: list[tuple[str, str]]


def view_study(study: StudyResults, results: Results) -> StudyView:
    """Returns a study as the page shows it."""
    summary = summarize_search(study.search)
    predicted = study.probabilities.argmax(axis=1)
    names = results.class_names
    counts = confusion_counts(results.labels, predicted, num_classes=len(names))
    winner = study.confirm["winner"]
    scores, scores_note = _scores(class_scores(counts), names)
    return StudyView(
        name=study.name,
        base=study.confirm["base"],
        metrics={
            name: interval(study.metrics[name], is_share=is_share)
            for name, is_share in _METRIC_IS_SHARE.items()
        },
        n=f"{study.metrics['accuracy']['n']:,}",
        confirmed=mean_and_deviation(winner["mean"], winner["std"], summary),
        num_seeds=winner["num_seeds"],
        searched=objective_value(winner["search_value"], summary),
        objective=summary.objective_name,
        facts=_facts(study, summary),
        figures={
            "history": history(f"{study.name}-history", summary),
            "curves": learning_curves(f"{study.name}-curves", summary),
            "confusion": confusion_matrix(f"{study.name}-confusion", counts, names),
            "reliability": reliability_diagram(f"{study.name}-reliability", study.calibration),
        },
        effects=hyperparameter_effects(study.name, summary),
        chosen=_chosen(winner["hyperparameters"], summary),
        fixed=[
            f"{name} = {hyperparameter(value)}"
            for name, value in winner["hyperparameters"].items()
            if name not in summary.space
        ],
        notes=bound_notes(study.name, winner["hyperparameters"], summary.space),
        top_trials=_top_trials(summary),
        confirmation_columns=_confirmation_columns(winner["num_seeds"]),
        confirmation=_confirmation(study.confirm["candidates"], summary),
        winner=str(winner["number"]),
        scores=scores,
        scores_note=scores_note,
        mistakes=[
            [names[m.actual], names[m.predicted], f"{m.count:,}", f"{100 * m.share:.1f}%"]
            for m in most_confused(counts, limit=NUM_MISTAKES)
        ],
        pictures=_pictures(study, results),
        lineage=_lineage(study),
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


def _scores(scores: list[ClassScore], names: list[str]) -> tuple[list[Row], str]:
    note = ""
    if len(scores) > MAX_CLASS_ROWS:
        scores = sorted(scores, key=lambda score: (score.f1 is None, score.f1))[:MAX_CLASS_ROWS]
        note = f"The {MAX_CLASS_ROWS} classes of {len(names)} with the lowest F1."
    rows = [
        [names[s.index], f"{s.n:,}", *[_ratio(x) for x in (s.precision, s.recall, s.f1)]]
        for s in scores
    ]
    return rows, note


def _ratio(value: float | None) -> str:
    return DASH if value is None else f"{value:.3f}"


def _pictures(study: StudyResults, results: Results) -> list[Picture]:
    pictures = []
    for index, image in zip(study.wrong_indices, study.wrong_images, strict=True):
        predicted = int(study.probabilities[index].argmax())
        confidence = float(study.probabilities[index, predicted])
        pictures.append(
            Picture(
                address=data_address(image),
                actual=results.class_names[int(results.labels[index])],
                predicted=results.class_names[predicted],
                # Cut, not rounded: 0.99996 is no certainty.
                confidence=f"{int(confidence * 1000) / 10:.1f}%",
                index=int(index),
            )
        )
    return pictures


def _lineage(study: StudyResults) -> list[tuple[str, str]]:
    exported = study.confirm["exported"]
    return [
        ("Optuna study", study.search["study_name"]),
        ("Identity", study.search["identity"]),
        ("Model file", exported["file"]),
        ("SHA-256 of its head's weights", exported["weights_sha256"]),
        ("Exported training", f"seed {study.confirm['winner']['seed']}: {exported['rule']}"),
    ]
