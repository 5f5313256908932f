"""Differences between two classifiers on the same images."""

from pipeline.evaluation.intervals import Interval, around, percentiles
from pipeline.evaluation.metrics import METRICS, Labels, Probabilities
from pipeline.evaluation.resampling import resampled_metrics


def paired_difference(
    metric: str,
    first: Probabilities,
    second: Probabilities,
    labels: Labels,
    *,
    num_resamples: int,
    seed: int,
) -> Interval:
    """Returns how much higher a metric is for `first` than for `second`, on the same examples.

    Both are resampled together, so what is hard for both cancels: the interval is narrower than
    that of two independent samples.

    Args:
        metric: A key of `METRICS`.
        first: Probabilities of one classifier, shape (n, num_classes).
        second: Probabilities of the other, for the same examples.
        labels: Class ids, shape (n,).
        num_resamples: Bootstrap resamples, >= 1.
        seed: Seed of the resamples, >= 0.
    """
    compute = METRICS.get(metric)
    value = compute(first, labels) - compute(second, labels)
    a, b = (
        resampled_metrics([metric], probabilities, labels, num_resamples=num_resamples, seed=seed)[
            metric
        ]
        for probabilities in (first, second)
    )
    low, high = percentiles(a - b)
    return around(value, low=low, high=high, n=len(labels))
