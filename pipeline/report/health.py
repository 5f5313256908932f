"""What ailed the trials of a search, and with which hyperparameters that was rarer."""

from collections.abc import Callable, Iterator, Sequence
from statistics import median

from pipeline.evaluation.intervals import Interval, wilson_interval
from pipeline.hyperparameter import Value
from pipeline.report.summary import in_table_order
from pipeline.report.text import hyperparameter, percent
from pipeline.trials.health import FITS, ILLNESSES, REMEDIES, UNKNOWN, verdict
from pipeline.trials.record import TrialRecord
from pipeline.trials.study import StudyRecord

Row = list[str]
# By how far the shares with and without lie apart, the widest first.
NUM_KNOBS = 8


def view_health(search: StudyRecord) -> dict[str, object]:
    """Returns how many trials had what, and a table for each illness that occurred.

    Of a search that an earlier release made, whose trials were not measured, only what its curves
    tell is known. Where all trials of the lowest rung were trained alike, only they are compared.
    """
    judged = [(trial, verdict(trial)) for trial in search.trials if trial.is_finished]
    lowest = min((trial.share for trial, _ in judged), default=1.0)
    compared = [(trial, found.names) for trial, found in judged if trial.share == lowest]
    trials = [trial for trial, _ in compared]
    counts = [
        [name, f"{count}", percent(count / len(compared), 1), REMEDIES[name]]
        for name in (*ILLNESSES, *FITS)
        if (count := sum(name in names for _, names in compared))
    ]
    return {
        "n": len(compared),
        "is_part": lowest < 1.0,
        "is_measured": any(found.health != UNKNOWN for _, found in judged),
        "counts": counts,
        "tables": [
            (name, _healing({t.number for t, names in compared if name in names}, trials, search))
            for name, *_ in counts
        ],
    }


def _healing(ill: set[int], trials: Sequence[TrialRecord], search: StudyRecord) -> list[Row]:
    """Returns the knobs whose shares lie furthest apart, each with and without."""
    rows = []
    for knob, has in _knobs(trials, search):
        groups: tuple[list[TrialRecord], list[TrialRecord]] = ([], [])
        for trial in trials:
            answer = has(trial)
            if answer is not None:
                groups[not answer].append(trial)
        if all(groups):
            with_it, without = (_share(ill, group) for group in groups)
            rows.append((abs(with_it.value - without.value), knob, with_it, without))
    rows.sort(key=lambda row: -row[0])
    return [[knob, _text(one), _text(other)] for _, knob, one, other in rows[:NUM_KNOBS]]


def _share(ill: set[int], trials: Sequence[TrialRecord]) -> Interval:
    return wilson_interval(sum(trial.number in ill for trial in trials), len(trials))


def _text(share: Interval) -> str:
    return (
        f"{percent(share.value, 1)} ({percent(share.low, 1)} to {percent(share.high, 1)}), "
        f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{share.n}"
    )


def _knobs(
    trials: Sequence[TrialRecord], search: StudyRecord
) -> Iterator[tuple[str, Callable[[TrialRecord], bool | None]]]:
    """Yields what can be said of a trial's hyperparameters, and a function that says it.

    It answers None of a trial in which the hyperparameter does not exist.
    """
    for name, distribution in in_table_order(search.space).items():
        values = [t.hyperparameters[name] for t in trials if name in t.hyperparameters]
        if distribution["type"] == "choice":
            choices = [*dict.fromkeys(map(str, distribution["choices"]))]
            # Of two, one is the other turned round.
            for choice in choices[:1] if len(choices) == 2 else choices:
                yield f"{name} {choice}", _is(name, choice)
        elif len(set(values)) > 1:
            middle = median(float(value) for value in values)
            yield f"{name} above {hyperparameter(middle)}, its median", _is_above(name, middle)


def _is(name: str, choice: str) -> Callable[[TrialRecord], bool | None]:
    return lambda trial: _asked(trial, name, lambda value: str(value) == choice)


def _is_above(name: str, middle: float) -> Callable[[TrialRecord], bool | None]:
    return lambda trial: _asked(trial, name, lambda value: float(value) > middle)


def _asked(trial: TrialRecord, name: str, test: Callable[[Value], bool]) -> bool | None:
    return test(trial.hyperparameters[name]) if name in trial.hyperparameters else None
