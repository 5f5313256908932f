"""The sample is of the training part alone, and every beginning of it is stratified."""

import numpy as np
import pytest

from pipeline.planning.sample import read_sample

COUNTS = (60, 30, 10)


@pytest.fixture
def train_file(tmp_path):
    """100 training images of three classes among 50 others; an image's pixels are its number."""
    random = np.random.default_rng(0)
    labels = random.permutation(np.repeat([0, 1, 2], COUNTS))
    labels = np.concatenate([labels, np.zeros(50, int)])
    order = random.permutation(150)
    images = np.tile(np.arange(150, dtype=np.uint8)[:, None, None], (1, 2, 2))
    train = np.sort(np.flatnonzero(order < 100))
    all_labels = np.full(150, 2)
    all_labels[train] = labels[:100]
    file = tmp_path / "train.npz"
    np.savez(file, images=images, labels=all_labels, train=train, val=np.flatnonzero(order >= 100))
    return file


def test_no_image_of_another_part_is_in_it(train_file):
    sample = read_sample(train_file, size=1000, seed=0)
    with np.load(train_file) as archive:
        np.testing.assert_array_equal(np.sort(sample.images[:, 0, 0]), archive["train"])
        np.testing.assert_array_equal(
            sample.labels, archive["labels"][sample.images[:, 0, 0].astype(int)]
        )
    assert (sample.num_train, sample.num_images) == (100, 150)


@pytest.mark.parametrize("size", [10, 20, 50])
def test_every_beginning_holds_each_class_in_its_share(train_file, size):
    sample = read_sample(train_file, size=100, seed=0)
    counts = np.bincount(sample.labels[:size], minlength=3)
    assert np.abs(counts - size * np.array(COUNTS) / 100).max() <= 1


def test_the_seed_decides(train_file):
    first, same, other = (read_sample(train_file, size=30, seed=seed).images for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)
