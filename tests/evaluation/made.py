"""Classifiers whose truth is known."""

import numpy as np


def calibrated(n, *, seed, num_classes=5):
    """A classifier whose labels are drawn from the very probabilities it states."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.full(num_classes, 0.5), n)
    draws = generator.random((n, 1)) > probabilities.cumsum(axis=1)
    return probabilities, draws.sum(axis=1).clip(max=num_classes - 1)
