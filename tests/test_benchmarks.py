"""Benchmarks are run by hand, and rarely: what they share with the pipeline must still fit it."""

import numpy as np
import pytest

pytestmark = pytest.mark.keras


def test_the_loop_whose_speed_is_measured_trains(monkeypatch):
    from benchmarks.training_speed import HOW, HYPERPARAMETERS, Case
    from pipeline.training import adam

    # One of them puts Keras' own in its place.
    monkeypatch.setattr(adam, "Adam", adam.Adam)
    monkeypatch.setitem(HYPERPARAMETERS, "images_per_epoch", 64)
    case = Case(name="few", shape=(4,), dtype="float16", units=(3,), batch_size=8)
    features = np.random.default_rng(0).random((64, 4)).astype(case.dtype)
    labels = np.arange(64) % 10
    for name in ("pipeline.training.fit", "the same with Keras' Adam"):
        assert HOW[name](case, features, labels)(0) is not None, name
