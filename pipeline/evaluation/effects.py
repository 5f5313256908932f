"""What a change does, from trainings in pairs: the same seeds, judged on the same images.

A difference of two means over seeds is uncertain twice: other images would have given another one,
and so would other seeds. Of a few seeds the spread is hardly known, but several changes were tried
in the same way: what is typical of them is the least that is taken for each.
"""

import math
from collections.abc import Mapping, Sequence
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
    answers = {"before": before, **{str(place): one for place, one in enumerate(after)}}
    wanted = [{str(place): 1.0, "before": -1.0} for place in range(len(after))]
    return contrasts(answers, wanted, labels, metric, is_larger_better=is_larger_better)


def contrasts(
    answers: Mapping[str, Sequence[Probabilities]],
    wanted: Sequence[Mapping[str, float]],
    labels: Labels,
    metric: str,
    *,
    is_larger_better: bool,
) -> list[Interval]:
    """Returns weighted sums of what configurations reach, such as the difference of two.

    The standard error is of both: images by the bootstrap, seeds by the variance of the sums of
    equal seeds, its own or what is typical of all sums, whichever is larger. Where its own is so
    large that it is hardly by chance (chi-squared, 5% in all), Student's t has the degrees of
    freedom of its few seeds, else those of all sums. All intervals hold together in 95% of cases
    (Bonferroni; Dunn 1961, "Multiple comparisons among means").

    Args:
        answers: By configuration the probabilities that its trainings give, one for each seed, at
            least two, each of shape (n, num_classes); the same seeds in the same order.
        wanted: The weights of each sum by configuration. {"a": 1, "b": -1}: how much better a is
            than b; with {"c": -1, "d": 1} beside it: how much more that is than c is better than d.
        labels: Class ids of the images, shape (n,).
        metric: A key of `METRICS`.
        is_larger_better: Whether its larger values are better; otherwise the sums change sign.

    Raises:
        ValueError: If there are fewer than two seeds, or not equally many of all configurations.
    """
    num_seeds = min(map(len, answers.values()), default=0)
    if num_seeds < 2 or any(len(one) != num_seeds for one in answers.values()):
        raise ValueError("Each configuration needs equally many trainings, two or more.")
    if not wanted:
        return []
    from scipy.special import chdtri, stdtrit  # type: ignore[import-untyped]

    sign, compute = 1.0 if is_larger_better else -1.0, METRICS.get(metric)
    by_seed = {
        name: sign * np.array([compute(one, labels) for one in own])
        for name, own in answers.items()
    }
    drawn = {name: sign * _drawn_mean(own, labels, metric) for name, own in answers.items()}
    sums = [_weighted(one, by_seed) for one in wanted]
    typical = _typical([float(one.var(ddof=1)) for one in sums], num_seeds)
    level = 1 - (1 - CONFIDENCE) / (2 * len(wanted))
    freedom = num_seeds - 1
    pooled, alone = (float(stdtrit(n * freedom, level)) for n in (len(wanted), 1))
    # Beyond it a variance is hardly chance: it is the sum's own, known from its few seeds alone.
    wild = typical * float(chdtri(freedom, (1 - CONFIDENCE) / len(wanted))) / freedom
    found = []
    for weights, own in zip(wanted, sums, strict=True):
        of_images = float(_weighted(weights, drawn).std())
        variance = float(own.var(ddof=1))
        width = alone if variance > wild else pooled
        of_seeds = max(variance, typical) / num_seeds
        value, half = float(own.mean()), width * math.sqrt(of_images**2 + of_seeds)
        found.append(Interval(value=value, low=value - half, high=value + half, n=len(labels)))
    return found


def _weighted(
    weights: Mapping[str, float], values: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.sum([w * values[name] for name, w in weights.items()], axis=0)
    return total


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
