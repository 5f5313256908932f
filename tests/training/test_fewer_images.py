"""Trial data with fewer images, judged by some of these, too."""

from dataclasses import dataclass

import numpy as np
import pytest

from pipeline.training.batches import TrainingData
from pipeline.training.data import CutData
from pipeline.training.fewer_images import FewerImages

NUM_IMAGES, NUM_VIEWS = 200, 100


@dataclass(frozen=True)
class Whole:
    """The data of 200 images, 100 of which train; each of these has a view."""

    base_key: str = "made"

    def load_cut(self, cut, *, judge):
        rows = np.arange(NUM_IMAGES + NUM_VIEWS)
        images = np.concatenate([np.arange(NUM_IMAGES), np.arange(NUM_VIEWS)])
        training = TrainingData(
            features=np.zeros((len(rows), 1), np.float16),
            labels=images % 2,
            train=np.concatenate([np.arange(100), NUM_IMAGES + np.arange(NUM_VIEWS)]),
            val=np.arange(100, 150),
            num_classes=2,
            num_images=NUM_IMAGES,
            row_images=images,
            centre=np.zeros(1, np.float32),
        )
        return CutData(
            training=training, shape=(1,), mean=[0.0], variance=[1.0], feed=(),
            judge=None if judge is None else np.arange(150, 200),
        )  # fmt: skip

    def phase_2_starts(self, hyperparameters):
        return ["lower"]


def load(num_images, *, seed=0, num_probes=10, judge="confirmation"):
    data = FewerImages(whole=Whole(), num_images=num_images, seed=seed, num_probes=num_probes)
    return data.load_cut("pixels", judge=judge)


def images_of(found):
    train = found.training.train
    return set(train[train < NUM_IMAGES].tolist())


def test_so_many_images_train_each_with_its_view():
    found = load(20)
    assert len(images_of(found)) == found.training.num_train_images == 20
    assert {row - NUM_IMAGES for row in found.training.train if row >= NUM_IMAGES} == images_of(
        found
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_fewer_images_are_among_more(seed):
    assert images_of(load(20, seed=seed)) < images_of(load(50, seed=seed))


def test_another_seed_gives_other_images():
    assert images_of(load(50, seed=0)) != images_of(load(50, seed=1))


def test_what_judges_is_followed_by_images_that_train():
    found = load(20)
    assert found.judge[:50].tolist() == list(range(150, 200))
    assert len(found.judge) == 60
    assert set(found.judge[50:].tolist()) < images_of(found)


def test_no_more_images_are_probed_than_train():
    assert len(load(20, num_probes=1000).judge) == 50 + 20


def test_what_is_not_judged_is_not_probed():
    assert load(20, judge=None).judge is None


def test_validation_stays_as_it_is():
    assert load(20).training.val.tolist() == list(range(100, 150))


def test_the_base_is_that_of_the_whole():
    data = FewerImages(whole=Whole(), num_images=20, seed=0, num_probes=1)
    assert data.base_key == "made"
    assert data.phase_2_starts({"unfreeze": 1}) == ["lower"]
