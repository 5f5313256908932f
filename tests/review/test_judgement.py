"""From labels and vectors to suspicions, where near-duplicates are many."""

import logging

import numpy as np

from pipeline.review.duplicates import Duplicates
from pipeline.review.judgement import Images, judge


def judged(*, num_copies):
    """Judges 60 images of three clear classes, the first of which are copies of one another."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    vectors = (np.eye(3)[labels] + 0.1 * rng.normal(size=(60, 3))).astype(np.float16)
    pairs = np.stack([np.zeros(num_copies - 1, int), np.arange(1, num_copies)], axis=1)
    duplicates = Duplicates(
        pairs=pairs,
        similarity=np.ones(len(pairs), np.float32),
        is_mirrored=np.zeros(len(pairs), bool),
    )
    images = Images(
        labels=labels,
        parts=np.full(60, "train"),
        indices=np.arange(60),
        files=(),
        class_names=("a", "b", "c"),
    )
    return judge(images, vectors, duplicates, seed=0)


def test_a_group_that_is_most_of_the_data_is_divided_like_other_images(caplog):
    caplog.set_level(logging.INFO)
    found = judged(num_copies=45)
    assert (found.probabilities.argmax(axis=1) == found.images.labels).mean() > 0.9
    assert "groups too large for folds" in caplog.text


def test_a_small_group_stays_together(caplog):
    caplog.set_level(logging.INFO)
    assert len(judged(num_copies=4).probabilities) == 60
    assert caplog.text == ""
