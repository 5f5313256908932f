"""What a classifier is judged by: metrics of probabilities.

To add a metric, write a function of (probabilities, labels) below and register it; nothing else
changes. Its bootstrap interval works at once; an entry in `resampling.py` makes it fast.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.registry import Registry

Probabilities = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]
Metric = Callable[[Probabilities, Labels], float]

METRICS: Registry[Metric] = Registry("metric")

# Keras' own epsilon, so that the loss of a hard wrong answer is the 16.1 that `fit` reports.
SMALLEST_PROBABILITY = 1e-7
# Guo et al. 2017 use 15.
NUM_BINS = 15


def classification_metrics(probabilities: Probabilities, labels: Labels) -> dict[str, float]:
    """Returns what is measured after every epoch: `accuracy`, `loss` and `macro_f1`.

    Args:
        probabilities: Shape (n, num_classes), each row in [0, 1]; a NaN makes the loss NaN.
        labels: Class ids, shape (n,), integers in [0, num_classes).

    Raises:
        ValueError: If there is no example, or shapes or class ids do not fit.

    >>> classification_metrics(np.eye(3), np.array([0, 1, 2]))["accuracy"]
    1.0
    """
    return {
        "accuracy": accuracy(probabilities, labels),
        "loss": log_loss(probabilities, labels),
        "macro_f1": macro_f1(probabilities, labels),
    }


@METRICS.register("accuracy")
def accuracy(probabilities: Probabilities, labels: Labels) -> float:
    """Returns the share of examples whose largest probability is the label's, in [0, 1]."""
    _check(probabilities, labels)
    return float((probabilities.argmax(axis=1) == labels).mean())


@METRICS.register("log_loss")
def log_loss(probabilities: Probabilities, labels: Labels) -> float:
    """Returns the mean of -ln(probability of the label), clipped as Keras does; in [0, 16.2]."""
    _check(probabilities, labels)
    return float(negative_log_likelihoods(probabilities, labels).mean())


@METRICS.register("macro_f1")
def macro_f1(probabilities: Probabilities, labels: Labels) -> float:
    """Returns the unweighted mean of the classes' F1 = 2 tp / (2 tp + fp + fn), in [0, 1].

    As scikit-learn's `average="macro"`: over the classes that are a label or a prediction here.
    """
    _check(probabilities, labels)
    predicted = probabilities.argmax(axis=1)
    counts = confusion_counts(labels, predicted, num_classes=probabilities.shape[1])
    # Row sum + column sum = 2 tp + fp + fn; 0 where a class neither occurs nor is predicted.
    occurrences = counts.sum(axis=0) + counts.sum(axis=1)
    present = occurrences > 0
    return float((2.0 * counts.diagonal()[present] / occurrences[present]).mean())


@METRICS.register("ece")
def expected_calibration_error(probabilities: Probabilities, labels: Labels) -> float:
    """Returns the mean gap between confidence and accuracy over 15 equal bins, in [0, 1].

    ECE = sum over bins of (n_b / n) |accuracy_b - confidence_b|; bin b is (b/15, (b+1)/15].
    Reference: Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599, eq. 3.
    """
    _check(probabilities, labels)
    bins = confidence_bins(probabilities)
    gaps = (probabilities.argmax(axis=1) == labels) - probabilities.max(axis=1).astype(np.float64)
    return float(np.abs(np.bincount(bins, weights=gaps, minlength=NUM_BINS)).sum() / len(labels))


@METRICS.register("brier")
def brier(probabilities: Probabilities, labels: Labels) -> float:
    """Returns the mean over examples of sum_c (p_c - [c is the label])^2, in [0, 2].

    Reference: Brier 1950, Verification of forecasts expressed in terms of probability, eq. 2.
    """
    _check(probabilities, labels)
    return float(squared_errors(probabilities, labels).mean())


def negative_log_likelihoods(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """Returns -ln(probability of the label) of each example, shape (n,)."""
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    result: NDArray[np.float64] = -np.log(np.clip(chosen, SMALLEST_PROBABILITY, 1.0))
    return result


def squared_errors(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """Returns sum_c (p_c - [c is the label])^2 of each example, shape (n,)."""
    errors = probabilities.astype(np.float64)
    errors[np.arange(len(labels)), labels] -= 1.0
    result: NDArray[np.float64] = np.square(errors).sum(axis=1)
    return result


def confidence_bins(probabilities: Probabilities) -> NDArray[np.int64]:
    """Returns the bin of each example's largest probability, shape (n,), in [0, NUM_BINS)."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    bins = np.ceil(confidence * NUM_BINS).astype(np.int64) - 1
    return np.asarray(np.clip(bins, 0, NUM_BINS - 1))


def confusion_counts(labels: Labels, predicted: Labels, *, num_classes: int) -> NDArray[np.int64]:
    """Counts examples by label (row) and prediction (column), shape (num_classes, num_classes)."""
    cells = labels.astype(np.int64) * num_classes + predicted
    counts = np.bincount(cells, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def _check(probabilities: Probabilities, labels: Labels) -> None:
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not len(labels):
        raise ValueError(
            "probabilities must have shape (n, num_classes) and labels shape (n,), n >= 1. "
            f"Received: shapes {probabilities.shape} and {labels.shape}."
        )
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise ValueError(
            f"labels must lie in [0, {probabilities.shape[1]}). "
            f"Received: labels from {labels.min()} to {labels.max()}."
        )


@dataclass(frozen=True, kw_only=True)
class CalibrationBin:
    """The `n` examples whose largest probability lies in (low, high].

    `confidence` is the mean of these, `accuracy` the share of right predictions; None if n is 0.
    """

    low: float
    high: float
    confidence: float | None
    accuracy: float | None
    n: int


def calibration_bins(probabilities: Probabilities, labels: Labels) -> list[CalibrationBin]:
    """Returns the 15 bins that `expected_calibration_error` sums over, lowest first.

    Args:
        probabilities: Shape (n, num_classes).
        labels: Class ids, shape (n,).
    """
    bins = confidence_bins(probabilities)
    counts = np.bincount(bins, minlength=NUM_BINS)
    confidence = np.bincount(
        bins, weights=probabilities.max(axis=1).astype(np.float64), minlength=NUM_BINS
    )
    hits = np.bincount(bins, weights=probabilities.argmax(axis=1) == labels, minlength=NUM_BINS)
    return [
        CalibrationBin(
            low=index / NUM_BINS,
            high=(index + 1) / NUM_BINS,
            confidence=float(confidence[index] / n) if n else None,
            accuracy=float(hits[index] / n) if n else None,
            n=int(n),
        )
        for index, n in enumerate(counts)
    ]
