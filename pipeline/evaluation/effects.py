"""What a change does, from trainings in pairs: the same seeds, judged on the same images.

A difference of two means over seeds is uncertain twice: other images would have given another one,
and so would other seeds. Of a few seeds the spread is hardly known, but several changes were tried
in the same way: what is typical of them is the least that is taken for each.
"""

import math
from collections.abc import Sequence
from statistics import variance
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.intervals import CONFIDENCE, Interval
from pipeline.evaluation.metrics import METRICS, Labels, Probabilities
from pipeline.evaluation.resampling import resampled_metrics

RESAMPLES: Final = 500
SEED: Final = 0


def paired_effects(
    before: Sequence[Probabilities],
    after: Sequence[Sequence[Probabilities]],
    labels: Labels,
    metric: str,
    *,
    is_larger_better: bool,
) -> list[Interval]:
    """Returns by how much each change makes a metric better; below 0, worse.

    The standard error is of both: images by the bootstrap, seeds by the variance of the differences
    of pairs, its own or what is typical of all changes, whichever is larger. All intervals hold
    together in 95% of cases (Bonferroni; Dunn 1961, "Multiple comparisons among means").

    Args:
        before: Probabilities that the trainings without the change give, one for each seed, at
            least two, each of shape (n, num_classes).
        after: Of each change the same for the same seeds, in the same order.
        labels: Class ids of the images, shape (n,).
        metric: A key of `METRICS`.
        is_larger_better: Whether its larger values are better.

    Raises:
        ValueError: If there are fewer than two seeds, or a change was trained with other ones.
    """
    if len(before) < 2 or any(len(one) != len(before) for one in after):
        raise ValueError("Each change needs as many trainings as there are without it, two or more")
    if not after:
        return []
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    sign = 1.0 if is_larger_better else -1.0
    differences = [_by_seed(before, one, labels, metric, sign) for one in after]
    num_seeds, drawn = len(before), _drawn_mean(before, labels, metric)
    typical = _typical([variance(one) for one in differences], num_seeds)
    level = 1 - (1 - CONFIDENCE) / (2 * len(after))
    width = float(stdtrit(len(after) * (num_seeds - 1), level))
    found = []
    for own, answers in zip(differences, after, strict=True):
        of_images = float((_drawn_mean(answers, labels, metric) - drawn).std())
        of_seeds = max(variance(own), typical) / num_seeds
        value, half = float(np.mean(own)), width * math.sqrt(of_images**2 + of_seeds)
        found.append(Interval(value=value, low=value - half, high=value + half, n=len(labels)))
    return found


def _by_seed(
    before: Sequence[Probabilities],
    after: Sequence[Probabilities],
    labels: Labels,
    metric: str,
    sign: float,
) -> list[float]:
    compute = METRICS.get(metric)
    pairs = zip(before, after, strict=True)
    return [sign * (compute(b, labels) - compute(a, labels)) for a, b in pairs]


def _drawn_mean(
    answers: Sequence[Probabilities], labels: Labels, metric: str
) -> NDArray[np.float64]:
    """Returns the mean over seeds on resamples of the images, the same for all; (RESAMPLES,)."""
    drawn = [
        resampled_metrics([metric], one, labels, num_resamples=RESAMPLES, seed=SEED)[metric]
        for one in answers
    ]
    mean: NDArray[np.float64] = np.mean(drawn, axis=0)
    return mean


def _typical(variances: Sequence[float], num_seeds: int) -> float:
    """Returns the variance that most of them estimate, whatever a few wild ones are.

    The median of estimates from k seeds is that of a chi-squared variable with k - 1 degrees of
    freedom, divided by them, as a share of what they estimate.
    """
    from scipy.special import gammaincinv

    freedom = num_seeds - 1
    return float(np.median(variances)) / (2 * float(gammaincinv(freedom / 2, 0.5)) / freedom)
