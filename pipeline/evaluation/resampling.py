"""Bootstrap resamples of a metric, and the shortcut that makes them fast.

A resample of n examples is n weights that sum to n, and nearly every metric is a function of means
over the examples. So all resamples of all metrics are one product of weights and contributions,
where drawing rows again and again would compute everything anew. A metric without an entry in
`MEAN_FORMS` is computed on drawn rows: right, but slower.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import (
    METRICS,
    NUM_BINS,
    Labels,
    Probabilities,
    confidence_bins,
    negative_log_likelihoods,
    squared_errors,
)

# Weights of a chunk stay near the size of a core's cache: 2 MiB of float64.
_CHUNK_VALUES = 262_144


@dataclass(frozen=True, kw_only=True)
class MeanForm:
    """A metric written as a function of means over the examples.

    Attributes:
        contributions: From (probabilities, labels) to what each example adds; shape (n, k).
        finish: From k means along the last axis to the metric; any leading axes.
    """

    contributions: Callable[[Probabilities, Labels], NDArray[np.float64]]
    finish: Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _hits(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    return np.asarray(probabilities.argmax(axis=1) == labels, dtype=np.float64)


def _class_counts(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    # Per class: is it a true positive, and how often it occurs as label or prediction (2, 1 or 0).
    num_classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    rows = np.arange(len(labels))
    counts = np.zeros((len(labels), 2 * num_classes))
    counts[rows, labels] = predicted == labels
    counts[rows, num_classes + labels.astype(np.int64)] += 1
    counts[rows, num_classes + predicted] += 1
    return counts


def _macro_f1(means: NDArray[np.float64]) -> NDArray[np.float64]:
    hits, occurrences = np.split(means, 2, axis=-1)
    present = occurrences > 0
    scores = np.divide(2 * hits, occurrences, out=np.zeros_like(hits), where=present)
    result: NDArray[np.float64] = scores.sum(axis=-1) / present.sum(axis=-1)
    return result


def _bin_gaps(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    gaps = np.zeros((len(labels), NUM_BINS))
    confidence = probabilities.max(axis=1).astype(np.float64)
    rows = np.arange(len(labels))
    gaps[rows, confidence_bins(probabilities)] = _hits(probabilities, labels) - confidence
    return gaps


def _mean_of(values: Callable[[Probabilities, Labels], NDArray[np.float64]]) -> MeanForm:
    """A metric that is the mean of one value for each example."""
    return MeanForm(
        contributions=lambda probabilities, labels: values(probabilities, labels)[:, None],
        finish=lambda means: means[..., 0],
    )


MEAN_FORMS: dict[str, MeanForm] = {
    "accuracy": _mean_of(_hits),
    "log_loss": _mean_of(negative_log_likelihoods),
    "macro_f1": MeanForm(contributions=_class_counts, finish=_macro_f1),
    "ece": MeanForm(contributions=_bin_gaps, finish=lambda means: np.abs(means).sum(axis=-1)),
    "brier": _mean_of(squared_errors),
}


def resampled_metrics(
    metrics: Sequence[str],
    probabilities: Probabilities,
    labels: Labels,
    *,
    num_resamples: int,
    seed: int,
) -> dict[str, NDArray[np.float64]]:
    """Returns each metric on bootstrap resamples of the examples.

    The resamples depend on n, `num_resamples` and `seed` alone, so two classifiers judged on the
    same images with the same seed are judged on the same resamples: subtract for paired values.

    Args:
        metrics: Names of metrics, keys of `METRICS`.
        probabilities: Shape (n, num_classes).
        labels: Class ids, shape (n,).
        num_resamples: How many resamples to draw, >= 1.
        seed: Seed that they are drawn with, >= 0.

    Returns:
        By metric, the values on the resamples, shape (num_resamples,).
    """
    values: dict[str, list[NDArray[np.float64]]] = {name: [] for name in metrics}
    prepared = {
        name: MEAN_FORMS[name].contributions(probabilities, labels)
        for name in metrics
        if name in MEAN_FORMS
    }
    for rows in _drawn_rows(len(labels), num_resamples=num_resamples, seed=seed):
        weights = _weights(rows)
        for name in metrics:
            if name in prepared:
                values[name].append(MEAN_FORMS[name].finish(weights @ prepared[name]))
            else:
                values[name].append(_recomputed(name, probabilities, labels, rows))
    return {name: np.concatenate(chunks) for name, chunks in values.items()}


def _drawn_rows(n: int, *, num_resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    size = max(1, _CHUNK_VALUES // n)
    for start in range(0, num_resamples, size):
        yield generator.integers(0, n, size=(min(size, num_resamples - start), n))


def _weights(rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns how often each example was drawn, as shares that sum to 1 in each resample."""
    num_resamples, n = rows.shape
    cells = rows + n * np.arange(num_resamples)[:, None]
    counts = np.bincount(cells.ravel(), minlength=num_resamples * n)
    shares: NDArray[np.float64] = counts.reshape(num_resamples, n) / n
    return shares


def _recomputed(
    name: str, probabilities: Probabilities, labels: Labels, rows: NDArray[np.int64]
) -> NDArray[Any]:
    metric = METRICS.get(name)
    return np.array([metric(probabilities[drawn], labels[drawn]) for drawn in rows])
