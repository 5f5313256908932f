"""Ridge heads that judge no image that they were fitted to: k folds, each by the head of the rest.

All is done with sums over a fold: of features, of their products, and of their products with the
targets. The head of k - 1 folds is fitted to the sums of all less those of one, so that every image
is gone through twice, however many folds and penalties there are.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.linear_algebra import one_blas_thread

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

NUM_FOLDS: Final = 5
PENALTIES: Final = (1e-3, 1e-2, 1e-1, 1.0)
"""Of the squared weights, as shares of a hundredth of the trace of the features' scatter."""
_BLOCK = 4096


def stratified_folds(
    labels: Indices, groups: Indices, *, num_folds: int = NUM_FOLDS, seed: int
) -> Indices:
    """Returns the fold of each image, 0 to `num_folds` - 1, shape (n,).

    Every class is spread evenly, within one group. Images of a group, copies of one another, are in
    the same fold: a copy with the same wrong label would vouch for it.

    Args:
        labels: Class ids, shape (n,).
        groups: A number for each image, equal for those that belong together, shape (n,).
        num_folds: At least 2.
        seed: Of the order of a class's groups, >= 0.
    """
    _, firsts, of_image = np.unique(groups, return_index=True, return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(firsts))
    # Counted on over the classes, so that those of few images do not all begin with fold 0.
    order = shuffled[np.argsort(labels[firsts][shuffled], kind="stable")]
    folds = np.empty(len(firsts), np.int64)
    folds[order] = np.arange(len(firsts)) % num_folds
    return folds[of_image]


def _heads(
    products: Floats, across: Floats, penalties: Sequence[float]
) -> list[tuple[Floats, Floats]]:
    """Returns weights, shape (d, classes), and intercepts, (classes,), for each penalty.

    The intercept is not penalized: features and targets are taken less their means.

    Args:
        products: From `_sums`.
        across: Likewise.
        penalties: As for `out_of_fold_scores`.
    """
    from scipy.linalg import cho_factor, cho_solve  # type: ignore[import-untyped]

    count = products[-1, -1]
    mean, shares = products[-1, :-1] / count, across[-1] / count
    scatter = products[:-1, :-1] - count * np.outer(mean, mean)
    centred = across[:-1] - count * np.outer(mean, shares)
    unit = float(np.trace(scatter)) / 100 or 1.0
    found = []
    for penalty in penalties:
        regular = scatter.copy()
        regular.flat[:: len(regular) + 1] += penalty * unit
        with one_blas_thread():
            weights = cho_solve(cho_factor(regular, lower=True, overwrite_a=True), centred)
        found.append((weights, np.asarray(shares - mean @ weights, np.float32)))
    return found


def out_of_fold_scores(
    features: NDArray[np.floating[Any]],
    labels: Indices,
    folds: Indices,
    *,
    num_classes: int,
    penalties: Sequence[float] = PENALTIES,
) -> Floats:
    """Returns for each image the scores of the ridge head of all other folds.

    The targets are 1 for an image's class and 0 for the others. Of several penalties the one with
    the fewest errors is taken, the largest of ties.

    Args:
        features: Shape (n, d), of values about 1; float16 does.
        labels: Class ids, shape (n,).
        folds: From `stratified_folds`; there must be two at least.
        num_classes: Of the data set.
        penalties: Tried, at least one, each > 0.

    Returns:
        Shape (n, num_classes), float32; no probabilities.
    """
    own = [
        _sums(features, labels, np.flatnonzero(folds == fold), num_classes)
        for fold in range(int(folds.max()) + 1)
    ]
    all_products, all_across = (sum(each) for each in zip(*own, strict=True))
    scores = np.empty((len(penalties), len(labels), num_classes), np.float32)
    for fold, (products, across) in enumerate(own):
        heads = _heads(all_products - products, all_across - across, penalties)
        for rows in _blocks(np.flatnonzero(folds == fold)):
            values = features[rows].astype(np.float32)
            for place, (weights, intercept) in enumerate(heads):
                scores[place, rows] = values @ weights + intercept
    num_right = [np.count_nonzero(one.argmax(axis=1) == labels) for one in scores]
    best = max(range(len(penalties)), key=lambda place: (num_right[place], penalties[place]))
    return np.asarray(scores[best], np.float32)


def _sums(
    features: NDArray[np.floating[Any]], labels: Indices, rows: Indices, num_classes: int
) -> tuple[Floats, Floats]:
    """Returns sums over some images, whose features have a 1 behind them.

    Returns:
        products: Of each two features, shape (d + 1, d + 1): the last row holds the sums of the
            features, and in the end the number of images.
        across: Of features and targets, shape (d + 1, classes): the last row holds the images of
            each class.
    """
    size = features.shape[1] + 1
    products, across = np.zeros((size, size), np.float32), np.zeros((size, num_classes), np.float32)
    eye = np.eye(num_classes, dtype=np.float32)
    for some in _blocks(rows):
        values = np.ones((len(some), size), np.float32)
        values[:, :-1] = features[some]
        products += values.T @ values
        across += values.T @ eye[labels[some]]
    return products, across


def _blocks(rows: Indices) -> list[Indices]:
    return [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
