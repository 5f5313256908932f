"""How the error falls with the number of training images, and what more of them would bring.

Errors of trainings on n images are taken to follow an inverse power law, err(n) = a + b n^-c, with
a floor a that no number of images removes (Cortes, Jackel, Solla, Vapnik and Denker 1994, "Learning
curves: asymptotic values and rate of convergence", NIPS 6). Which law cannot be read
off a handful of points: a low floor with a slow fall looks like a high one with a fast fall. So no
single curve is fitted. Every law of a grid counts by how likely it makes the points, and what is
said of larger n is said with the spread of all that remain. Single fits are known to promise too
much (Mahmood et al. 2022, "How much more data do I need?", arXiv:2207.01725, section 3).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.intervals import CONFIDENCE

FEWEST_POINTS: Final = 3
"""Sizes that something can be said from: a law has three numbers."""
EXPONENTS: Final = (0.05, 2.0)
"""Of the laws, each scale of it as likely as another: networks have 0.07 to 0.5 (Hestness et al.
2017, "Deep learning scaling is predictable, empirically", arXiv:1712.00409), and theory 1."""
UNREPEATED: Final = 0.03
"""Standard deviation over seeds, as a share of the error, where no size was trained twice."""
LEAST_SPREAD: Final = 0.003
"""Likewise, whatever the seeds that were tried say: no points are exact."""
FARTHEST: Final = 10.0
"""Times the images there are, that a law is followed to; beyond, nothing is said."""
WIDTH: Final = 4.0
"""Standard errors around the error at all images, in which laws are tried."""
_STEPS: Final = 61
_NORMAL: Final = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """What trainings on equally many images reached.

    Attributes:
        num_images: That each learned from, >= 1.
        errors: One for each seed, at least one; a share of images or a loss, > 0 in the mean.
        image_error: Standard error of their mean since the images that judge are a sample, >= 0: of
            that the part that sizes do not share. What is hard for all of them moves the whole
            curve up or down and says nothing of its shape.
    """

    num_images: int
    errors: Sequence[float]
    image_error: float

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(np.mean(self.errors))


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What is expected of a number, and the 95% interval: low <= value <= high; may be infinite."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, eq=False)
class PowerLaws:
    """The laws that may be behind a curve: err(n) = e (f + (1 - f) (n / whole)^-c).

    Attributes:
        whole: The largest number of images among the points.
        errors: e, the error there, of each law; shape (k,).
        floors: f, the share of it that no number of images removes, in [0, 1]; shape (k,).
        exponents: c, > 0; shape (k,).
        weights: How likely each is; shape (k,), sums to 1.
    """

    whole: int
    errors: NDArray[np.float64]
    floors: NDArray[np.float64]
    exponents: NDArray[np.float64]
    weights: NDArray[np.float64]

    def error(self, num_images: float) -> Expected:
        """Returns the error that is expected with so many images."""
        return self._expected(self.errors * self._ratio(num_images))

    def gain(self, num_images: float) -> Expected:
        """Returns which share of the error at `whole` images is expected to go with so many."""
        return self._expected(1.0 - self._ratio(num_images))

    def probability(self, share: float, *, num_images: float) -> float:
        """Returns how likely so many images remove at least that share of the error."""
        return float(self.weights[1.0 - self._ratio(num_images) >= share].sum())

    def needed(self, share: float) -> Expected:
        """Returns with how many images that share of the error is expected to be gone.

        Args:
            share: In (0, 1); of laws whose floor is higher, infinitely many.
        """
        left = 1.0 - share - self.floors
        fall = np.where(left > 0, (1.0 - self.floors) / np.where(left > 0, left, 1.0), 1.0)
        # The power may overflow; a million times what there is, is as good as never.
        ratio = np.exp(np.minimum(np.log(fall) / self.exponents, math.log(1e6)))
        return self._expected(np.where(left > 0, self.whole * ratio, np.inf))

    def _ratio(self, num_images: float) -> NDArray[np.float64]:
        fall = (num_images / self.whole) ** -self.exponents
        ratio: NDArray[np.float64] = self.floors + (1.0 - self.floors) * fall
        return ratio

    def _expected(self, values: NDArray[np.float64]) -> Expected:
        order = np.argsort(values)
        reached = np.cumsum(self.weights[order])
        ends = ((1 - CONFIDENCE) / 2, 0.5, (1 + CONFIDENCE) / 2)
        places = np.minimum(np.searchsorted(reached, ends), len(values) - 1)
        low, middle, high = (float(values[order[place]]) for place in places)
        return Expected(value=middle, low=low, high=high)


def power_laws(points: Sequence[CurvePoint]) -> PowerLaws:
    """Returns the laws that may be behind some points, each as likely as it makes them.

    Args:
        points: Of different sizes, at least `FEWEST_POINTS`, smallest first.

    Raises:
        ValueError: If there are too few points.
    """
    if len(points) < FEWEST_POINTS:
        raise ValueError(f"At least {FEWEST_POINTS} points are needed. Received: {len(points)}.")
    means = np.array([point.mean for point in points])
    sizes = np.array([point.num_images for point in points]) / points[-1].num_images
    deviations = _deviations(points)
    half = WIDTH * deviations[-1]
    grid = np.meshgrid(
        np.linspace(max(means[-1] - half, 1e-3 * means[-1]), means[-1] + half, _STEPS),
        np.linspace(0.0, 1.0, _STEPS),
        np.geomspace(*EXPONENTS, _STEPS),
        indexing="ij",
    )
    errors, floors, exponents = (one.ravel() for one in grid)
    falls = sizes[:, None] ** -exponents
    residuals = means[:, None] - errors * (floors + (1.0 - floors) * falls)
    squares = np.square(residuals / deviations[:, None]).sum(axis=0)
    # Where no law fits as well as the noise allows, there is more noise than is known of.
    squares /= max(1.0, float(squares.min()) / max(1, len(points) - FEWEST_POINTS))
    weights = np.exp(-0.5 * (squares - squares.min()))
    return PowerLaws(
        whole=points[-1].num_images,
        errors=errors,
        floors=floors,
        exponents=exponents,
        weights=weights / weights.sum(),
    )


def foretold(points: Sequence[CurvePoint]) -> Expected | None:
    """Returns what the points but the last foretell of the last: a check of the extrapolation.

    Its interval is that of the mean over as many seeds, judged on the same images.

    Args:
        points: As for `power_laws`.

    Returns:
        None if too few are left.
    """
    if len(points) <= FEWEST_POINTS:
        return None
    expected = power_laws(points[:-1]).error(points[-1].num_images)
    own = _NORMAL * float(_deviations(points)[-1])
    return Expected(
        value=expected.value,
        low=max(0.0, expected.value - math.hypot(expected.value - expected.low, own)),
        high=expected.value + math.hypot(expected.high - expected.value, own),
    )


def _deviations(points: Sequence[CurvePoint]) -> NDArray[np.float64]:
    """Returns the standard error of each point's mean, over images that judge and over seeds."""
    squares = sum(((np.array(p.errors) / p.mean - 1.0) ** 2).sum() for p in points)
    repeats = sum(len(point.errors) - 1 for point in points)
    # As shares of the error: where more is wrong, more depends on the seed.
    relative = squares / repeats if repeats else UNREPEATED**2
    relative = max(relative, LEAST_SPREAD**2)
    seeds = [relative * point.mean**2 / len(point.errors) for point in points]
    images = [point.image_error**2 for point in points]
    deviations: NDArray[np.float64] = np.sqrt(np.array(seeds) + np.array(images))
    return deviations
