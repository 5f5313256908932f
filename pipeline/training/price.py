"""What an ensemble costs beside one of its networks, and whether it is worth that."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.intervals import CONFIDENCE
from pipeline.evaluation.metrics import classification_metrics
from pipeline.evaluation.objectives import ObjectiveSpec
from pipeline.evaluation.paired import superiority
from pipeline.features.frozen import TENSORFLOW, freeze

if TYPE_CHECKING:
    import keras

ROUNDS: Final = 3
CHEAP: Final = 1.25
"""Times as long for an image, up to which an ensemble costs next to nothing: heads on one base take
hardly longer, and two measurements of one ensemble differed by as much (2.20 and 1.81 times, a
minute apart)."""
BYTES_PER_WEIGHT: Final = 4


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a model of raw images gives, and what it takes.

    Attributes:
        num_networks: Trainings that it averages, >= 1.
        metrics: Of what they answer on the confirmation part: `accuracy`, `log_loss` (nats) and
            `macro_f1`.
        images_per_second: Raw images through the whole model, preprocessing and base included, in
            TensorFlow on this machine, beside the other one.
        megabytes: Of its weights, 1e6 bytes.
        num_parameters: Weights, those of the base among them.
    """

    num_networks: int
    metrics: Mapping[str, float]
    images_per_second: float
    megabytes: float
    num_parameters: int


def speeds(models: Sequence[keras.Model], images: NDArray[np.uint8]) -> list[float]:
    """Returns how many images each model answers for in a second.

    They take turns, so that what else the machine does hits all of them.

    Args:
        models: Raw images to probabilities.
        images: Those that are answered for, as the models take them, at least one.
    """
    networks = [freeze(one, images, num_images=len(images), engine=TENSORFLOW) for one in models]
    for network in networks:
        network(images[:1])  # Compiles.
    seconds: list[list[float]] = [[] for _ in models]
    for _ in range(ROUNDS):
        for network, taken in zip(networks, seconds, strict=True):
            began = time.perf_counter()
            network(images)
            taken.append(time.perf_counter() - began)
    return [len(images) / median(taken) for taken in seconds]


def price(
    model: keras.Model,
    answers: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    num_networks: int,
    images_per_second: float,
) -> Price:
    """Returns what a model gives and takes.

    Args:
        model: Raw images to probabilities.
        answers: Its probabilities on the confirmation part, shape (n, num_classes).
        labels: Class ids of these images, shape (n,).
        num_networks: Trainings in it.
        images_per_second: As from `speeds`.
    """
    num_parameters = int(model.count_params())
    return Price(
        num_networks=num_networks,
        metrics=named_metrics(answers, labels),
        images_per_second=images_per_second,
        megabytes=num_parameters * BYTES_PER_WEIGHT / 1e6,
        num_parameters=num_parameters,
    )


def named_metrics(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64]
) -> dict[str, float]:
    """Returns `accuracy`, `log_loss` and `macro_f1` of probabilities, shape (n, num_classes)."""
    metrics = classification_metrics(probabilities, labels)
    names = {"accuracy": "accuracy", "loss": "log_loss", "macro_f1": "macro_f1"}
    return {name: metrics[key] for key, name in names.items()}


def verdict(
    ensemble: NDArray[np.float32],
    single: NDArray[np.float32],
    labels: NDArray[np.int64],
    objective: ObjectiveSpec,
    *,
    slowdown: float,
    max_slowdown: float,
) -> tuple[bool, str]:
    """Returns whether an ensemble is worth its price, and why, in words.

    It is if it costs no more than is allowed, is no worse by the objective and by its log loss, and
    either costs next to nothing or is shown to be better by one of the two: where they differ, the
    p-value is the smaller of both, doubled (Bonferroni). An average has at most the mean log loss
    of what it averages (Jensen's inequality), so that only a price asks for evidence, which some
    hundred images cannot give.

    Args:
        ensemble: Its probabilities on the confirmation part, shape (n, num_classes).
        single: Those of its first network alone.
        labels: Class ids of these images, shape (n,).
        objective: What trainings are compared by.
        slowdown: How many times as long it takes for an image.
        max_slowdown: Most that is allowed, >= 1.
    """
    by_loss, by_objective = (
        superiority(metric, ensemble, single, labels, is_larger_better=is_larger_better)
        for metric, is_larger_better in (
            ("log_loss", False),
            (objective.probability_metric, objective.direction == "maximize"),
        )
    )
    num_tests = len({"log_loss", objective.probability_metric})
    p_value = min(1.0, num_tests * min(by_loss.p_value, by_objective.p_value))
    told = (
        f"{objective.probability_metric} {by_objective.first:.4f} and log loss "
        f"{by_loss.first:.4f}, the first network alone {by_objective.second:.4f} and "
        f"{by_loss.second:.4f} on {len(labels)} confirmation images (p = {p_value:.2g}), "
        f"{slowdown:.2f} times the time for an image"
    )
    if slowdown > max_slowdown:
        return False, f"more than {max_slowdown:g} times as slow: {told}"
    is_worse = objective.is_better(by_objective.second, by_objective.first)
    if is_worse or not by_loss.first <= by_loss.second:
        return False, f"worse: {told}"
    if p_value <= 1 - CONFIDENCE:
        return True, f"shown to be better: {told}"
    if slowdown <= CHEAP:
        return True, f"no worse, and next to free: {told}"
    return False, f"not shown to be better: {told}"
