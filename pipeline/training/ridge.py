"""Closed-form ridge heads: how well features tell classes apart, without training a network.

Each image is judged by the head that was fitted to all others. That head need not be fitted: with
the hat matrix H of a fit to all n images, the residual that image i has when it is left out is its
residual divided by 1 - H_ii (Allen 1974, "The relationship between variable selection and data
augmentation and a method for prediction", the PRESS statistic; Hastie, Tibshirani and Friedman,
"The Elements of Statistical Learning", 2009, equation 7.64). So some thousand images both fit and
judge.

All is computed from kernels, the n x n inner products of the images' features. What it costs is
then the same for 40 features and for 4,000, and the kernel of several features side by side is the
sum of theirs.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.linear_algebra import one_blas_thread
from pipeline.training.head import SMALLEST_VARIANCE

SMALLEST_SHARE: Final = 1e-6
"""Of 1 - H_ii: an image that alone determines a weight leaves nothing to judge it by."""
PENALTIES: Final = (1e-3, 1e-2, 1e-1)
"""Of the squared weights, as shares of a hundredth of the centred kernel's trace."""


def kernel(features: NDArray[np.float16] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the inner products of images' features, each channel standardized before.

    As a head's own scaling does, it takes mean and variance of a channel over images and positions,
    and amplifies no channel more than 100 times the typical one.

    Args:
        features: Shape (n, channels) or (n, height, width, channels).

    Returns:
        Shape (n, n).
    """
    values = features.reshape(len(features), -1, features.shape[-1]).astype(np.float32)
    values -= values.mean(axis=(0, 1))
    variance = np.square(values).mean(axis=(0, 1))
    values /= np.sqrt(np.maximum(variance, SMALLEST_VARIANCE * variance.mean() or 1.0))
    flat = values.reshape(len(values), -1)
    return flat @ flat.T


def left_out(
    kernels: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    penalties: Sequence[float] = PENALTIES,
) -> NDArray[np.bool_]:
    """Returns whether the ridge head of all other images gives each image its class, shape (n,).

    The targets are 1 for an image's class and 0 for the others; the intercept is not penalized.
    Of several penalties the one with the fewest errors is taken, the largest of ties.

    Args:
        kernels: From `kernel`, or a sum of such, shape (n, n).
        labels: Class ids of the n images, n >= 2.
        penalties: Tried, at least one, each > 0.
    """
    targets = _one_hot(labels)
    centred = _centred(kernels)
    with one_blas_thread():
        found = [
            _left_out_scores(centred, targets, penalty * _unit(centred)).argmax(axis=1)
            for penalty in sorted(penalties, reverse=True)
        ]
    wanted = targets.argmax(axis=1)
    return max((classes == wanted for classes in found), key=np.count_nonzero)


def held_out(
    kernels: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    fit: NDArray[np.int64],
    judged: NDArray[np.int64],
    penalties: Sequence[float] = PENALTIES,
) -> NDArray[np.bool_]:
    """Returns whether a ridge head of some images gives each of some others its class.

    Args:
        kernels: From `kernel`, or a sum of such, shape (n, n).
        labels: Class ids of the n images.
        fit: Those that the head is fitted to, at least 2.
        judged: Those that it is judged by.
        penalties: Factors of the squared weights that are tried, at least one, each > 0; that with
            the fewest errors is taken, the largest of ties.
    """
    from scipy.linalg import cho_factor, cho_solve  # type: ignore[import-untyped]

    targets = _one_hot(labels)
    own, across = kernels[np.ix_(fit, fit)], kernels[np.ix_(judged, fit)]
    centred, mean = _centred(own), targets[fit].mean(axis=0)
    across = across - own.mean(axis=0)
    found = []
    for penalty in sorted(penalties, reverse=True):
        with one_blas_thread():
            factor = cho_factor(_regular(centred, penalty * _unit(centred)), lower=True)
            weights = cho_solve(factor, targets[fit] - mean)
        # The weights sum to nothing, as the targets do: what is constant in a row takes no part.
        found.append((across @ weights + mean).argmax(axis=1))
    wanted = targets[judged].argmax(axis=1)
    return max((classes == wanted for classes in found), key=np.count_nonzero)


def _left_out_scores(
    centred: NDArray[np.float32], targets: NDArray[np.float32], penalty: float
) -> NDArray[np.float32]:
    # LAPACK's own: an eigendecomposition, which would do for all penalties at once, takes 20 times
    # as long for 3,000 images, and NumPy's factor four times.
    from scipy.linalg.lapack import spotrf, strtri  # type: ignore[import-untyped]

    factor, _ = spotrf(_regular(centred, penalty).T, lower=1, clean=1, overwrite_a=1)
    root, _ = strtri(factor, lower=1, overwrite_c=1)
    # (K + p)^-1 is root' root; H = 1/n + K (K + p)^-1 = 1/n + 1 - p (K + p)^-1.
    left = penalty * np.square(root).sum(axis=0) - 1 / len(targets)
    residuals = penalty * (root.T @ (root @ (targets - targets.mean(axis=0))))
    scores: NDArray[np.float32] = targets - residuals / np.maximum(left, SMALLEST_SHARE)[:, None]
    return scores


def _one_hot(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    classes, places = np.unique(labels, return_inverse=True)
    return np.eye(len(classes), dtype=np.float32)[places]


def _centred(kernels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the inner products of features less their mean."""
    rows = kernels.mean(axis=0)
    centred: NDArray[np.float32] = kernels - rows - rows[:, None] + rows.mean()
    return centred


def _unit(centred: NDArray[np.float32]) -> float:
    return float(np.trace(centred)) / 100 or 1.0


def _regular(centred: NDArray[np.float32], penalty: float) -> NDArray[np.float32]:
    regular = centred.copy()
    regular.flat[:: len(centred) + 1] += penalty
    return regular
