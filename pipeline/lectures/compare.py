"""One factor at a time: trainings that differ in it alone, with the same seeds, in pairs.

A claim of the lectures is a weighted sum of what configurations reach, such as the difference of
two. It has held where the sum's interval lies above 0, has not where it lies below, and cannot be
told otherwise. Intervals of one comparison hold together in 95% of cases.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.data.rows import part_labels
from pipeline.errors import ConfigError
from pipeline.lectures.comparison import Comparison, Judged
from pipeline.lectures.demonstration import Ground
from pipeline.search.all_of_them import Training, train_all
from pipeline.search.configurations import completed
from pipeline.search.space import SearchSpace
from pipeline.training.fewer_images import FewerImages
from pipeline.training.messages import TrialSpec, answers_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.hyperparameter import Value
    from pipeline.search.executors.base import Executor
    from pipeline.training.data import TrialData

JUDGE: Final = "confirmation"
METRIC: Final = "accuracy"
RATE: Final = "learning_rate"


@dataclass(frozen=True, kw_only=True)
class Reached:
    """What a variant reached, over its seeds.

    Attributes:
        values: Share of the judging images that are right, by seed.
        curves: Share of the validation images, by seed and epoch; empty where it diverged at once.
        losses: Likewise the training loss, nats.
        updates: Taken until the end of each epoch.
        elapsed: Seconds until then, in the mean over the seeds, with those of validation.
        num_epochs: By seed, until its own rule ended it.
        seconds: By seed.
        num_diverged: Of its trainings. One of which nothing is left answers all classes alike.
        rate: The learning rate that it was given, where several were tried.
    """

    values: Sequence[float]
    curves: Sequence[Sequence[float]]
    losses: Sequence[Sequence[float]]
    updates: Sequence[int]
    elapsed: Sequence[float]
    num_epochs: Sequence[int]
    seconds: Sequence[float]
    num_diverged: int
    rate: float | None


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a comparison gave.

    Attributes:
        comparison: What was compared.
        reached: By variant.
        judged: Of each claim.
        num_seeds: Trainings of each variant.
        num_train: Images there were to train on.
        num_judging: Images of the part that judges.
        seconds: It took, wall-clock.
    """

    comparison: Comparison
    reached: Mapping[str, Reached]
    judged: Sequence[Judged]
    num_seeds: int
    num_train: int
    num_judging: int
    seconds: float


def compare(comparison: Comparison, ground: Ground, executor: Executor) -> Findings:
    """Trains every variant with every seed, and judges the claims.

    Args:
        comparison: What is compared.
        ground: On what.
        executor: Where it is trained.

    Raises:
        StudyError: If a training fails.
    """
    from pipeline.evaluation.effects import contrasts

    began = time.monotonic()
    tried = _trained(comparison, ground, executor)
    labels = part_labels(Path(ground.pixels.train_file), JUDGE)
    chosen = {name: _best_rate(by_rate) for name, by_rate in tried.items()}
    answers = {
        name: [_answers(one, labels) for one in tried[name][rate]] for name, rate in chosen.items()
    }
    effects = contrasts(
        answers,
        [claim.weights for claim in comparison.claims],
        labels,
        METRIC,
        is_larger_better=True,
    )
    pairs = zip(comparison.claims, effects, strict=True)
    return Findings(
        comparison=comparison,
        reached={
            name: _reached(tried[name][rate], answers[name], labels, rate=rate)
            for name, rate in chosen.items()
        },
        judged=[Judged(claim=claim, effect=effect) for claim, effect in pairs],
        num_seeds=ground.num_seeds,
        num_train=ground.num_train,
        num_judging=len(labels),
        seconds=time.monotonic() - began,
    )


Tried = dict[str, dict[float | None, list[Training]]]
"""By variant and learning rate; None: its own."""


