"""The answer that the page begins with: a newcomer's questions, answered from the records.

Each sentence is made from what the stages wrote. A tie is called a tie, a figure has its interval
and its n, and what limits a model is said from its errors, not guessed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from pipeline.clock import FURTHER_SECONDS, search_share
from pipeline.evaluation.intervals import Interval, wilson_interval
from pipeline.evaluation.metrics import confusion_counts
from pipeline.evaluation.record import ComparisonRecord
from pipeline.plural import plural
from pipeline.report.inputs import Results, StudyResults
from pipeline.report.summary import SearchSummary, summarize_search
from pipeline.report.text import (
    capitalized,
    duration,
    mean_and_deviation,
    percent,
    points,
    searched_value,
)
from pipeline.report.timing import seconds_of_all
from pipeline.trials.advice import advice_of, next_step
from pipeline.trials.bounds import FEWEST_TRIED
from pipeline.trials.outlook import Outlook, outlook
from pipeline.trials.ranking import num_finished

# As many as the default of `evaluate.bootstrap`.
SEED = 0
TWO = 2


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A question, and the sentences that answer it; the first of them stands alone."""

    question: str
    sentences: Sequence[str]


def answers(results: Results) -> list[Answer]:
    """Returns what a newcomer asks, answered for the first study, which is registered or best.

    Args:
        results: All results; the first study is what the others are compared with.
    """
    return [
        Answer(question="What is the best model?", sentences=_best(results)),
        Answer(question="How sure are we?", sentences=_sure(results.studies[0])),
        Answer(question="What did it cost?", sentences=_cost(results)),
        Answer(question="What limits it?", sentences=_limits(results)),
        Answer(question="What should I try next?", sentences=_next(results)),
    ]


def _best(results: Results) -> list[str]:
    first = results.studies[0]
    names = {study.name for study in results.studies}
    compared = [
        _compared(one.seen_from(first.name), results)
        for one in results.comparisons
        if first.name in (one.first, one.second) and {one.first, one.second} <= names
    ]
    return [*(compared or [_alone(first)]), _made(first, results)]


def _alone(study: StudyResults) -> str:
    accuracy = study.metrics["accuracy"]
    n = accuracy.n
    return (
        f"{capitalized(study.name)} classifies {percent(accuracy.value, n)} of the test images "
        f"correctly (n = {n:,})."
    )


def _compared(one: ComparisonRecord, results: Results) -> str:
    n, difference = one.difference.n, one.difference
    accuracies = {study.name: study.metrics["accuracy"].value for study in results.studies}
    a, b = (percent(accuracies[name], n) for name in (one.first, one.second))
    figures = f"{a} against {b} of the test images are right, n = {n:,}"
    name, span = capitalized(one.first), _span(difference)
    if not one.is_clear:
        return (
            f"{name} and {one.second} cannot be told apart: {figures}; the paired difference is "
            f"{span} (95% interval), and chance alone gives as large a one with p = "
            f"{one.p_value:.2g}."
        )
    verb = "beats" if difference.value > 0 else "loses to"
    return (
        f"{name} {verb} {one.second} by {points(abs(difference.value), n)} points: {figures}; "
        f"95% interval of the paired difference {span}."
    )


def _span(difference: Interval) -> str:
    low, high = (points(end, difference.n) for end in (difference.low, difference.high))
    return f"{low} to {high} points"


def _made(study: StudyResults, results: Results) -> str:
    """Says what the model is made of."""
    winner, members = study.confirm.winner, study.confirm.exported.members
    numbers = sorted({member.number for member in members})
    trials = f"trial{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
    averaged = (
        f"The exported model averages {len(members)} trainings of {trials}"
        if len(members) > 1
        else f"The exported model is one training of trial {winner.number}"
    )
    return f"{averaged}: {_network(study, results)}."


def _network(study: StudyResults, results: Results) -> str:
    base, values = study.confirm.base, study.confirm.winner.hyperparameters
    members = {member.number for member in study.confirm.exported.members}
    cuts = {
        str(one.hyperparameters.get("cut"))
        for one in study.confirm.candidates
        if one.number in members or one.number == study.confirm.winner_number
    }
    if base == "none":
        return "networks on the pixels" if len(members) > 1 else "a network on the pixels"
    planned = results.plan.bases.get(base, {}) if results.plan else {}
    model = study.confirm.base_source.get("model") or planned.get("model") or base
    size = f" at {planned['image_size']} pixels" if "image_size" in planned else ""
    if len(cuts) > 1:
        return f"heads on {len(cuts)} different cuts of {model}{size}"
    lowest, *others = (part.partition(":")[0] for part in str(values["cut"]).split("+"))
    layers = f"{len(others) + 1} layers, {lowest} the lowest," if others else lowest
    return f"a head on {layers} of {model}{size}"


