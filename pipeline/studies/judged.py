"""What an exported model does with the test images: its answers, their cost, how far they hold."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataIntegrityError
from pipeline.evaluation.abstention import abstentions
from pipeline.evaluation.corruptions import CORRUPTIONS, corrupted
from pipeline.evaluation.intervals import Interval, metric_intervals, paired_difference
from pipeline.evaluation.paired import disagreement
from pipeline.evaluation.record import (
    ComparisonRecord,
    CorruptionRecord,
    CostRecord,
    DropoutRecord,
    StudyEvaluation,
)
from pipeline.steps import step

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from pipeline.evaluation.params import EvaluateParams
    from pipeline.features.frozen import FrozenNetwork
    from pipeline.training.dropout_samples import DropoutHead

SHARES: Final = (0.0, 0.05, 0.1, 0.2, 0.5)
"""Of the images, that a model may leave out."""
DROPOUT_METRICS: Final = ("accuracy", "log_loss", "ece")
IMAGES_AT_A_TIME: Final = 1024


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a model does with the test images.

    Attributes:
        probabilities: Of its answers, float32, shape (n, num_classes).
        evaluation: What else was found out.
        images_per_second: Through the whole model on this machine, some at a time.
    """

    probabilities: NDArray[np.float32]
    evaluation: StudyEvaluation
    images_per_second: float


def judge(
    model: keras.Model,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    num_classes: int,
    file: Path,
    params: EvaluateParams,
) -> Judged:
    """Runs a model on the test images, and on corrupted ones.

    Args:
        model: What `file` holds: raw images to probabilities.
        images: The test images, uint8, as the model takes them.
        labels: Their class ids, shape (n,).
        num_classes: Of the data.
        file: The exported `.keras` file.
        params: Section `evaluate`.

    Raises:
        DataIntegrityError: If its answers are no finite probabilities of these classes.
    """
    from pipeline.training.dropout_samples import DropoutHead, has_dropout

    is_dropped = params.dropout_passes > 0 and has_dropout(model)
    head = DropoutHead(model, seed=params.seed) if is_dropped else None
    network = _network(model, head, images, params)
    probabilities, dropped, seconds = _answers(network, head, images, params.dropout_passes)
    _check(probabilities, (len(images), num_classes), file)
    cost = CostRecord(
        engine=network.engine,
        megabytes=file.stat().st_size / 1e6,
        num_parameters=int(model.count_params()),
    )
    evaluation = StudyEvaluation(
        cost=cost,
        abstentions=abstentions(probabilities, labels, SHARES),
        corruptions=_corruptions(network, images, labels, probabilities, params),
        dropout=None if dropped is None else _dropout(dropped, labels, params),
    )
    return Judged(
        probabilities=probabilities,
        evaluation=evaluation,
        images_per_second=len(images) / seconds,
    )


def compare(
    probabilities: Mapping[str, NDArray[np.float32]],
    labels: NDArray[np.int64],
    params: EvaluateParams,
) -> list[ComparisonRecord]:
    """Returns how each two models differ on the same images.

    Args:
        probabilities: By study, each of shape (n, num_classes).
        labels: Class ids, shape (n,).
        params: Section `evaluate`.
    """
    found = []
    for first, second in combinations(probabilities, 2):
        ours, theirs = probabilities[first], probabilities[second]
        where = disagreement(ours, theirs, labels)
        found.append(
            ComparisonRecord(
                first=first,
                second=second,
                difference=_difference(ours, theirs, labels, params),
                only_first=where.only_first,
                only_second=where.only_second,
                p_value=where.p_value,
            )
        )
    return found


def _network(
    model: keras.Model, head: DropoutHead | None, images: NDArray[np.uint8], params: EvaluateParams
) -> FrozenNetwork:
    """Returns the model, with what its dropout starts from as further outputs."""
    from pipeline.features.frozen import freeze

    num_corrupted = len(CORRUPTIONS) * min(params.corrupted_images, len(images))
    network = freeze(
        model if head is None else head.stem,
        images,
        num_images=len(images) + num_corrupted,
        size_of_batch=None if params.batch_size == "auto" else params.batch_size,
    )
    network(images[:1])  # Compiles, which is no part of its speed.
    return network


def _answers(
    network: FrozenNetwork,
    head: DropoutHead | None,
    images: NDArray[np.uint8],
    num_passes: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, float]:
    """Returns the probabilities, their means with dropout, and the seconds without dropout."""
    rows, dropped, seconds = [], [], 0.0
    with step("classifying", total=len(images), unit="images") as one:
        for start in range(0, len(images), IMAGES_AT_A_TIME):
            began = time.perf_counter()
            answers, *features = network(images[start : start + IMAGES_AT_A_TIME])
            seconds += time.perf_counter() - began
            rows.append(answers)
            if head is not None:
                dropped.append(head.mean(features, num_passes=num_passes))
            one.advance(len(answers))
    return np.concatenate(rows), np.concatenate(dropped) if dropped else None, seconds


def _check(rows: NDArray[np.float32], expected: tuple[int, int], file: Path) -> None:
    if rows.shape != expected or not np.isfinite(rows).all():
        raise DataIntegrityError(
            f"{file} must give finite probabilities of shape {expected}, one column per class of "
            f"data/split.json. Received: shape {rows.shape}, {np.isnan(rows).sum()} not a number. "
            f"It belongs to other data: run `dvc repro confirm@{file.stem}`."
        )


def _dropout(
    dropped: NDArray[np.float32], labels: NDArray[np.int64], params: EvaluateParams
) -> DropoutRecord:
    return DropoutRecord(
        num_passes=params.dropout_passes,
        metrics=metric_intervals(
            DROPOUT_METRICS,
            dropped,
            labels,
            num_resamples=params.bootstrap,
            seed=params.seed,
        ),
        abstentions=abstentions(dropped, labels, SHARES),
    )


def _corruptions(
    network: FrozenNetwork,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    params: EvaluateParams,
) -> list[CorruptionRecord]:
    if not params.corrupted_images:
        return []
    generator = np.random.default_rng(params.seed)
    chosen = np.sort(generator.permutation(len(images))[: params.corrupted_images])
    before, own_labels = probabilities[chosen], labels[chosen]
    found = []
    for name in CORRUPTIONS:
        after = network(corrupted(images[chosen], name, seed=params.seed))[0]
        found.append(
            CorruptionRecord(
                name=name,
                accuracy=metric_intervals(
                    ["accuracy"], after, own_labels, num_resamples=1, seed=params.seed
                )["accuracy"],
                change=_difference(after, before, own_labels, params),
            )
        )
    return found


def _difference(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    labels: NDArray[np.int64],
    params: EvaluateParams,
) -> Interval:
    return paired_difference(
        "accuracy", first, second, labels, num_resamples=params.bootstrap, seed=params.seed
    )
