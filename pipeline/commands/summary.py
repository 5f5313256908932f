"""Says in five lines what was found, how sure that is, where to look, how to use it, what next.

Run: python -m pipeline summary
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline.clock import FURTHER_SECONDS, search_share
from pipeline.durations import duration
from pipeline.evaluation.record import ComparisonRecord
from pipeline.report.inputs import Results, StudyResults, read_results
from pipeline.report.text import percent, points
from pipeline.stages.report import PAGE
from pipeline.trials.outlook import outlook
from pipeline.trials.ranking import num_finished
from pipeline.trials.registration import RegistrationRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""


def main(args: argparse.Namespace) -> int:
    """Prints the five lines.

    Raises:
        StudyError: If a stage before `report` has not written its results yet.
        DataIntegrityError: If a result is damaged, or results are of different runs.
    """
    for line in summary_lines(read_results(Path())):
        print(line)
    return 0


def summary_lines(results: Results) -> list[str]:
    """Returns five lines, each with what it is about in front.

    Args:
        results: All of a run; the first study is what is told of.
    """
    first = results.studies[0]
    accuracy = first.metrics["accuracy"]
    n, low, high = accuracy.n, accuracy.low, accuracy.high
    found = (
        f"{results.split.dataset}: {first.name} classifies {percent(accuracy.value, n)} of {n:,} "
        f"test images correctly"
    )
    sure = [f"95% interval {points(low, n)} to {percent(high, n)}"]
    sure += [
        _compared(one.seen_from(first.name))
        for one in results.comparisons
        if first.name in (one.first, one.second)
    ]
    return [
        f"found  {found}",
        f"sure   {'; '.join([*sure, _seeds(first)])}",
        f"look   {PAGE} in a browser; every trial: python -m pipeline ui",
        f"use    {_use(first, results.registration)}",
        f"next   {_next(first, results.studies)}",
    ]


def _compared(one: ComparisonRecord) -> str:
    found, n = one.difference, one.difference.n
    if not one.is_clear:
        span = f"{points(found.low, n)} to {points(found.high, n)}"
        return f"not told apart from {one.second} (difference {span} points, p = {one.p_value:.2g})"
    verb = "better" if found.value > 0 else "worse"
    low, high = sorted((abs(found.low), abs(found.high)))
    return (
        f"{verb} than {one.second} by {points(abs(found.value), n)} points "
        f"({points(low, n)} to {points(high, n)})"
    )


def _seeds(study: StudyResults) -> str:
    winner = study.confirm.winner
    again = "a new seed" if winner.num_seeds == 1 else f"{winner.num_seeds} new seeds"
    measure = study.confirm.objective.removeprefix("val_").replace("_", " ")
    return f"{measure} {winner.mean:.4f} with {again} on images that no search saw"


def _use(study: StudyResults, registration: RegistrationRecord | None) -> str:
    command = "python -m pipeline predict IMAGE..."
    if registration is None:
        return f"{command} --model {study.confirm.exported.file}"
    name, version = registration.registered_model, registration.version
    if registration.champion:
        return f"{command}  (version {version} of {name}, the champion)"
    return (
        f"{command} --model models:/{name}/{version}  (without --model it is the champion, which "
        f"stayed: {registration.reason})"
    )


def _next(study: StudyResults, studies: Sequence[StudyResults]) -> str:
    search = study.search
    if search.budget_seconds is None:
        target = search.target or num_finished(search.trials)
        return f"python -m dvc exp run -S search.trials={2 * target}, where the report says why"
    bases = {one.name: one.confirm.base for one in studies}
    seconds = FURTHER_SECONDS * search_share(study.name, bases)
    expected = outlook(search.trials, search.direction, seconds=seconds)
    minutes = (search.budget_seconds + FURTHER_SECONDS) / 60
    more = f"budget: {minutes:g}m in params.yaml, then make run"
    if expected is None:
        return (
            f"{more}: too little was tried to say what {duration(FURTHER_SECONDS)} more would bring"
        )
    measure = search.objective.removeprefix("val_").replace("_", " ")
    gain = f"{expected.gain:.4f}"
    better = "no better" if float(gain) == 0 else f"better by {gain}"
    return (
        f"{more}: about {expected.num_more[0]} more configurations in {duration(FURTHER_SECONDS)}, "
        f"of which the best is expected to be {better} ({measure} on {expected.rung})"
    )
