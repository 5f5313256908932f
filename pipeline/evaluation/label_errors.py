"""Images whose label is probably wrong, ranked: confident learning from out-of-sample scores.

Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels",
arXiv:1911.00068. The probabilities must be of models that were not fitted to the image that they
judge; else a model vouches for the label that it has learnt.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.metrics import SMALLEST_PROBABILITY, Labels, Probabilities

_FLATTEST, _SHARPEST = 1e-2, 1e4
MOST_SCORES: Final = 20_000_000
"""That the temperature is fitted to: of 1,000 classes those of 20,000 images, evenly spread."""


@dataclass(frozen=True, kw_only=True)
class Suspicious:
    """Images whose label is probably wrong, the least likely label first.

    Attributes:
        rows: Their places among the images that were judged, shape (s,).
        likely: The class that is likeliest instead, shape (s,).
    """

    rows: NDArray[np.int64]
    likely: NDArray[np.int64]


def fitted_temperature(scores: NDArray[np.floating[Any]], labels: Labels) -> float:
    """Returns the factor t by which softmax(t * scores) has the least log loss.

    Scores of a ridge regression on one-hot targets are no probabilities: they sum to 1, may be
    below 0, and hardly reach 1. One number mends their scale, as temperature scaling does (Guo et
    al. 2017, arXiv:1706.04599, section 4.2, where it is 1 / T), and leaves their order as it is.

    Args:
        scores: Shape (n, classes), out of sample, so that the loss is not that of a fit.
        labels: Class ids, shape (n,).

    Returns:
        In [0.01, 10000]; the log loss is convex in it.
    """
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    step = -(-scores.size // MOST_SCORES)
    some, wanted = scores[::step], labels[::step]

    def loss(log_factor: float) -> float:
        of_label = softmax(np.exp(log_factor) * some)[np.arange(len(some)), wanted]
        return float(-np.log(np.maximum(of_label, SMALLEST_PROBABILITY)).mean())

    bounds = np.log([_FLATTEST, _SHARPEST])
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def softmax(scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Returns probabilities in [0, 1] that sum to 1 in each row.

    >>> softmax(np.array([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """
    powers = np.exp(np.asarray(scores, np.float64) - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def self_confidence(probabilities: Probabilities, labels: Labels) -> NDArray[np.float64]:
    """Returns the probability of each image's own label, shape (n,), in [0, 1]."""
    return np.asarray(probabilities[np.arange(len(labels)), labels], np.float64)


def confident_joint(probabilities: Probabilities, labels: Labels) -> NDArray[np.int64]:
    """Counts images by given and by confidently found class (equation 1 of the paper).

    An image is confidently of class j if p_j is at least the mean p_j of the images that are
    labelled j; of several such classes it is of the likeliest. So a class of which a head is never
    sure asks for less. Images that are confidently of no class are not counted.

    Args:
        probabilities: Shape (n, classes), out of sample.
        labels: Class ids, shape (n,).

    Returns:
        Shape (classes, classes), rows are labels.
    """
    num_classes = probabilities.shape[1]
    sums, counts = np.zeros(num_classes), np.bincount(labels, minlength=num_classes)
    np.add.at(sums, labels, self_confidence(probabilities, labels))
    # Of a class without images nothing can be confidently.
    least = np.where(counts, sums / np.maximum(counts, 1), np.inf)
    above = np.where(probabilities >= least, probabilities, -1.0)
    is_counted = above.max(axis=1) >= 0
    joint = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(joint, (labels[is_counted], above.argmax(axis=1)[is_counted]), 1)
    return joint


def find_suspicious(probabilities: Probabilities, labels: Labels) -> Suspicious:
    """Lists as many images as the confident joint has off its diagonal, the least sure first.

    How many are wrong is thus estimated, not chosen: an image counts that is confidently of another
    class. Which they are, self-confidence says (the paper's ranking in "prune by class", here over
    all classes together, since of 2% of labels flipped in Fashion-MNIST it then finds more:
    `benchmarks/label_errors.py`). An image whose label is the likeliest class is never listed.

    Args:
        probabilities: Shape (n, classes), out of sample.
        labels: Class ids, shape (n,).

    >>> sure = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.05, 0.95]])
    >>> find_suspicious(sure, np.array([0, 0, 1, 1, 0])).rows.tolist()
    [4]
    """
    joint = confident_joint(probabilities, labels)
    number = int(joint.sum() - np.trace(joint))
    likeliest = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(likeliest != labels)
    order = np.argsort(self_confidence(probabilities, labels)[wrong], kind="stable")
    rows = wrong[order][:number].astype(np.int64)
    return Suspicious(rows=rows, likely=likeliest[rows].astype(np.int64))
