"""The winner trained with one hyperparameter changed, and what each change does."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.data.rows import part_labels
from pipeline.search.ablation import Change
from pipeline.search.candidates import PART
from pipeline.search.measuring import Measurement, Measurements
from pipeline.search.rounds import CAUTION
from pipeline.studies.diagnosed import Subject
from pipeline.training.messages import TrialResult, answers_file
from pipeline.trials.effects import AblationRecord, ChangeRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.hyperparameter import Hyperparameters

MOST_SEEDS: Final = 3
FEWEST_SEEDS: Final = 2
"""Of each change: one pair alone shows nothing of seeds."""


def ablation(
    subject: Subject,
    wanted: Sequence[Change],
    measurements: Measurements,
    *,
    num_workers: int,
    ends: float,
) -> AblationRecord | None:
    """Trains the winner with one change at a time, each with the same seeds as without it.

    Args:
        subject: Whose winner.
        wanted: The changes, most wanted first.
        measurements: Where it is trained.
        num_workers: Trainings at the same time, >= 1.
        ends: When the last must have ended.

    Returns:
        None if there was no time for any change.
    """
    if not wanted:
        return None
    room = num_workers * (ends - time.time()) / (CAUTION * measurements.slowness)
    share, seeds = _affordable(subject, 1 + len({one.name for one in wanted}), room)
    seconds = _seconds(subject, share)

    def measure(name: str, told: str, values: Hyperparameters) -> list[Measurement]:
        return [
            Measurement(
                spec=subject.spec(name, position, values=values, share=share),
                data=subject.data,
                seconds=seconds,
                told=f"{told}, seed {position + 1}",
            )
            for position in range(seeds)
        ]

    base = measure("winner", "the winner", subject.values)
    changed = [
        measure(f"change-{place}", f"{one.name} = {one.value}", one.hyperparameters)
        for place, one in enumerate(wanted)
    ]
    all_of_them = [*base, *(one for group in changed for one in group)]
    results = measurements.run(all_of_them, ends=ends)
    return _ablated(subject, wanted, base, changed, results, share=share)


def _ablated(
    subject: Subject,
    wanted: Sequence[Change],
    base: Sequence[Measurement],
    changed: Sequence[Sequence[Measurement]],
    results: Mapping[str, TrialResult | None],
    *,
    share: float,
) -> AblationRecord | None:
    from pipeline.evaluation.effects import paired_effects

    before = _probabilities(base, results)
    done = {place: p for place, g in enumerate(changed) if (p := _probabilities(g, results))}
    if before is None or not done:
        return None
    effects = paired_effects(
        before,
        list(done.values()),
        part_labels(Path(subject.data.train_file), PART),
        subject.objective.probability_metric,
        is_larger_better=subject.objective.direction == "maximize",
    )
    by_place = dict(zip(done, effects, strict=True))
    tried = [place for place, g in enumerate(changed) if all(m.spec.uid in results for m in g)]
    records = []
    for place in tried:
        one, effect = wanted[place], by_place.get(place)
        trained = [results[m.spec.uid] for m in changed[place]]
        records.append(
            ChangeRecord(
                name=one.name,
                chosen=subject.values[one.name],
                value=one.value,
                source=one.source,
                effect=None if effect is None else effect.value,
                low=None if effect is None else effect.low,
                high=None if effect is None else effect.high,
                is_diverged=any(t is not None and t.outcome == "diverged" for t in trained),
            )
        )
    return AblationRecord(
        share=share,
        num_seeds=len(before),
        changes=records,
        num_left=len(wanted) - len(records),
    )


def _probabilities(
    group: Sequence[Measurement], results: Mapping[str, TrialResult | None]
) -> list[NDArray[np.float32]] | None:
    """Returns the answers of one configuration for each seed; None unless all are there."""
    found = [results.get(one.spec.uid) for one in group]
    files = [one.model_file for one in found if one is not None and one.model_file is not None]
    return [np.load(answers_file(f)) for f in files] if len(files) == len(group) else None


def _affordable(subject: Subject, count: int, room: float) -> tuple[float, int]:
    """Returns the largest share of a training that all of them fit with, and with how many seeds.

    Shares are those of the search's rungs, by which it has compared configurations.
    """
    shares = sorted({one.share for one in subject.study.trials}, reverse=True)
    for seeds in (MOST_SEEDS, FEWEST_SEEDS):
        for share in shares:
            if count * seeds * _seconds(subject, share) <= room:
                return share, seeds
    return shares[-1], FEWEST_SEEDS


def _seconds(subject: Subject, share: float) -> float:
    """Returns how long a share of the winner's training takes: what starts it is not shared."""
    taken = [
        one.metrics["training_seconds"]
        for one in subject.study.trials
        if one.share == share and one.metrics.get("training_seconds")
    ]
    typical = median(taken) if taken and share < 1 else 0.0
    return max(share * subject.seconds, typical)
