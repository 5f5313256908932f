"""A training: reproducible, keeps its best epoch, and ends as it was told."""

import dataclasses

import numpy as np
import pytest

from pipeline.evaluation.metrics import classification_metrics
from pipeline.training.phases import Phase, whole
from pipeline.training.schedules import learning_rate_table

pytestmark = pytest.mark.keras


class Recorder:
    """Keeps the records of a training; may ask it to stop after one of them."""

    def __init__(self, *, stop_after=None, then=None):
        self.records = []
        self._stop_after = stop_after
        self._then = then

    def __call__(self, record):
        self.records.append(record)
        if self._then is not None:
            self._then(record)
        return record.epoch == self._stop_after

    def column(self, name):
        return [record.metrics[name] for record in self.records]

    def without_seconds(self):
        return [
            {key: value for key, value in record.metrics.items() if key != "seconds"}
            for record in self.records
        ]


def fit(model, data, settings, *, epochs=range(3), phase=None, seed=0, report=None, **changes):
    from pipeline.training.fit import train

    report = report or Recorder()
    result = train(
        model,
        data,
        {**settings, **changes},
        phase=phase or Phase(epochs=epochs),
        seed=seed,
        objective="val_accuracy",
        report=report,
    )
    return result, report


def with_noise_to_validate_on(data):
    """Makes the validation accuracy jump about, so that the best epoch is not the last."""
    rng, labels, features = np.random.default_rng(5), data.labels.copy(), data.features.copy()
    labels[data.val] = rng.integers(0, 3, len(data.val))
    features[data.val] = 2 * rng.normal(size=(len(data.val), 4))
    return dataclasses.replace(data, labels=labels, features=features)


def test_separable_classes_are_learnt_perfectly(build, blobs, settings):
    result, report = fit(build(), blobs, settings, epochs=range(6))
    assert result.outcome == "complete"
    assert result.best.metrics["val_accuracy"] == 1.0
    assert report.column("accuracy")[-1] == 1.0
    assert result.num_epochs == 6
    assert result.notes == {"steps_per_epoch": 10}


class TestImagesPerEpoch:
    """Of 150 training images, 430 are about three passes."""

    def test_few_images_are_gone_over_several_times(self, build, blobs, settings):
        result, report = fit(
            build(), blobs, settings, epochs=range(2), learning_rate=1e-12, images_per_epoch=430
        )
        assert result.notes == {"steps_per_epoch": 3 * 10}
        _, once = fit(build(), blobs, settings, epochs=range(1), learning_rate=1e-12)
        # Nothing is learnt: means over three passes are those over one.
        for name in ("loss", "accuracy"):
            assert report.column(name) == pytest.approx(2 * once.column(name), rel=1e-5)

    def test_they_are_trained_on_as_in_so_many_epochs(self, build, blobs, settings):
        _, report = fit(build(), blobs, settings, epochs=range(1), images_per_epoch=430)
        _, several = fit(build(), blobs, settings, epochs=range(3))
        assert report.column("loss") == pytest.approx([np.mean(several.column("loss"))], rel=1e-5)
        assert several.column("loss")[2] < several.column("loss")[0]

    def test_phase_2_goes_over_them_once(self, build, blobs, settings):
        phase = Phase(epochs=range(1, 2), number=2)
        result, _ = fit(build(), blobs, settings, phase=phase, images_per_epoch=430)
        assert result.notes["steps_per_epoch"] == 10


def test_a_record_has_every_metric(build, blobs, settings):
    _, report = fit(build(), blobs, settings, epochs=range(1))
    assert list(report.records[0].metrics) == [
        "loss", "accuracy", "val_accuracy", "val_loss", "val_macro_f1",
        "learning_rate", "gradient_norm", "phase", "seconds",
    ]  # fmt: skip


