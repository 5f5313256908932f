"""The verdict on a training: crafted networks have the illness that they were made to have."""

import dataclasses

import numpy as np
import pytest

from pipeline.training.batches import TrainingData
from pipeline.training.phases import whole
from pipeline.trials.epochs import stored
from pipeline.trials.health import verdict
from testing.records import made_trial

NUM_CLASSES = 10
NUM_VAL = 1000


@pytest.fixture(scope="module")
def data():
    """4,000 training rows of 64 features: ten classes that a sound network tells apart."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, NUM_CLASSES, 4000 + NUM_VAL)
    centres = 0.6 * rng.normal(size=(NUM_CLASSES, 64))
    features = (centres[labels] + rng.normal(size=(len(labels), 64))).astype(np.float32)
    rows = np.arange(len(labels))
    return TrainingData(
        features=features,
        labels=labels,
        train=rows[NUM_VAL:],
        val=rows[:NUM_VAL],
        num_classes=NUM_CLASSES,
    )


@pytest.fixture
def judged(hyperparameters, data):
    """Trains a network of the defaults with some changes, and returns the verdict on its record."""
    from pipeline.training.fit import train
    from pipeline.training.head import build_head

    def judge(*, epochs=8, num_layers=None, num_images=None, **changes):
        # More layers and rates than a space may have.
        values = hyperparameters(cut="pixels", images_per_epoch=1, **changes)
        values |= {} if num_layers is None else {"num_layers": num_layers}
        rows = (
            data if num_images is None else dataclasses.replace(data, train=data.train[:num_images])
        )
        model = build_head((64,), NUM_CLASSES, values, mean=[0.0] * 64, variance=[1.0] * 64, seed=1)
        records = []
        result = train(
            model,
            rows,
            values,
            phase=whole(epochs),
            seed=1,
            objective="val_accuracy",
            report=lambda record: records.append(record),
        )
        return verdict(
            made_trial(
                outcome=result.outcome,
                epochs=[stored(record, at_ms=0) for record in records],
                metrics={k: v for k, v in result.notes.items() if k == "diverged_step"},
            )
        )

    return judge


@pytest.mark.keras
class TestCrafted:
    def test_the_default_is_healthy(self, judged):
        found = judged()
        print(found)
        assert (found.health, found.fit, found.remedies) == ("healthy", "good", ())

    def test_ten_sigmoid_layers_vanish(self, judged):
        found = judged(num_layers=10, activation="sigmoid", initializer="glorot")
        print(found)
        assert (found.health, found.fit) == ("vanishing", "underfitting")

    @pytest.mark.parametrize("optimizer", ["sgd", "adam"])
    def test_a_rate_of_a_thousand_explodes(self, judged, optimizer):
        found = judged(optimizer=optimizer, learning_rate=1e3, activation="elu", epochs=3)
        print(found)
        assert found.health in ("exploding", "diverged")

    def test_relu_with_a_huge_rate_dies(self, judged):
        found = judged(optimizer="sgd", learning_rate=30.0, num_layers=2, epochs=3)
        print(found)
        assert found.health == "dead units"

    @pytest.mark.parametrize("clipping", ["clipnorm", "global_clipnorm", "clipvalue"])
    @pytest.mark.parametrize("optimizer", ["sgd", "adam"])
    def test_a_tiny_threshold_over_clips(self, judged, optimizer, clipping):
        found = judged(optimizer=optimizer, clipping=clipping, clipping_threshold=1e-6, epochs=3)
        print(found)
        if optimizer == "sgd" or clipping != "clipvalue":
            assert found.health == "over-clipped"

    def test_a_small_network_on_much_data_underfits(self, judged):
        found = judged(units=1, epochs=12)
        print(found)
        assert (found.health, found.fit) == ("healthy", "underfitting")

    def test_a_wide_network_on_few_images_overfits(self, judged):
        found = judged(units=1024, num_images=500, dropout="none", epochs=12)
        print(found)
        assert (found.health, found.fit) == ("healthy", "overfitting")
