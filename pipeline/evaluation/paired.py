"""What is better on the same images: one of two models, or one of several configurations.

What is hard for all of them tells nothing, and cancels. Configurations were trained with a few
seeds each, and a mean over seeds is uncertain twice: other images would have given others, and so
would other seeds. Both are drawn anew here, images and seeds independently of each other: the
pigeonhole bootstrap (Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2),
section 3), which errs on the wide side.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.intervals import CONFIDENCE, Interval, paired_difference
from pipeline.evaluation.metrics import METRICS, Labels, Probabilities
from pipeline.evaluation.resampling import resampled_metrics

RESAMPLES: Final = 2000


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a configuration stands among those that it was compared with.

    Attributes:
        probability_best: Share of the resamples in which its mean is the best, in [0, 1]; those in
            which several are, count for each in part.
        behind: How much better the best mean is than its own, >= 0, and the interval. All intervals
            hold together in 95% of cases: each is wide enough for all pairs, since any could have
            been the best (Dunn 1961, "Multiple comparisons among means", Bonferroni's inequality).
        standard_error: Of that difference.
    """

    probability_best: float
    behind: Interval
    standard_error: float

    @property
    def is_tied(self) -> bool:
        """Whether it is behind by no more than a standard error.

        As in the one-standard-error rule of Breiman, Friedman, Olshen and Stone 1984,
        "Classification and Regression Trees", section 3.4.3: within it the simplest is taken.
        """
        return self.behind.value <= self.standard_error


