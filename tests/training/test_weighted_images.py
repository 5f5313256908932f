"""Images with weights of their own: where they go, and that training images are judged last."""

import numpy as np

from pipeline.training.batches import TrainingData
from pipeline.training.data import CutData
from pipeline.training.weighted_images import WeightedImages

TRAIN, JUDGING = [5, 1, 3], [7, 8]


class Whole:
    """Trial data in memory; row 9 is a view of image 5."""

    def load_cut(self, cut, *, judge):
        training = TrainingData(
            features=np.zeros((10, 2), np.float32),
            labels=np.zeros(10, np.int64),
            train=np.array([*TRAIN, 9]),
            val=np.array([0]),
            num_classes=2,
            num_images=9,
            row_images=np.array([*range(9), 5]),
        )
        judged = None if judge is None else np.array(JUDGING)
        return CutData(training=training, shape=(2,), mean=[0], variance=[1], judge=judged, feed=())


def loaded(judge="confirmation"):
    data = WeightedImages(whole=Whole(), weights=[0.5, 0.2, 0.3])
    return data.load_cut("pixels", judge=judge)


def test_each_training_image_has_its_weight_in_the_order_of_the_part():
    training = loaded().training
    assert training.train.tolist() == TRAIN
    np.testing.assert_allclose(training.weights[TRAIN], [1.5, 0.6, 0.9], rtol=1e-6)
    assert training.weights[[0, 2, 4, 6, 7, 8, 9]].tolist() == [0] * 7


def test_the_training_images_are_judged_after_the_part():
    assert loaded().judge.tolist() == [*JUDGING, *TRAIN]
    assert loaded(judge=None).judge is None
