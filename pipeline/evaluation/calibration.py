"""Reliability of probabilities: how often a classifier that says 80% is right."""

from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.metrics import NUM_BINS, Labels, Probabilities, confidence_bins


@dataclass(frozen=True, kw_only=True)
class CalibrationBin:
    """The examples whose largest probability lies in (low, high].

    Attributes:
        low: Lower edge, in [0, 1).
        high: Upper edge, in (0, 1].
        confidence: Mean of the largest probabilities; None for an empty bin.
        accuracy: Share of right predictions; None for an empty bin.
        n: Number of examples.
    """

    low: float
    high: float
    confidence: float | None
    accuracy: float | None
    n: int


def calibration_bins(probabilities: Probabilities, labels: Labels) -> list[CalibrationBin]:
    """Returns the 15 bins that `metrics.expected_calibration_error` sums over, lowest first.

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
