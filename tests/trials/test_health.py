"""The verdict on a training: crafted networks have the illness that they were made to have."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.training.batches import TrainingData
from pipeline.training.messages import EpochHealth, EpochRecord
from pipeline.training.phases import whole
from pipeline.trials.epochs import restored, stored
from pipeline.trials.health import FITS, ILLNESSES, REMEDIES, verdict
from pipeline.trials.study import StudyRecord
from testing.records import made_trial

NUM_CLASSES = 10
NUM_VAL = 500


@pytest.fixture(scope="module")
def data():
    """2,500 training rows of 64 features: ten classes that a sound network tells apart."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, NUM_CLASSES, NUM_VAL + 2500)
    centres = 0.5 * rng.normal(size=(NUM_CLASSES, 64))
    rows = np.arange(len(labels))
    return TrainingData(
        features=(centres[labels] + rng.normal(size=(len(labels), 64))).astype(np.float32),
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

    def judge(*, epochs=2, num_layers=1, num_images=2500, flipped=0.0, **changes):
        # Of layers there may be more than a space may have.
        values = hyperparameters(cut="pixels", images_per_epoch=1, batch_size=32, **changes)
        model = build_head(
            *((64,), NUM_CLASSES, values | {"num_layers": num_layers}),
            mean=[0.0] * 64,
            variance=[1.0] * 64,
            seed=1,
        )
        rng, rows, labels = np.random.default_rng(1), data.train[:num_images], data.labels.copy()
        wrong = rows[rng.random(num_images) < flipped]
        labels[wrong] = rng.integers(0, NUM_CLASSES, len(wrong))
        records = []
        result = train(
            model,
            dataclasses.replace(data, train=rows, labels=labels),
            values,
            phase=whole(epochs),
            seed=1,
            objective="val_accuracy",
            report=records.append,
        )
        epochs = [stored(record, at_ms=0) for record in records]
        return verdict(made_trial(outcome=result.outcome, epochs=epochs, metrics=result.notes))

    return judge


@pytest.mark.keras
class TestCrafted:
    def test_the_default_is_healthy(self, judged):
        found = judged(epochs=8)
        assert (found.health, found.fit) == ("healthy", "good")

    def test_ten_sigmoid_layers_vanish(self, judged):
        found = judged(num_layers=10, activation="sigmoid", initializer="glorot")
        assert (found.health, found.fit) == ("vanishing", "underfitting")

    def test_a_rate_of_a_thousand_explodes(self, judged):
        found = judged(learning_rate=1e3, activation="elu")
        assert found.health == "exploding"

    def test_a_rate_of_a_thousand_without_adam_diverges(self, judged):
        found = judged(optimizer="sgd", learning_rate=1e3, activation="elu")
        assert (found.health, found.fit) == ("diverged", "-")
        assert "not finite at step" in found.figures[0]

    def test_relus_with_a_huge_rate_die(self, judged):
        assert judged(learning_rate=1.0, num_layers=2).health == "dead units"

    @pytest.mark.parametrize("optimizer", ["sgd", "adam"])
    def test_a_tiny_norm_over_clips(self, judged, optimizer):
        found = judged(optimizer=optimizer, clipping="clipnorm", clipping_threshold=1e-6)
        assert found.health == "over-clipped"

    def test_adam_makes_up_for_a_tiny_value(self, judged):
        found = judged(clipping="clipvalue", clipping_threshold=1e-6, epochs=3)
        assert found.health == "healthy"

    def test_a_small_network_on_much_data_underfits(self, judged):
        found = judged(units=1, epochs=6)
        assert (found.health, found.fit) == ("healthy", "underfitting")

    def test_a_wide_network_on_500_images_overfits(self, judged):
        found = judged(units=1024, num_images=500, flipped=0.2, dropout="none", epochs=16)
        assert (found.health, found.fit) == ("healthy", "overfitting")


SOUND = EpochHealth(
    gradient_norms=[0.5, 1.0], update_ratios=[1e-3, 1e-3], dead=[0.1], saturated=[0.0]
)


def record(*healths, values=(0.9,), phases=(), **told):
    """A trial with such epochs; without healths, of an earlier release."""
    number = max(len(healths), len(values))
    healths, values = healths or [None] * number, [*values] + [values[-1]] * number
    epochs = [
        EpochRecord(
            epoch=epoch,
            metrics={
                **{"accuracy": values[epoch], "val_accuracy": values[epoch], "loss": 0.3},
                **{"val_loss": 0.3, "phase": phases[epoch] if phases else 1.0},
            },
            health=healths[epoch],
        )
        for epoch in range(number)
    ]
    return made_trial(**{"epochs": [stored(one, at_ms=0) for one in epochs], **told})


def changed(**figures):
    return dataclasses.replace(SOUND, **figures)


@pytest.mark.parametrize(
    ("figures", "name"),
    [
        ({}, "healthy"),
        ({"gradient_norms": [0.0011, 1.0]}, "healthy"),
        ({"gradient_norms": [0.001, 1.0]}, "vanishing"),
        ({"saturated": [0.0, 0.5]}, "vanishing"),
        ({"update_ratios": [1e-3, 1.0]}, "exploding"),
        ({"dead": [0.0, 0.5]}, "dead units"),
        ({"clipped": 1.0, "kept": 0.01, "update_ratios": [1e-4, 1e-4]}, "over-clipped"),
        ({"clipped": 1.0, "kept": 0.01}, "healthy"),
        ({"clipped": 0.5, "kept": 0.01, "update_ratios": [1e-5, 1e-5]}, "healthy"),
    ],
)
def test_each_threshold(figures, name):
    assert verdict(record(changed(**figures))).health == name


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_first_step_as_large_as_the_weights_is_no_illness_with_batch_normalization(place):
    large, normalized = changed(update_ratios=[2.0, 1e-3]), {"normalization": place}
    assert verdict(record(large, SOUND)).health == "exploding"
    assert verdict(record(large, SOUND, hyperparameters=normalized)).health == "healthy"
    assert verdict(record(large, large, hyperparameters=normalized)).health == "exploding"


def test_in_phase_2_a_small_gradient_is_no_illness():
    fine_tuned = changed(gradient_norms=[1e-5, 1.0])
    assert verdict(record(SOUND, fine_tuned, phases=(1.0, 2.0))).health == "healthy"
    assert verdict(record(SOUND, fine_tuned, fine_tuned)).health == "vanishing"


@pytest.mark.parametrize(
    ("values", "fit"),
    [
        ((0.5, 0.6, 0.7), "still improving"),
        ((0.5, 0.7, 0.7), "underfitting"),
        ((0.5, 0.8, 0.801), "good"),
    ],
)
def test_a_fit_follows_from_the_curve(values, fit):
    assert verdict(record(values=values)).fit == fit


def test_of_an_earlier_release_only_the_fit_is_known():
    found = verdict(record(values=(0.9, 0.9)))
    assert (found.health, found.fit) == ("-", "good")
    assert found.tags == {"fit": "good"}
    assert verdict(made_trial()).tags == {}


def test_an_earlier_study_is_read():
    written = json.loads((Path(__file__).parent / "written/study.json").read_text())
    trials = StudyRecord.from_json(written).trials
    assert {verdict(trial).health for trial in trials} <= {"-", "diverged"}
    assert [one.health for one in trials[0].epoch_records] == [None] * len(trials[0].epoch_records)
    names = {name for epoch in trials[0].epochs(metric="val_accuracy") for name in epoch.metrics}
    assert not [name for name in names if name.startswith("health/")]


def test_an_epoch_is_stored_as_json_and_read_again():
    one = EpochRecord(epoch=3, metrics={"loss": 0.5}, health=SOUND)
    content = json.loads(json.dumps(stored(one, at_ms=7)))
    assert restored(content) == one


def test_what_mlflow_gets_is_few():
    metrics = record(SOUND).epochs(metric="val_accuracy")[0].metrics
    found = {name.removeprefix("health/"): v for name, v in metrics.items() if "health/" in name}
    assert found == {
        **{"gradient_norm_first": 0.5, "gradient_norm_last": 1.0, "update_ratio": 1e-3},
        **{"dead_share": 0.1, "saturated_share": 0.0, "clipped_share": 0.0},
    }


def test_every_illness_and_misfit_has_a_remedy():
    assert {*ILLNESSES, *FITS} == set(REMEDIES)
