"""Who wins a confirmation: what each candidate reached, where it stands, and what is exported."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

from pipeline.errors import StudyError
from pipeline.evaluation.intervals import mean_interval
from pipeline.evaluation.objectives import ObjectiveSpec
from pipeline.search.candidates import PART, Candidate
from pipeline.training.messages import TrialResult, TrialSpec
from pipeline.trials.candidate import CandidateRecord, StandingRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)


def sound(
    planned: Sequence[Candidate], results: Mapping[str, TrialResult], objective: ObjectiveSpec
) -> list[Candidate]:
    """Returns the candidates none of whose trainings diverged before it had an epoch to keep.

    Others are named in a warning.

    Args:
        planned: The candidates.
        results: By uid.
        objective: What they are compared by.

    Raises:
        StudyError: If there is none.
    """
    metric = objective.metric_on(PART)
    found = [
        candidate
        for candidate in planned
        if all(metric in results[spec.uid].metrics for spec in candidate.specs)
    ]
    diverged = ", ".join(str(one.trial.number) for one in planned if one not in found)
    if not found:
        raise StudyError(
            f"What was trained again diverged with another seed (trial {diverged}). Lower the "
            "learning rates in the space, or choose more candidates in confirm.top."
        )
    if diverged:
        logger.warning(
            "left out, since it diverged with a seed that is not the search's: trial %s", diverged
        )
    return found


def judge(
    planned: Sequence[Candidate], results: Mapping[str, TrialResult], objective: ObjectiveSpec
) -> list[CandidateRecord]:
    """Returns what each configuration reached on the confirmation part, in the order of `planned`.

    Args:
        planned: The candidates, as from `sound`.
        results: By uid.
        objective: What they are compared by.
    """
    metric = objective.metric_on(PART)
    judged = []
    for candidate in planned:
        values = [results[spec.uid].metrics[metric] for spec in candidate.specs]
        interval = mean_interval(values)
        judged.append(
            CandidateRecord(
                number=candidate.trial.number,
                hyperparameters=candidate.trial.hyperparameters,
                search_value=candidate.trial.value,
                search_share=candidate.trial.share,
                seeds=[spec.seed for spec in candidate.specs],
                values=values,
                mean=interval.mean,
                std=interval.std,
                low=interval.low,
                high=interval.high,
                num_seeds=len(values),
            )
        )
    return judged


def placed(
    judged: Sequence[CandidateRecord],
    sizes: Sequence[int],
    answers: Sequence[Sequence[NDArray[np.float32]]],
    labels: NDArray[np.int64],
    objective: ObjectiveSpec,
) -> list[CandidateRecord]:
    """Returns what each configuration reached, with where it stands among the others.

    Whoever cannot win has no standing: see `_contenders`. Nor has one that is alone.

    Args:
        judged: As from `judge`.
        sizes: Of each, the number of weights, those of the base below it among them.
        answers: Of each, what its trainings answer on the confirmation part, each of shape
            (n, num_classes).
        labels: Class ids of the n images.
        objective: What they are compared by.
    """
    from pipeline.evaluation.paired import standings

    contenders = _contenders(judged, objective)
    if len(contenders) == 1:
        return list(judged)
    found = standings(
        [answers[position] for position in contenders],
        labels,
        objective.probability_metric,
        is_larger_better=objective.direction == "maximize",
    )
    placed_ones = list(judged)
    for position, place in zip(contenders, found, strict=True):
        standing = StandingRecord(
            probability_best=place.probability_best,
            behind=place.behind.value,
            low=place.behind.low,
            high=place.behind.high,
            is_tied=place.is_tied,
            num_parameters=sizes[position],
        )
        placed_ones[position] = replace(judged[position], standing=standing)
    return placed_ones


def _contenders(judged: Sequence[CandidateRecord], objective: ObjectiveSpec) -> list[int]:
    """Returns the positions of those that can win.

    These are the ones with the most seeds, or two and half as many: of the last rounds there was
    time for some. And whoever had fewer, but was no worse over these than any of those with the
    most: it had no time for more, which says nothing against it. Others were behind, and a single
    training that was lucky must not win against two.
    """
    most = max(one.num_seeds for one in judged)
    full = [one for one in judged if one.num_seeds == most]

    def can_win(one: CandidateRecord) -> bool:
        if one.num_seeds >= max(2, most / 2):
            return True
        rivals = [dict(zip(rival.seeds, rival.values, strict=True)) for rival in full]
        same = [[rival[seed] for seed in one.seeds if seed in rival] for rival in rivals]
        own = fmean(one.values)
        return not any(values and objective.is_better(fmean(values), own) for values in same)

    return [
        position for position, one in enumerate(judged) if one.num_seeds == most or can_win(one)
    ]


def winner_of(judged: Sequence[CandidateRecord], objective: ObjectiveSpec) -> int:
    """Returns the position of the winner: of those that are tied with the best mean the smallest.

    Which of them can win: see `_contenders`.

    Args:
        judged: As from `placed`; as from `judge` the best mean wins.
        objective: What they are compared by.
    """
    sign = -1.0 if objective.direction == "maximize" else 1.0

    def key(position: int) -> tuple[float, ...]:
        one = judged[position]
        size = one.standing.num_parameters if one.standing is not None and one.is_tied else 0
        return not one.is_tied, size, sign * one.mean, position

    return min(_contenders(judged, objective), key=key)


def in_order(
    planned: Sequence[Candidate],
    results: Mapping[str, TrialResult],
    objective: ObjectiveSpec,
    *,
    winner: int,
) -> list[TrialSpec]:
    """Returns the trainings in the order in which they are exported: a seed of the winner first.

    Of that seed as of the others the best validation value decides, so that the confirmation part
    stays an estimate that nothing was selected by but the configuration.

    Args:
        planned: The candidates.
        results: By uid.
        objective: What they are compared by.
        winner: The winner's position among the candidates.
    """
    sign = -1.0 if objective.direction == "maximize" else 1.0

    def by_value(specs: Sequence[TrialSpec]) -> list[TrialSpec]:
        return sorted(specs, key=lambda spec: sign * results[spec.uid].metrics[objective.metric])

    first = by_value(planned[winner].specs)[0]
    others = [spec for one in planned for spec in one.specs if spec is not first]
    return [first, *by_value(others)]
