"""Parts of a whole training: fewer epochs, fewer images, the same shape of a schedule."""

import numpy as np
import pytest

from pipeline.training.batches import TrainingData
from pipeline.training.messages import TrialSpec
from pipeline.training.portions import Portion, num_images, portion_of, shrunk, subset

VALUES = {"images_per_epoch": 8192, "decay_epochs": 5.0, "plateau_patience": 2, "units": 64}


def spec(share, epochs=10):
    return TrialSpec(uid="a", hyperparameters=VALUES, seed=1, epochs=epochs, share=share)


@pytest.mark.parametrize("share", [1 / 27, 1 / 9, 1 / 3, 1.0])
@pytest.mark.parametrize("epochs", [3, 10, 40])
def test_a_portion_takes_its_share_of_the_steps(share, epochs):
    portion = Portion(share=share, whole_epochs=epochs)
    assert portion.epochs * portion.images == pytest.approx(share * epochs, rel=1e-9)
    assert min(3, epochs) <= portion.epochs <= epochs


def test_a_whole_training_is_left_as_it_is():
    assert shrunk(spec(1.0)) == spec(1.0)


def test_what_is_counted_in_epochs_shrinks_with_them():
    part = shrunk(spec(1 / 9))
    assert part.epochs == 3
    assert part.hyperparameters["decay_epochs"] == pytest.approx(1.5)
    assert part.hyperparameters["plateau_patience"] == 1
    assert part.hyperparameters["units"] == 64


def images(share, num_train, *, num_classes=10, images_per_epoch=8192):
    return num_images(
        portion_of(spec(share)),
        num_train=num_train,
        images_per_epoch=images_per_epoch,
        num_classes=num_classes,
    )


def test_a_large_training_part_gives_fewer_images():
    assert images(1 / 9, 54_000) == 20_000
    assert images(1 / 27, 54_000) == 6_667


def test_a_small_one_keeps_all_and_is_gone_over_less_often():
    assert images(1 / 9, 1000) == 1000
    assert shrunk(spec(1 / 9)).hyperparameters["images_per_epoch"] == 3034


def test_enough_of_each_class_is_kept():
    assert images(1 / 81, 20_000) == 1000
    assert images(1 / 81, 20_000, num_classes=200) == 4000


def data(labels, *, num_images=None, row_images=None):
    rows = len(labels)
    return TrainingData(
        features=np.zeros((rows, 1)),
        labels=np.asarray(labels),
        train=np.arange(2, rows),
        val=np.arange(2),
        num_classes=3,
        num_images=num_images,
        row_images=row_images,
    )


def test_a_subset_has_each_class_in_proportion():
    labels = np.repeat([0, 1, 2], [602, 300, 100])
    chosen = subset(data(labels), 100)
    assert np.bincount(labels[chosen.train]).tolist() == [60, 30, 10]
    assert (chosen.val == [0, 1]).all()


def test_the_smaller_subset_is_within_the_larger():
    whole = data(np.arange(1002) % 3)
    assert set(subset(whole, 50).train) < set(subset(whole, 200).train)


def test_all_of_them_are_the_data_themselves():
    whole = data(np.arange(12) % 3)
    assert subset(whole, 10) is whole


def test_views_stay_with_their_images():
    row_images = np.concatenate([np.arange(12), np.arange(2, 12)])
    whole = data(np.arange(12)[row_images] % 3, num_images=12, row_images=row_images)
    chosen = subset(whole, 4).train
    kept = chosen[chosen < 12]
    assert len(kept) == 4
    assert sorted(row_images[chosen[chosen >= 12]]) == sorted(kept)