def _sure(study: StudyResults) -> list[str]:
    accuracy, confirm = study.metrics["accuracy"], study.confirm
    summary, winner, n = summarize_search(study.search), confirm.winner, accuracy.n
    runs = plural(winner.num_seeds, "training")
    searched = searched_value(winner, summary)
    of_it = " of a training" if winner.search_share < 1 else ""
    measure = confirm.objective.removeprefix("val_").replace("_", " ")
    again = (
        f"Trained again, trial {winner.number} has a mean {measure} of "
        f"{mean_and_deviation(winner.mean, winner.std, summary)} over {runs} on {confirm.n:,} "
        f"images that no search has seen (in its search {searched}{of_it})"
    )
    seeds = "" if winner.num_seeds > 1 else "; how much a new seed changes it was not measured"
    others = f"; {confirm.told_of_others}" if confirm.told_of_others else ""
    return [
        f"The 95% interval of its accuracy is {points(accuracy.low, n)} to "
        f"{percent(accuracy.high, n)} on {n:,} test images, which were read last and decided "
        "nothing.",
        f"{again}{seeds}{others}.",
    ]


def _cost(results: Results) -> list[str]:
    first = results.studies[0]
    budget = first.search.budget_seconds
    tried = sum(num_finished(study.search.trials) for study in results.studies)
    confirmed = sum(study.confirm.num_trainings for study in results.studies)
    search, confirm = seconds_of_all(results.studies)
    within = "" if budget is None else f", within a budget of {duration(budget)} for everything"
    confirming = f" in {duration(confirm)}" if confirm else ""
    cost = first.evaluation.cost
    return [
        f"{tried} configurations were tried in {duration(search)} and the best confirmed by "
        f"{confirmed} training{'s' if confirmed > 1 else ''}{confirming}{within}.",
        *_few(first, results),
        f"In use: a file of {cost.megabytes:.1f} MB with {cost.num_parameters:,} weights, "
        f"{first.images_per_second:,.0f} images a second on this machine.",
    ]


def _few(first: StudyResults, results: Results) -> list[str]:
    """Warns where so little was tried that there was hardly a search."""
    tried = num_finished(first.search.trials)
    if tried >= FEWEST_TRIED:
        return []
    seconds = results.plan.measured.get("seconds") if results.plan else None
    planned = f"; the plan took {duration(seconds)}" if seconds else ""
    return [
        f"Of {first.name} {tried} were tried, which is hardly a search: expect more of more time"
        f"{planned}."
    ]


def _limits(results: Results) -> list[str]:
    first, names = results.studies[0], results.class_names
    predicted = first.probabilities.argmax(axis=1)
    counts = confusion_counts(results.labels, predicted, num_classes=len(names))
    both = np.triu(counts + counts.T, 1)
    sentences = []
    if first.diagnosis is not None:
        found = advice_of(first.diagnosis)
        sentences = [found.limits, found.more_data]
    # Of two classes it would be all of them.
    if both.any() and len(names) > TWO:
        one, other = np.unravel_index(both.argmax(), both.shape)
        num_wrong = int(both.sum())
        sentences.append(
            f"{percent(both.max() / num_wrong, num_wrong)} of its {num_wrong:,} mistakes on the "
            f"test images are {names[one]} and {names[other]} taken for each other."
        )
    return sentences or ["Nothing in these records says: it makes no mistake on the test images."]


def _next(results: Results) -> list[str]:
    first = results.studies[0]
    summary = summarize_search(first.search)
    if first.diagnosis is not None and not first.diagnosis.error:
        return [next_step(first.diagnosis)]
    return [
        *([] if first.diagnosis is None else [next_step(first.diagnosis)]),
        *_further(first, summary, results),
        f"To search further: dvc exp run -S {more(first)}.",
    ]


def more(study: StudyResults) -> str:
    """Returns what `dvc exp run -S` sets to search further: more time, or twice the trials."""
    search = study.search
    if search.budget_seconds is not None:
        return f"budget={(search.budget_seconds + FURTHER_SECONDS) / 60:g}m"
    return f"search.trials={2 * (search.target or num_finished(search.trials))}"


def _further(study: StudyResults, summary: SearchSummary, results: Results) -> list[str]:
    """Says what more time would go to; nothing where no time decides what is searched."""
    search = study.search
    if search.budget_seconds is None:
        return []
    bases = {one.name: one.confirm.base for one in results.studies}
    seconds = FURTHER_SECONDS * search_share(study.name, bases)
    found = outlook(search.trials, search.direction, seconds=seconds)
    if found is None:
        return []
    gain = f"{100 * found.gain:.2f} points" if summary.is_share else f"{found.gain:.4f}"
    return [
        f"With {FURTHER_SECONDS / 60:.0f} minutes more of budget {study.name} would try "
        f"{found.sentence(summary.objective_name, gain)}{_worth(found, study, summary, results)}."
    ]


def _worth(found: Outlook, study: StudyResults, summary: SearchSummary, results: Results) -> str:
    """Says whether such a gain could be seen at all on the validation images."""
    values = [one.value for one in summary.ranked[:1] if one.value is not None]
    if summary.objective != "val_accuracy" or not values:
        return ""
    n = results.split.counts["val"].images
    around = wilson_interval(round(fmean(values) * n), n)
    half = (around.high - around.low) / 2
    noise = f"the {points(half, n)} points that {n:,} validation images leave open"
    return f", {'less' if found.gain < half else 'more'} than {noise}"
