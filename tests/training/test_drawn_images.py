"""Images drawn with replacement: how many are in a bag, and that what judges is not among them."""

import numpy as np
import pytest

from pipeline.training.batches import TrainingData
from pipeline.training.data import CutData
from pipeline.training.drawn_images import DrawnImages

NUM_TRAIN, NUM_JUDGING = 5000, 100


class Whole:
    """Trial data in memory."""

    def load_cut(self, cut, *, judge):
        count = NUM_TRAIN + NUM_JUDGING
        training = TrainingData(
            features=np.zeros((count, 2), np.float32),
            labels=np.zeros(count, np.int64),
            train=np.arange(NUM_TRAIN),
            val=np.arange(10),
            num_classes=2,
        )
        judged = None if judge is None else np.arange(NUM_TRAIN, count)
        return CutData(training=training, shape=(2,), mean=[0], variance=[1], judge=judged, feed=())


def drawn(seed=0, judge="confirmation", **told):
    return DrawnImages(whole=Whole(), seed=seed, **told).load_cut("pixels", judge=judge)


def test_a_bag_is_as_large_and_holds_63_percent_of_the_images():
    rows = drawn().training.train
    counts = np.bincount(rows, minlength=NUM_TRAIN)
    assert len(rows) == counts.sum() == NUM_TRAIN
    # 1 - 1/e, and as often k times as a Poisson variable of mean 1 is k.
    assert (counts > 0).mean() == pytest.approx(1 - np.exp(-1), abs=0.02)
    assert (counts == 2).mean() == pytest.approx(np.exp(-1) / 2, abs=0.02)
    assert rows.max() < NUM_TRAIN


def test_a_seed_is_a_bag():
    assert (drawn(1).training.train == drawn(1).training.train).all()
    assert (drawn(1).training.train != drawn(2).training.train).any()


def test_an_image_is_drawn_as_often_as_it_weighs():
    weights = np.full(NUM_TRAIN, 0.5 / (NUM_TRAIN - 1))
    weights[7] = 0.5
    rows = drawn(weights=weights.tolist()).training.train
    assert (rows == 7).mean() == pytest.approx(0.5, abs=0.03)


def test_all_training_images_can_be_judged_after_the_part():
    judged = drawn(judges_all=True).judge
    assert judged[:NUM_JUDGING].tolist() == list(range(NUM_TRAIN, NUM_TRAIN + NUM_JUDGING))
    assert judged[NUM_JUDGING:].tolist() == list(range(NUM_TRAIN))
    assert len(drawn().judge) == NUM_JUDGING
    assert drawn(judge=None, judges_all=True).judge is None
