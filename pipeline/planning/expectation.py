"""What heads will reach on all training images, from what they reach on a few.

The error of a head falls with the number of images as a power of it (Hestness et al. 2017,
"Deep learning scaling is predictable, empirically", arXiv:1712.00409, section 3). Two sizes of
sample give the power. Small samples favour high cuts, whose few features need few images; a
steeper curve then speaks for a lower one. One cut's power is uncertain, so that it is drawn towards
the mean of all by as much as chance explains of their spread (empirical Bayes: Efron and Morris
1973, "Stein's estimation rule and its competitors").
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.planning.probe import QUARTERS, Errors

STEEPEST: Final = 0.5
"""Power: no learning curve of features and images is seen to fall faster than statistics alone."""


def expected_errors(found: Sequence[Errors], *, num_train: int) -> list[float]:
    """Returns the errors that are expected with all training images, each in [0, 1].

    Args:
        found: Of heads on different features of the same images, at least one.
        num_train: Images that the heads will be trained on, >= 1.
    """
    num_images = len(found[0].is_right)
    # Half an error more: none at all would make the logarithm infinite.
    whole = np.array([errors.of_all + 0.5 / num_images for errors in found])
    quarter = np.array([errors.of_quarters + 0.5 / num_images for errors in found])
    powers = np.clip(_drawn_together(whole, quarter, num_images), 0.0, STEEPEST)
    growth = max(1.0, num_train / num_images)
    return [float(error) for error in np.minimum(whole * growth**-powers, 1.0)]


def _drawn_together(
    whole: NDArray[np.float64], quarter: NDArray[np.float64], num_images: int
) -> NDArray[np.float64]:
    powers = np.log(quarter / whole) / math.log(QUARTERS)
    # Of the logarithm of a share that is counted over n images: (1 - share) / (share n).
    shares = np.minimum([whole, quarter], 1)
    chance = float(((1 - shares) / (shares * num_images)).sum(axis=0).mean())
    chance /= math.log(QUARTERS) ** 2
    spread = float(powers.var(ddof=1)) if len(powers) > 1 else 0.0
    kept = max(0.0, 1 - chance / spread) if spread else 0.0
    drawn: NDArray[np.float64] = powers.mean() + kept * (powers - powers.mean())
    return drawn
