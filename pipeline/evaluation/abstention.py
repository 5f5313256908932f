"""What a classifier gains where it may say that it does not know."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.metrics import Labels, Probabilities


@dataclass(frozen=True, kw_only=True)
class Abstention:
    """How good the answers are that are left.

    Attributes:
        share: Of the examples, those that the classifier is least certain of and leaves out, in
            [0, 1).
        accuracy: On the others.
        n: How many the others are.
    """

    share: float
    accuracy: float
    n: int


def abstentions(
    probabilities: Probabilities, labels: Labels, shares: Sequence[float]
) -> list[Abstention]:
    """Returns the accuracy on what is left without the least certain examples, for each share.

    What it is least certain of has the largest entropy of its probabilities, -sum p log p.

    Args:
        probabilities: Shape (n, num_classes).
        labels: Class ids, shape (n,).
        shares: To be left out, each in [0, 1); at least one example is kept.

    >>> sure = np.float32([[1.0, 0.0], [0.6, 0.4]])
    >>> [one.accuracy for one in abstentions(sure, np.array([0, 1]), [0.0, 0.5])]
    [0.5, 1.0]
    """
    # Not log(0), which would make 0 log 0 no number.
    entropies = -np.sum(probabilities * np.log(np.maximum(probabilities, 1e-12)), axis=1)
    order = np.argsort(entropies, kind="stable")
    is_right = (probabilities.argmax(axis=1) == labels)[order]
    found = []
    for share in shares:
        kept = max(1, len(labels) - round(share * len(labels)))
        found.append(Abstention(share=share, accuracy=float(is_right[:kept].mean()), n=kept))
    return found
