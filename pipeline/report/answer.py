"""The answer that the page begins with: sentences made from the records."""

from pipeline.clock import FURTHER_SECONDS, search_share
from pipeline.evaluation.intervals import Interval, mean_interval, paired_difference
from pipeline.report.inputs import Results, StudyResults
from pipeline.report.summary import summarize_search
from pipeline.report.text import (
    capitalized,
    mean_and_deviation,
    objective_value,
    percent,
    points,
)
from pipeline.trials.exported import ExportRecord
from pipeline.trials.outlook import outlook

# As many as the default of `evaluate.bootstrap`.
NUM_RESAMPLES = 1_000
SEED = 0


def verdict(results: Results) -> list[str]:
    """Returns what was found, sentence by sentence.

    First the first study against each other one on the test images, then how it was chosen, then
    what more time is expected to bring.

    Args:
        results: All results; the first study is what the others are compared with.
    """
    first, *others = results.studies
    found = [_compared(first, other, results) for other in others] or [_alone(first)]
    return [*found, _choice(first), *_further(first, results)]


def _alone(study: StudyResults) -> str:
    accuracy = study.metrics["accuracy"]
    n = accuracy.n
    return (
        f"{capitalized(study.name)} classifies {percent(accuracy.value, n)} of the test images "
        f"correctly (n = {n:,}, 95% interval {points(accuracy.low, n)} to "
        f"{percent(accuracy.high, n)})."
    )


def _compared(first: StudyResults, other: StudyResults, results: Results) -> str:
    difference = paired_difference(
        "accuracy",
        first.probabilities,
        other.probabilities,
        results.labels,
        num_resamples=NUM_RESAMPLES,
        seed=SEED,
    )
    n = difference.n
    a, b = (percent(study.metrics["accuracy"].value, n) for study in (first, other))
    figures = f"{a} against {b} of the test images are right, n = {n:,}"
    name = capitalized(first.name)
    if difference.low <= 0 <= difference.high:
        return (
            f"{name} and {other.name} cannot be told apart: {figures}; the 95% interval of the "
            f"paired difference, {_span(difference)}, includes 0."
        )
    verb = "beats" if difference.value > 0 else "loses to"
    return (
        f"{name} {verb} {other.name} by {points(abs(difference.value), n)} points: {figures}; "
        f"95% interval of the paired difference {_span(difference)}."
    )


def _choice(study: StudyResults) -> str:
    summary = summarize_search(study.search)
    winner = study.confirm.winner
    spread = mean_interval(winner.values)
    runs = "one training" if spread.n == 1 else f"{spread.n} trainings"
    return (
        f"{capitalized(study.name)} is trial {winner.number} of its search, where it had "
        f"{objective_value(winner.search_value, summary)} {summary.objective_name}; on the "
        f"confirmation part, which no search has seen, it has "
        f"{mean_and_deviation(spread.mean, spread.std, summary)} over {runs}. "
        f"{_exported(study.confirm.exported)}The test part was read after that and "
        "decided nothing."
    )


def _further(study: StudyResults, results: Results) -> list[str]:
    """Says what more time would go to; nothing where no time decides what is searched."""
    search = study.search
    if search.budget_seconds is None:
        return []
    bases = {one.name: one.confirm.base for one in results.studies}
    seconds = FURTHER_SECONDS * search_share(study.name, bases)
    found = outlook(search.trials, search.direction, seconds=seconds)
    if found is None:
        return []
    summary = summarize_search(search)
    gain = f"{100 * found.gain:.2f} points" if summary.is_share else f"{found.gain:.4f}"
    return [
        f"With {FURTHER_SECONDS / 60:.0f} minutes more of budget {study.name} would try "
        f"{found.sentence(summary.objective_name, gain)}, and the best would be trained with "
        "further seeds."
    ]


def _exported(exported: ExportRecord) -> str:
    members = exported.members
    if len(members) == 1:
        return ""
    numbers = sorted({member.number for member in members})
    trials = f"trial{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
    return f"The exported model averages {len(members)} trainings of {trials}. "


def _span(difference: Interval) -> str:
    low, high = (points(end, difference.n) for end in (difference.low, difference.high))
    return f"{low} to {high} points"