class TestSeed:
    def records(self, build, blobs, settings, seed):
        _, report = fit(build(dropout=0.3, batch_norm=True), blobs, settings, seed=seed)
        return report.without_seconds()

    def test_the_same_seed_gives_the_same_numbers(self, build, blobs, settings):
        first, again = (self.records(build, blobs, settings, seed=4) for _ in range(2))
        assert first == again

    def test_another_seed_gives_others(self, build, blobs, settings):
        first, other = (self.records(build, blobs, settings, seed=seed) for seed in (4, 5))
        assert first != other


class TestBestEpoch:
    def test_its_weights_are_kept(self, build, blobs, settings):
        model, data = build(), with_noise_to_validate_on(blobs)
        result, report = fit(model, data, settings, epochs=range(8))
        accuracies = report.column("val_accuracy")
        assert result.best.epoch == int(np.argmax(accuracies))
        assert max(accuracies) > accuracies[-1]
        probabilities = model(data.features[data.val].astype(np.float32)).numpy()
        kept = classification_metrics(probabilities, data.labels[data.val])
        assert kept["accuracy"] == max(accuracies)
        assert kept["loss"] == pytest.approx(result.best.metrics["val_loss"], rel=1e-5)

    def test_the_objective_decides_which_it_is(self, build, blobs, settings):
        from pipeline.training.fit import train

        report = Recorder()
        result = train(
            build(),
            with_noise_to_validate_on(blobs),
            settings,
            phase=whole(8),
            seed=0,
            objective="val_log_loss",
            report=report,
        )
        smallest_loss = int(np.argmin(report.column("val_loss")))
        assert result.best.epoch == smallest_loss != np.argmax(report.column("val_accuracy"))

    def test_its_moving_statistics_are_kept_too(self, build, blobs, settings):
        model, copies = build(batch_norm=True), []
        report = Recorder(then=lambda _: copies.append(model.get_weights()))
        result, _ = fit(model, with_noise_to_validate_on(blobs), settings, report=report)
        for weights, kept in zip(model.get_weights(), copies[result.best.epoch], strict=True):
            np.testing.assert_array_equal(weights, kept)


class TestDivergence:
    def test_a_rate_far_too_large_is_told_not_raised(self, build, blobs, settings):
        result, report = fit(build(), blobs, settings, learning_rate=1e30)
        assert result.outcome == "diverged"
        assert result.notes["diverged_epoch"] == 0
        assert result.best is None
        assert result.num_epochs == len(report.records) == 0

    def test_nan_features_cannot_hide_behind_a_relu(self, build, blobs, settings):
        blobs.features[blobs.train[::2]] = np.nan
        assert fit(build(), blobs, settings)[0].outcome == "diverged"

    def test_nan_weights_cannot_hide_behind_a_relu(self, build, blobs, settings):
        model = build()
        weights = model.get_weights()
        weights[0][:, 0] = np.nan
        model.set_weights(weights)
        result, report = fit(model, blobs, settings, epochs=range(1))
        assert result.outcome == "diverged"
        assert report.records == []

    def test_it_ends_the_epoch_at_once(self, build, blobs, settings, monkeypatch):
        from pipeline.training import batches
        from pipeline.training import fit as fit_module

        taken = []

        def counted(*arguments, **options):
            for chunk in batches.epoch_chunks(*arguments, **options):
                taken.append(chunk)
                yield chunk

        monkeypatch.setattr(batches, "MAX_CHUNK_STEPS", 2)
        monkeypatch.setattr(fit_module, "epoch_chunks", counted)
        fit(build(), blobs, settings, learning_rate=1e30)
        assert len(taken) <= 2 < len(blobs.train) / 16 / 2

    def test_the_best_epoch_before_it_is_kept(self, build, blobs, settings):
        model = build()

        def break_after_two(record):
            if record.epoch == 1:
                model.set_weights([np.full_like(w, np.inf) for w in model.get_weights()])

        result, report = fit(
            model, blobs, settings, epochs=range(9), report=Recorder(then=break_after_two)
        )
        assert (result.outcome, result.notes["diverged_epoch"]) == ("diverged", 2)
        assert result.num_epochs == 2
        assert result.best in report.records
        assert all(np.isfinite(weights).all() for weights in model.get_weights())


