"""Images drawn with replacement: how many are in a bag, and that views come with their image."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.training.batches import TrainingData
from pipeline.training.bootstrap import bootstrap

NUM_TRAIN = 5000


def data(**changes):
    whole = TrainingData(
        features=np.zeros((NUM_TRAIN + 10, 2), np.float32),
        labels=np.zeros(NUM_TRAIN + 10, np.int64),
        train=np.arange(NUM_TRAIN),
        val=np.arange(NUM_TRAIN, NUM_TRAIN + 10),
        num_classes=2,
    )
    return replace(whole, **changes)


def test_a_bag_is_as_large_and_holds_63_percent_of_the_images():
    rows = bootstrap(data(), seed=0).train
    counts = np.bincount(rows, minlength=NUM_TRAIN)
    assert len(rows) == counts.sum() == NUM_TRAIN
    assert rows.max() < NUM_TRAIN
    # 1 - 1/e, and as often k times as a Poisson variable of mean 1 is k.
    assert (counts > 0).mean() == pytest.approx(1 - np.exp(-1), abs=0.02)
    assert (counts == 2).mean() == pytest.approx(np.exp(-1) / 2, abs=0.02)


def test_a_seed_is_a_bag():
    one, again, other = (bootstrap(data(), seed=seed).train for seed in (1, 1, 2))
    assert (one == again).all()
    assert not np.array_equal(one, other)


def test_an_image_comes_with_its_views_as_often_as_it_is_drawn():
    views = np.arange(NUM_TRAIN, 2 * NUM_TRAIN)
    whole = data(
        features=np.zeros((2 * NUM_TRAIN, 2), np.float32),
        labels=np.zeros(2 * NUM_TRAIN, np.int64),
        train=np.concatenate([np.arange(NUM_TRAIN), views]),
        num_images=NUM_TRAIN,
        row_images=np.concatenate([np.arange(NUM_TRAIN)] * 2),
    )
    counts = np.bincount(bootstrap(whole, seed=0).train, minlength=2 * NUM_TRAIN)
    assert counts[:NUM_TRAIN].tolist() == counts[NUM_TRAIN:].tolist()
    assert counts[:NUM_TRAIN].sum() == NUM_TRAIN
