"""Mean and variance of each channel over more values than fit into memory."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Moments:
    """Mean and population variance along the last axis, added up batch by batch in float64.

    Batches are merged by Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm
    for computing sample variances", eq. 2.1, which stays exact where a mean is large against its
    deviation; a sum of squares does not.

    >>> moments = Moments(1)
    >>> moments.add(np.array([[0.0], [2.0]]))
    >>> moments.add(np.array([[4.0]]))
    >>> moments.mean.tolist(), moments.variance.tolist()
    ([2.0], [2.6666666666666665])
    """

    def __init__(self, num_channels: int) -> None:
        self.count = 0
        self.mean = np.zeros(num_channels)
        self._squares = np.zeros(num_channels)

    def add(self, values: NDArray[Any]) -> None:
        """Adds values of shape (..., channels), of any number type."""
        rows = values.reshape(-1, len(self.mean)).astype(np.float64)
        if len(rows):
            self.merge(count=len(rows), mean=rows.mean(axis=0), variance=rows.var(axis=0))

    def merge(self, *, count: int, mean: NDArray[Any], variance: NDArray[Any]) -> None:
        """Adds values of which these moments are known.

        Args:
            count: Values of each channel, >= 1.
            mean: Shape (channels,).
            variance: Divided by the count, shape (channels,), >= 0.
        """
        difference = np.asarray(mean, np.float64) - self.mean
        total = self.count + count
        self._squares += count * np.asarray(variance, np.float64)
        self._squares += difference**2 * (self.count * count / total)
        self.mean = self.mean + difference * (count / total)
        self.count = total

    def shared(self, shapes: Sequence[tuple[int, ...]]) -> "Moments":
        """Returns the same moments with one mean and one variance for all positions of a channel.

        Of values that count equally often at each position, both are exact: the variance is the
        mean of the variances and the variance of the means.

        Args:
            shapes: What the last axis holds, flattened one after the other, such as (4, 4, 40);
                the last of each is its channels.
        """
        found, start = Moments(len(self.mean)), 0
        found.count = self.count
        for shape in shapes:
            own = slice(start, start + math.prod(shape))
            means, squares = (
                values[own].reshape(-1, shape[-1]) for values in (self.mean, self._squares)
            )
            between = self.count * means.var(axis=0)
            found.mean[own] = np.tile(means.mean(axis=0), len(means))
            found._squares[own] = np.tile(squares.mean(axis=0) + between, len(means))
            start = own.stop
        return found

    @property
    def variance(self) -> NDArray[np.float64]:
        """Divided by the count; zeros before anything was added."""
        return self._squares / max(self.count, 1)