class TestEnd:
    def test_the_report_may_stop_it(self, build, blobs, settings):
        result, report = fit(
            build(), blobs, settings, epochs=range(9), report=Recorder(stop_after=1)
        )
        assert result.outcome == "stopped"
        assert result.num_epochs == len(report.records) == 2
        assert result.best in report.records

    def test_a_stalled_metric_ends_it_early(self, build, blobs, settings):
        result, report = fit(
            build(), blobs, settings, epochs=range(30),
            early_stopping="metric", early_stopping_patience=2,
        )  # fmt: skip
        assert result.outcome == "complete"
        assert result.notes["stopped_early"] == "metric"
        assert report.records[-1].epoch == result.best.epoch + 2

    def test_a_small_gradient_ends_it_early(self, build, blobs, settings):
        result, report = fit(
            build(), blobs, settings, epochs=range(30),
            early_stopping="gradient_norm", gradient_norm_threshold=0.3,
        )  # fmt: skip
        assert result.notes["stopped_early"] == "gradient_norm"
        norms = report.column("gradient_norm")
        assert norms[-1] < 0.3
        assert min(norms[:-1]) >= 0.3


class TestLearningRate:
    def test_each_epoch_ends_at_the_rate_of_the_table(self, build, blobs, settings):
        changes = {"schedule": "exponential", "decay_epochs": 1.0, "warmup_epochs": 0.5}
        _, report = fit(build(), blobs, settings, **changes)
        expected = learning_rate_table({**settings, **changes}, num_steps=30, steps_per_epoch=10)
        assert report.column("learning_rate") == pytest.approx(expected[[9, 19, 29]].tolist())

    def test_performance_lowers_it_where_the_metric_stalls(self, build, blobs, settings):
        _, report = fit(
            build(), blobs, settings, epochs=range(8),
            schedule="performance", plateau_factor=0.5, plateau_patience=2,
        )  # fmt: skip
        accuracies, rates = report.column("val_accuracy"), report.column("learning_rate")
        first_perfect = accuracies.index(1.0)
        expected = [0.1 * 0.5 ** max(0, (epoch - first_perfect - 1) // 2) for epoch in range(8)]
        assert rates == pytest.approx(expected)

    def test_a_rate_of_almost_nothing_changes_almost_nothing(self, build, blobs, settings):
        model = build()
        before = model.get_weights()
        fit(model, blobs, settings, learning_rate=1e-12, epochs=range(1))
        for weights, expected in zip(model.get_weights(), before, strict=True):
            np.testing.assert_allclose(weights, expected, atol=1e-8)


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 150), (64, 3), ("full", 1), (65536, 1)])
def test_every_batch_size_trains_on_everything(build, blobs, settings, batch_size, steps):
    from pipeline.training.fit import Training

    values = {**settings, "batch_size": batch_size, "learning_rate": 0.01}
    training = Training(build(), blobs, values, phase=whole(1), seed=0)
    record = training.run_epoch(0)
    assert training.steps_per_epoch == steps
    assert np.isfinite(list(record.metrics.values())).all()


@pytest.mark.parametrize(("num_train", "steps"), [(129, 8), (130, 9)])
def test_an_image_that_would_be_a_batch_of_its_own_waits(build, blobs, settings, num_train, steps):
    """Batch normalization would make zeros of it, at the end of every epoch."""
    from pipeline.training.fit import Training

    data = dataclasses.replace(blobs, train=blobs.train[:num_train])
    training = Training(build(batch_norm=True), data, settings, phase=whole(1), seed=0)
    seen = []
    train = training.steps.train
    training.steps.train = lambda chunk, **told: (
        seen.append(len(chunk.labels)),
        train(chunk, **told),
    )[1]
    training.run_epoch(0)
    assert training.steps_per_epoch == steps
    assert sum(seen) == (128 if num_train == 129 else num_train)


