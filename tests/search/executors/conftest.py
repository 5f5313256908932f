"""Fixtures for the tests of executors."""

import os
import secrets

# Before anything imports Ray: clusters of these tests have a token of their own.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import numpy as np
import pytest

from pipeline.training.data import DataReference
from testing.features import embedded, write_cuts

NUM_IMAGES = 40


@pytest.fixture(scope="session")
def cut(tmp_path_factory):
    """Features of one cut, `block4`, in files as `embed` and `split` leave them."""
    folder = tmp_path_factory.mktemp("features")
    features = np.arange(NUM_IMAGES * 100 * 100) % 7
    shape = (NUM_IMAGES, 100, 100)
    np.save(folder / "block4.npy", features.astype(np.float16).reshape(shape))
    write_cuts(folder, {"block4": embedded(file="block4.npy", shape=shape[1:])}, num_classes=4)
    train_rows, val_rows = np.split(np.arange(NUM_IMAGES), [30])
    labels = np.arange(NUM_IMAGES) % 4
    np.savez(
        folder / "train.npz", labels=labels, train=train_rows, val=val_rows, confirmation=val_rows
    )
    return DataReference(features=str(folder), train_file=str(folder / "train.npz"))
