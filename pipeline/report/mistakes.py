"""Which two classes a model takes for each other most often."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two classes that are taken for each other, either way.

    Attributes:
        one: A class id.
        other: Another one.
        share: Of all mistakes, those between the two, in (0, 1].
        num_wrong: All mistakes.
    """

    one: int
    other: int
    share: float
    num_wrong: int


def worst_pair(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> Pair | None:
    """Returns the two classes with the most mistakes between them; None if there are no mistakes.

    Args:
        probabilities: Shape (n, num_classes).
        labels: Class ids, shape (n,).

    >>> worst_pair(np.eye(3)[[1, 0, 2, 1]], np.array([0, 1, 2, 2]))
    Pair(one=0, other=1, share=0.6666666666666666, num_wrong=3)
    """
    num_classes, predicted = probabilities.shape[1], probabilities.argmax(axis=1)
    wrong = predicted != labels
    num_wrong = int(wrong.sum())
    if not num_wrong:
        return None
    low, high = np.minimum(predicted, labels)[wrong], np.maximum(predicted, labels)[wrong]
    counts = np.bincount(low * num_classes + high, minlength=num_classes**2)
    one, other = divmod(int(counts.argmax()), num_classes)
    return Pair(one=one, other=other, share=float(counts.max() / num_wrong), num_wrong=num_wrong)
