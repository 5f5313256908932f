"""The result in plain sentences, each with its figures, n and interval."""

from pipeline.evaluation.significance import Interval, mean_interval, paired_difference
from pipeline.report.inputs import Results, StudyResults
from pipeline.report.searches import SearchSummary, summarize_search

# As many as the default of `evaluate.bootstrap`: the ends of the interval then stand to about a
# tenth of their width.
NUM_RESAMPLES = 1_000
SEED = 0


def percent(share: float, n: int) -> str:
    """Returns a share as a percentage, with as many decimals as n examples can tell apart.

    >>> percent(0.94531, 10_000), percent(0.9, 60)
    ('94.53%', '90.0%')
    """
    return f"{100 * share:.{decimals(n)}f}%"


def decimals(n: int) -> int:
    """Returns how many decimals of a percentage n examples can tell apart."""
    return 2 if n >= 1_000 else 1


def verdict(results: Results) -> list[str]:
    """Returns what was found: the first study against each other one, then how it was chosen.

    Args:
        results: All results; the first study is what the others are compared with.
    """
    first, *others = results.studies
    if not others:
        return [_alone(first), _path(first)]
    differences = [_compared(first, other, results) for other in others]
    return [*differences, _path(first)]


def _alone(study: StudyResults) -> str:
    accuracy = study.metrics["accuracy"]
    n = accuracy["n"]
    return (
        f"{_capital(study.name)} classifies {percent(accuracy['value'], n)} of the test images "
        f"correctly (n = {n:,}, 95% interval {percent(accuracy['low'], n)} to "
        f"{percent(accuracy['high'], n)})."
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
    a, b = (percent(study.metrics["accuracy"]["value"], difference.n) for study in (first, other))
    figures = f"{a} against {b} of the test images right, n = {difference.n:,}"
    if difference.low <= 0 <= difference.high:
        return (
            f"{_capital(first.name)} and {other.name} cannot be told apart: {figures}; the 95% "
            f"interval of the paired difference, {_span(difference)}, includes 0."
        )
    verb = "beats" if difference.value > 0 else "loses to"
    size = abs(difference.value)
    return (
        f"{_capital(first.name)} {verb} {other.name} by {_points(size, difference.n)} points: "
        f"{figures}; 95% interval of the paired difference {_span(difference)}."
    )


def _path(study: StudyResults) -> str:
    summary = summarize_search(study.search)
    winner = study.confirm["winner"]
    candidate = next(
        (c for c in study.confirm["candidates"] if c["number"] == winner["number"]), None
    )
    values = candidate["values"] if candidate else [winner["mean"]]
    spread = mean_interval(values)
    deviation = "" if spread.std is None else f" \N{PLUS-MINUS SIGN} {_value(spread.std, summary)}"
    searched = candidate["search_value"] if candidate else None
    found = "" if searched is None else f" ({_value(searched, summary)} in the search)"
    runs = "one training" if spread.n == 1 else f"{spread.n} trainings"
    return (
        f"The hyperparameters of {study.name} are those of trial {winner['number']}{found}. On the "
        f"confirmation part, which no search has seen, they reach "
        f"{_value(spread.mean, summary)}{deviation} over {runs}. "
        "The test part was read after these choices, and decided none of them."
    )


def _value(value: float, summary: SearchSummary) -> str:
    return f"{100 * value:.2f}%" if summary.is_share else f"{value:.4f}"


def _points(share: float, n: int) -> str:
    return f"{100 * share:.{decimals(n)}f}"


def _span(difference: Interval) -> str:
    low, high = (_points(end, difference.n) for end in (difference.low, difference.high))
    return f"{low} to {high} points"


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]