def _trained(comparison: Comparison, ground: Ground, executor: Executor) -> Tried:
    rates: Sequence[float | None] = comparison.rates or [None]
    places = {
        (name, rate, seed): f"{name}, {'' if rate is None else f'{rate:g}, '}{seed}"
        for name in comparison.variants
        for rate in rates
        for seed in range(ground.num_seeds)
    }
    wanted: list[tuple[TrialSpec, TrialData]] = []
    for (name, rate, seed), uid in places.items():
        variant = comparison.variants[name]
        own = {
            **{"cut": ground.cuts[variant.base]},
            **comparison.common,
            **variant.changes,
            **({} if rate is None else {RATE: rate}),
        }
        spec = TrialSpec(
            uid=uid,
            hyperparameters=hyperparameters(own, ground.defaults),
            seed=seed,
            epochs=ground.epochs(comparison.epochs),
            judge=JUDGE,
            model_file=str(ground.folder / f"{len(wanted)}.keras"),
        )
        data: TrialData = ground.data[variant.base]
        if variant.num_images is not None:
            data = FewerImages(whole=data, num_images=variant.num_images, seed=seed, num_probes=0)
        wanted.append((spec, data))
    found = train_all(wanted, executor)
    tried: Tried = {name: {rate: [] for rate in rates} for name in comparison.variants}
    for (name, rate, _), uid in places.items():
        tried[name][rate].append(found[uid])
    return tried


def hyperparameters(
    changes: Mapping[str, Value], defaults: Mapping[str, Value]
) -> dict[str, Value]:
    """Returns all that are active beside some values.

    Args:
        changes: Of some hyperparameters.
        defaults: Of all others.

    Raises:
        ConfigError: If a change is of a hyperparameter that is not active beside the others.
    """
    found = completed({}, SearchSpace({}, {**defaults, **changes}))
    if found is None or not changes.keys() <= found.keys():
        idle = sorted(changes.keys() - (found or {}).keys())
        raise ConfigError(
            f"A lecture sets {', '.join(idle)}, which does nothing beside the section `defaults` "
            "of params.yaml. Give those that switch it off their usual value there."
        )
    return found


def _best_rate(by_rate: Mapping[float | None, Sequence[Training]]) -> float | None:
    """Returns the rate whose trainings answer the validation part best, in the mean."""

    def mean(rate: float | None) -> float:
        return fmean(one.result.metrics.get("val_accuracy", 0.0) for one in by_rate[rate])

    return max(by_rate, key=mean)


def _answers(one: Training, labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Returns probabilities of the judging images; all classes alike where nothing was learned."""
    if one.result.model_file is None:
        num_classes = int(labels.max()) + 1
        return np.full((len(labels), num_classes), 1 / num_classes, dtype=np.float32)
    return np.asarray(np.load(answers_file(one.result.model_file)), dtype=np.float32)


def _reached(
    trainings: Sequence[Training],
    answers: Sequence[NDArray[np.float32]],
    labels: NDArray[np.int64],
    *,
    rate: float | None,
) -> Reached:
    longest = max((one.records for one in trainings), key=len)
    each = int(trainings[0].result.notes.get("steps_per_epoch", 0))
    by_epoch = [
        fmean(one.records[n].metrics["seconds"] for one in trainings if n < len(one.records))
        for n in range(len(longest))
    ]
    return Reached(
        values=[float((one.argmax(axis=1) == labels).mean()) for one in answers],
        curves=[[r.metrics.get("val_accuracy", 0.0) for r in one.records] for one in trainings],
        losses=[[r.metrics["loss"] for r in one.records] for one in trainings],
        updates=[each * (n + 1) for n in range(len(longest))],
        elapsed=list(accumulate(by_epoch)),
        num_epochs=[one.result.num_epochs for one in trainings],
        seconds=[one.result.seconds for one in trainings],
        num_diverged=sum(one.result.outcome == "diverged" for one in trainings),
        rate=rate,
    )