def standings(
    answers: Sequence[Sequence[Probabilities]],
    labels: Labels,
    metric: str,
    *,
    is_larger_better: bool,
    num_resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Standing]:
    """Returns where each configuration stands.

    Args:
        answers: For each configuration, at least one, the probabilities that each of its trainings
            gave, at least one of shape (n, num_classes). One training shows nothing of other seeds:
            of such a configuration the images alone are drawn anew.
        labels: Class ids of the images, shape (n,).
        metric: A key of `METRICS`.
        is_larger_better: Whether its larger values are better.
        num_resamples: Bootstrap resamples, >= 1.
        seed: Seed that they are drawn with, >= 0.
    """
    sign = 1.0 if is_larger_better else -1.0
    compute = METRICS.get(metric)
    means = np.array([sign * np.mean([compute(one, labels) for one in own]) for own in answers])
    generator = np.random.default_rng(seed)
    resampled = sign * np.stack(
        [
            _resampled_mean(own, labels, metric, num_resamples, generator=generator, seed=seed)
            for own in answers
        ]
    )
    is_best = resampled == resampled.max(axis=0)
    shares = (is_best / is_best.sum(axis=0)).mean(axis=1)
    best = int(means.argmax())
    # The best was found in the same data, so that each pair of them counts, at both ends.
    num_pairs = max(1, len(answers) * (len(answers) - 1) // 2)
    ends = (1 - CONFIDENCE) / (2 * num_pairs)
    found = []
    for mean, drawn, share in zip(means, resampled, shares, strict=True):
        behind, differences = float(means[best] - mean), resampled[best] - drawn
        low, high = _quantiles(differences, ends)
        found.append(
            Standing(
                probability_best=float(share),
                behind=Interval(
                    value=behind,
                    low=min(float(low), behind),
                    high=max(float(high), behind),
                    n=len(labels),
                ),
                standard_error=float(differences.std()),
            )
        )
    return found


def _quantiles(drawn: NDArray[np.float64], ends: float) -> tuple[float, float]:
    """Returns the quantiles `ends` and 1 - `ends`; where no resample lies beyond, a normal's."""
    from scipy.special import ndtri  # type: ignore[import-untyped]

    if ends * len(drawn) < 1:
        half = -float(ndtri(ends)) * float(drawn.std())
        return float(drawn.mean()) - half, float(drawn.mean()) + half
    low, high = np.quantile(drawn, [ends, 1 - ends])
    return float(low), float(high)


def _resampled_mean(
    own: Sequence[Probabilities],
    labels: Labels,
    metric: str,
    num_resamples: int,
    *,
    generator: np.random.Generator,
    seed: int,
) -> NDArray[np.float64]:
    """Returns the mean over drawn seeds, each on the same drawn images; shape (num_resamples,)."""
    # The same seed for all: the same images are drawn.
    values = np.stack(
        [
            resampled_metrics([metric], one, labels, num_resamples=num_resamples, seed=seed)[metric]
            for one in own
        ]
    )
    num_seeds, centre = len(own), values.mean(axis=0)
    # Draws of n seeds vary by (n - 1) / n of what seeds do.
    spread = math.sqrt(num_seeds / max(1, num_seeds - 1)) * (values - centre)
    drawn = generator.integers(0, num_seeds, size=(num_seeds, num_resamples))
    mean: NDArray[np.float64] = centre + np.take_along_axis(spread, drawn, axis=0).mean(axis=0)
    return mean


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """The examples that one of two classifiers gets right and the other does not.

    Attributes:
        only_first: How many the first alone gets right.
        only_second: How many the second alone does.
        p_value: How likely so unequal numbers, or more so, are of two equally good ones, in [0, 1].
    """

    only_first: int
    only_second: int
    p_value: float


def disagreement(first: Probabilities, second: Probabilities, labels: Labels) -> Disagreement:
    """Returns where two classifiers disagree, with McNemar's exact two-sided p-value.

    Reference: McNemar 1947, "Note on the sampling error of the difference between correlated
    proportions or percentages".

    Args:
        first: Probabilities of one, shape (n, num_classes).
        second: Probabilities of the other, of the same images.
        labels: Class ids, shape (n,).
    """
    ours, theirs = (one.argmax(axis=1) == labels for one in (first, second))
    smaller = min(_mcnemar(first, second, labels), _mcnemar(second, first, labels))
    return Disagreement(
        only_first=int(np.sum(ours & ~theirs)),
        only_second=int(np.sum(theirs & ~ours)),
        p_value=min(1.0, 2 * smaller),
    )


@dataclass(frozen=True, kw_only=True)
class Superiority:
    """Whether a model is better than another on the same images.

    Attributes:
        first: The metric of the one.
        second: The metric of the other.
        difference: How much better the first is, and the 95% interval; below 0 if it is worse.
        p_value: How likely so large a difference, or a larger one, is if it is not better, in
            [0, 1].
    """

    first: float
    second: float
    difference: Interval
    p_value: float


def superiority(
    metric: str,
    first: Probabilities,
    second: Probabilities,
    labels: Labels,
    *,
    is_larger_better: bool,
    num_resamples: int = RESAMPLES,
    seed: int = 0,
) -> Superiority:
    """Returns whether the first of two models is better.

    Of accuracy the p-value is McNemar's, exact and one-sided: among the images that one alone gets
    right, the first has more by chance (McNemar 1947, "Note on the sampling error of the difference
    between correlated proportions or percentages"). Of other metrics it is that of the difference
    in standard errors of the bootstrap, by the normal distribution.

    Args:
        metric: A key of `METRICS`.
        first: Probabilities of one model, shape (n, num_classes).
        second: Probabilities of the other, of the same images.
        labels: Class ids, shape (n,).
        is_larger_better: Whether larger values of the metric are better.
        num_resamples: Bootstrap resamples, >= 1.
        seed: Seed that they are drawn with, >= 0.
    """
    compute, better = METRICS.get(metric), (first, second) if is_larger_better else (second, first)
    difference = paired_difference(metric, *better, labels, num_resamples=num_resamples, seed=seed)
    return Superiority(
        first=compute(first, labels),
        second=compute(second, labels),
        difference=difference,
        p_value=_mcnemar(first, second, labels)
        if metric == "accuracy"
        else _by_standard_error(difference),
    )


def _mcnemar(first: Probabilities, second: Probabilities, labels: Labels) -> float:
    from scipy.special import bdtrc

    ours, theirs = (one.argmax(axis=1) == labels for one in (first, second))
    num_ours, num_differing = int(np.sum(ours & ~theirs)), int(np.sum(ours != theirs))
    # The share of coins that show heads as often, or more often.
    return float(bdtrc(num_ours - 1, num_differing, 0.5)) if num_ours else 1.0


def _by_standard_error(difference: Interval) -> float:
    width = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    standard_error = (difference.high - difference.low) / 2 / width
    if standard_error == 0:
        return 0.0 if difference.value > 0 else 1.0
    return 1 - NormalDist().cdf(difference.value / standard_error)
