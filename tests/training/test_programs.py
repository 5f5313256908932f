"""A training with compiled steps of an earlier one is the training that it would have been."""

import numpy as np
import pytest

from pipeline.training.phases import whole
from tests.training.test_fit import Recorder

pytestmark = pytest.mark.keras


@pytest.fixture(autouse=True)
def kept():
    """What is kept, empty before and after."""
    from pipeline.training import programs

    programs._kept.clear()
    yield programs._kept
    programs._kept.clear()


@pytest.fixture
def traced(monkeypatch):
    """Counts how often the gradient steps are traced."""
    from pipeline.training.steps import Steps

    calls, train_batch = [], Steps._train_batch

    def counted(self, *arguments):
        calls.append(self)
        return train_batch(self, *arguments)

    monkeypatch.setattr(Steps, "_train_batch", counted)
    return calls


@pytest.fixture
def train(hyperparameters, blobs):
    """Trains a head of 4 features; returns it and what was compiled for it."""
    from pipeline.training import fit
    from pipeline.training.head import build_head

    def train_head(*, seed, epochs=2, **changes):
        values = hyperparameters(**{"units": 8, "dropout": "all", "batch_size": 16, **changes})
        model = build_head((4,), 3, values, mean=[0.0] * 4, variance=[1.0] * 4, seed=seed)
        result = fit.train(
            model,
            blobs,
            values,
            phase=whole(epochs),
            seed=seed,
            objective="val_accuracy",
            report=Recorder(),
        )
        return model.get_weights(), result.steps

    return train_head


CHANGES = {"seed": 2, "epochs": 3, "learning_rate": 0.02, "batch_size": 32}


@pytest.mark.parametrize("optimizer", ["adam", "adagrad", "nadam"])
def test_a_second_training_of_the_structure_is_not_traced_and_the_same(train, traced, optimizer):
    from pipeline.training import programs

    expected, _ = train(**CHANGES, optimizer=optimizer)
    programs.keep(train(seed=1, optimizer=optimizer)[1])
    traced.clear()
    found, _ = train(**CHANGES, optimizer=optimizer)
    assert not traced
    for weights, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(weights, wanted)


@pytest.mark.parametrize(
    "changes",
    [{"units": 9}, {"dropout_rate": 0.3}, {"optimizer": "nadam"}, {"schedule": "performance"}],
)
def test_another_structure_is_traced(train, traced, changes):
    from pipeline.training import programs

    programs.keep(train(seed=1)[1])
    traced.clear()
    train(seed=1, **changes)
    assert traced


def test_the_one_kept_longest_goes_first(train, kept, monkeypatch):
    from pipeline.training import programs

    monkeypatch.setattr(programs, "MAX_PROGRAMS", 2)
    steps = [train(seed=1, units=units)[1] for units in (4, 5, 6)]
    for one in steps:
        programs.keep(one)
    assert list(kept.values()) == steps[1:]


def test_what_takes_too_much_memory_is_not_kept(train, kept, monkeypatch):
    from pipeline.training import programs

    monkeypatch.setattr(programs, "MAX_BYTES", 100)
    programs.keep(train(seed=1)[1])
    assert not kept