def test_balanced_classes_help_the_rare_one(build, blobs, settings):
    rare = np.flatnonzero(blobs.labels[blobs.train] == 2)[3:]
    data = dataclasses.replace(blobs, train=np.delete(blobs.train, rare))
    f1 = {
        kind: fit(build(), data, settings, class_weight=kind)[0].best.metrics["val_macro_f1"]
        for kind in ("none", "balanced")
    }
    assert f1["balanced"] > f1["none"]


@pytest.mark.parametrize("has_own", [False, True])
def test_balanced_classes_are_weights_of_rows_1_in_the_mean(build, blobs, settings, has_own):
    own = np.random.default_rng(0).uniform(0, 2, len(blobs.labels)).astype(np.float32)
    # A bag, in which a row is several times.
    train = np.concatenate([blobs.train[:90], blobs.train[:30]])
    data = dataclasses.replace(blobs, train=train, weights=own if has_own else None)
    counts = np.bincount(blobs.labels[train], minlength=3)
    by_hand = (len(train) / (3 * counts))[blobs.labels] * (own if has_own else 1.0)
    by_hand = (by_hand / by_hand[train].mean()).astype(np.float32)
    balanced, given = (
        fit(build(), one, settings, epochs=range(1), class_weight=kind)[0].best.metrics["loss"]
        for one, kind in (
            (data, "balanced"),
            (dataclasses.replace(data, weights=by_hand), "none"),
        )
    )
    assert balanced == pytest.approx(given, rel=1e-5)
    assert balanced != pytest.approx(
        fit(build(), data, settings, epochs=range(1))[0].best.metrics["loss"], rel=1e-5
    )


class TestSecondPhase:
    def test_the_epochs_go_on_counting(self, build, blobs, settings):
        result, report = fit(build(), blobs, settings, epochs=range(5, 8))
        assert [record.epoch for record in report.records] == [5, 6, 7]
        assert result.num_epochs == 3

    def test_its_batches_are_those_of_its_epochs(self, build, blobs, settings):
        model = build()
        _, whole = fit(model, blobs, settings, epochs=range(4))
        parts, continued = Recorder(), build()
        copies = []
        parts_then = Recorder(then=lambda _: copies.append(continued.get_weights()))
        fit(continued, blobs, settings, epochs=range(2), report=parts_then)
        # The best epoch's weights are restored: put the last epoch's back.
        continued.set_weights(copies[-1])
        fit(continued, blobs, settings, epochs=range(2, 4), report=parts)
        assert parts.column("loss") == pytest.approx(whole.column("loss")[2:], rel=1e-5)

    def test_its_rates_are_those_of_the_schedule_times_its_factor(self, build, blobs, settings):
        phase = Phase(epochs=range(2, 4), factor=0.25, number=2)
        _, report = fit(build(), blobs, settings, phase=phase, schedule="cosine")
        table = learning_rate_table(
            {**settings, "schedule": "cosine"}, num_steps=20, steps_per_epoch=10
        )
        expected = 0.25 * table[[9, 19]]
        assert report.column("learning_rate") == pytest.approx(expected.tolist())
        assert report.column("phase") == [2.0, 2.0]

    @pytest.mark.parametrize(
        "changes",
        [
            {"early_stopping": "metric", "early_stopping_patience": 2},
            {"schedule": "performance", "plateau_factor": 0.5, "plateau_patience": 2},
        ],
        ids=["early_stopping", "performance"],
    )
    def test_its_rules_know_nothing_of_the_first_phase(self, build, blobs, settings, changes):
        trained = build()
        fit(trained, blobs, settings, epochs=range(6))
        phase = Phase(epochs=range(6, 9), number=2)
        result, report = fit(trained, blobs, settings, phase=phase, **changes)
        # Perfect from its first epoch on: the next two are the first that do not improve.
        assert result.num_epochs == 3
        assert report.column("learning_rate") == pytest.approx([0.1] * 3)

    def test_the_rate_it_ended_with_is_told(self, build, blobs, settings):
        result, report = fit(
            build(), blobs, settings, epochs=range(8),
            schedule="performance", plateau_factor=0.5, plateau_patience=2,
        )  # fmt: skip
        assert 0 < result.learning_rate <= report.column("learning_rate")[-1] < 0.1
