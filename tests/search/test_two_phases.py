"""A trial that trains a head, then the layers of the base below it: what changes and what not."""

import dataclasses
import json
from typing import NamedTuple

import numpy as np
import optuna
import pytest

from pipeline.errors import ConfigError, InfeasibleTrialError
from pipeline.evaluation.metrics import classification_metrics
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.records.storage import open_storage
from pipeline.records.studies import open_study, trial_records
from pipeline.search.candidates import candidates
from pipeline.search.configurations import completed
from pipeline.search.confirmation import Confirmation
from pipeline.search.engine import Engine
from pipeline.search.executors.local import LocalExecutor
from pipeline.search.judging import judge
from pipeline.search.progress import Progress
from pipeline.search.queue import retire
from pipeline.search.space import SearchSpace
from pipeline.training.data import DataReference
from pipeline.training.messages import TrialSpec
from pipeline.training.worker import run_trial
from testing.records import made_study
from testing.search import search_params
from tests.bases.small_base import (
    BATCH_NORMS,
    CUTS,
    IMAGE_SIZE,
    PARTS,
    digits,
    read_features,
    rows,
    small_base,
    write_features,
)

pytestmark = pytest.mark.keras

EPOCHS = 8
BETWEEN = ["conv2a", "conv2b"]


@pytest.fixture(scope="module")
def base():
    return small_base()


@pytest.fixture(scope="module")
def reference(base, tmp_path_factory):
    return write_features(tmp_path_factory.mktemp("features"), base)


@pytest.fixture
def specify(params_document):
    """Makes a spec that unfreezes the segment from block1 to block2, unless changed."""

    def make_spec(*, judge=None, model_file=None, seed=1, epochs=EPOCHS, **changes):
        values = {
            **params_document["defaults"],
            "cut": "block2",
            "units": 32,
            "batch_size": 32,
            "images_per_epoch": 1,
            "learning_rate": 0.003,
            "early_stopping": "none",
            "unfreeze": 1,
            "learning_rate_ratio": 0.5,
            "fine_tuning_share": 0.5,
        }
        return TrialSpec(
            uid="trial",
            hyperparameters=completed({}, SearchSpace({}, {**values, **changes})),
            seed=seed,
            epochs=epochs,
            judge=judge,
            model_file=None if model_file is None else str(model_file),
        )

    return make_spec


class Recorder:
    """Keeps the records of a trial; may end it after one of them."""

    def __init__(self, *, stop_after=None):
        self.records = []
        self._stop_after = stop_after

    def __call__(self, record):
        self.records.append(record)
        return record.epoch == self._stop_after

    def column(self, name):
        return [record.metrics[name] for record in self.records]


class Ignoring:
    """A recorder that keeps nothing."""

    def start_trial(self, uid, **told):
        pass

    def log_epoch(self, uid, record, *, at_ms):
        pass

    def end_trial(self, uid, state, **told):
        pass


class Watched(NamedTuple):
    """A phase's model, and its weights before and after.

    Attributes:
        bases: Each that the trial has loaded, its weights when it was, and after the phase.
    """

    model: object
    before: dict
    after: dict
    bases: list


@pytest.fixture
def watched(monkeypatch):
    """Keeps each phase, and the rate of every step."""
    from pipeline.training import batches, steps, worker

    phases, rates, bases, train = [], [], [], worker._train
    load_base = DataReference.load_base

    def load_watched(reference):
        base = load_base(reference)
        bases.append((base, base.get_weights()))
        return base

    def train_watched(model, cut_data, spec, phase, report):
        before = {weight.path: weight.numpy() for weight in model.weights}
        result = train(model, cut_data, spec, phase, report)
        after = {weight.path: weight.numpy() for weight in model.weights}
        phases.append(
            Watched(
                model, before, after, [(base, loaded, base.get_weights()) for base, loaded in bases]
            )
        )
        return result

    steps_train = steps.Steps.train

    def steps_train_watched(self, chunk):
        rates.append((len(phases) + 1, float(self.optimizer.learning_rate)))
        return steps_train(self, chunk)

    # The process keeps what it has loaded: each test begins without.
    monkeypatch.setattr(worker, "_bases", {})
    monkeypatch.setattr(worker, "_segments", {})
    monkeypatch.setattr(DataReference, "load_base", load_watched)
    monkeypatch.setattr(worker, "_train", train_watched)
    monkeypatch.setattr(steps.Steps, "train", steps_train_watched)
    monkeypatch.setattr(batches, "MAX_CHUNK_STEPS", 1)
    return phases, rates


def changed(before, after):
    return {path for path in before if (before[path] != after[path]).any()}


class TestWhatIsTrained:
    def test_in_neither_phase_a_weight_of_the_base_itself(self, specify, reference, watched):
        """Phase 2 trains copies of its layers: the base as the trial loads it stays as it is."""
        run_trial(specify(unfreeze=2), reference, Recorder())
        for phase in watched[0]:
            ((base, loaded, found),) = phase.bases
            names = [weight.path for weight in base.weights]
            assert {f"{name}/moving_mean" for name in BATCH_NORMS} <= set(names)
            for name, expected, weight in zip(names, loaded, found, strict=True):
                np.testing.assert_array_equal(weight, expected, err_msg=name)
        # What would have shown a change: both phases train.
        assert all(changed(phase.before, phase.after) for phase in watched[0])

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({}, BETWEEN),
            ({"unfreeze_layers": 1}, BETWEEN[-1:]),
            ({"unfreeze_layers": 2}, BETWEEN),
            ({"unfreeze": 2}, ["conv1", *BETWEEN]),
            ({"cut": "block3", "unfreeze": 3}, ["conv1", *BETWEEN, "conv3"]),
            ({"cut": "block3", "unfreeze_layers": 1}, ["conv3"]),
            ({"cut": "block3", "unfreeze_layers": 2}, ["conv2b", "conv3"]),
        ],
        ids=lambda value: "-".join(map(str, value)),
    )
    def test_in_phase_2_exactly_the_layers_between_the_cuts(
        self, base, specify, reference, watched, changes, expected
    ):
        run_trial(specify(**changes), reference, Recorder())
        model, before, after, _ = watched[0][1]
        of_base = {path for path in changed(before, after) if path.split("/")[0] in _names(base)}
        assert of_base == {f"{name}/{part}" for name in expected for part in ("kernel", "bias")}
        assert changed(before, after) - of_base == {
            f"{layer}/{part}"
            for layer in ("hidden_0", "probabilities")
            for part in ("kernel", "bias")
        }
        for name in BATCH_NORMS:
            own = [path for path in before if path.startswith(f"{name}/")]
            assert not set(own) & changed(before, after)
            for weight in (weight for weight in model.weights if weight.path in own):
                original = base.get_layer(name).get_weights()
                assert any((weight.numpy() == one).all() for one in original)

    def test_phase_2_begins_with_the_best_weights_of_phase_1(self, specify, reference, watched):
        run_trial(specify(), reference, Recorder())
        first, second = watched[0]
        for path in first.after:
            np.testing.assert_array_equal(second.before[path], first.after[path])


def _names(model):
    return {layer.name for layer in model.layers}


class TestLearningRate:
    @pytest.mark.slow
    @pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "performance"])
    def test_in_phase_2_it_is_lower_at_every_step(self, specify, reference, watched, schedule):
        """Than in phase 1, step by step: here both are of the same length.

        As the optimizer has them. Their table is tested for every schedule beside its module.
        """
        run_trial(specify(schedule=schedule, plateau_patience=1), reference, Recorder())
        first, second = ([r for phase, r in watched[1] if phase == n] for n in (1, 2))
        assert all(b < a for a, b in zip(first, second, strict=True))
        if schedule == "performance":
            # It follows the metric, and goes on from where that has brought it.
            assert max(second) < min(first)


class TestEpochs:
    def test_both_phases_share_one_axis(self, specify, reference):
        report = Recorder()
        result = run_trial(specify(), reference, report)
        assert [record.epoch for record in report.records] == list(range(EPOCHS))
        assert report.column("phase") == [1.0] * 4 + [2.0] * 4
        assert (result.num_epochs, result.notes["phase_2_first_epoch"]) == (EPOCHS, 4)
        assert result.notes["phase_2_starts_from"] == "block1"

    def test_where_phase_1_stops_early_phase_2_begins_at_once(self, specify, reference):
        report = Recorder()
        # A rate of almost nothing: the second epoch is no better than the first.
        result = run_trial(
            specify(early_stopping="metric", early_stopping_patience=1, learning_rate=1e-12),
            reference,
            report,
        )
        assert report.column("phase") == [1.0] * 2 + [2.0] * 2
        assert [record.epoch for record in report.records] == [0, 1, 2, 3]
        assert result.outcome == "complete"
        assert result.notes["stopped_early"] == result.notes["phase_2_stopped_early"] == "metric"

    @pytest.mark.parametrize("stop_after", [1, 5])
    def test_either_phase_can_be_stopped(self, specify, reference, stop_after):
        report = Recorder(stop_after=stop_after)
        result = run_trial(specify(), reference, report)
        assert result.outcome == "stopped"
        assert len(report.records) == result.num_epochs == stop_after + 1

    def test_one_epoch_is_too_few_for_two_phases(self, specify, reference):
        with pytest.raises(InfeasibleTrialError, match=r"two epochs or more\. Received: epochs=1"):
            run_trial(specify(epochs=1), reference, Recorder())

    def test_a_cut_with_too_few_below_it_is_refused_before_anything_is_trained(
        self, specify, reference
    ):
        report = Recorder()
        with pytest.raises(ConfigError, match=r"below block1 as segments, and there are 1"):
            run_trial(specify(cut="block1", unfreeze=2), reference, report)
        assert report.records == []

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"cut": "block1", "unfreeze_layers": 2}, r"2 layers .*: there are 1 above stem"),
            ({"cut": "block3"}, r"1 layer .* below block3: there are 0 above conv3"),
        ],
        ids=["two layers of one", "batch normalization alone"],
    )
    def test_layers_that_there_are_not_are_refused_before_anything_is_trained(
        self, base, specify, tmp_path, changes, message
    ):
        cuts = ["stem", "block1", "conv3", "block3"]
        reference, report = write_features(tmp_path, base, cuts=cuts), Recorder()
        with pytest.raises(InfeasibleTrialError, match=message):
            run_trial(specify(**changes), reference, report)
        assert report.records == []

    def test_a_segment_with_nothing_to_train_is_passed_over_where_layers_are_counted(
        self, base, specify, tmp_path
    ):
        reference = write_features(tmp_path, base, cuts=["block2", "conv3", "block3"])
        result = run_trial(
            specify(cut="block3", unfreeze_layers=1, epochs=2), reference, Recorder()
        )
        assert result.notes["phase_2_starts_from"] == "block2"


class TestBetterPhase:
    def test_fine_tuning_helps_here_and_is_kept(self, specify, reference):
        report = Recorder()
        result = run_trial(specify(learning_rate=0.002, epochs=12), reference, report)
        best = max(report.records, key=lambda record: record.metrics["val_accuracy"])
        assert result.metrics == best.metrics
        assert result.best_epoch == best.epoch
        assert best.metrics["phase"] == 2.0
        assert result.starts_from == "block1"

    def test_a_phase_2_that_spoils_it_leaves_phase_1s_model(self, specify, reference, tmp_path):
        import keras

        file, report = tmp_path / "trial.keras", Recorder()
        # A rate that a head survives and the layers of the base do not.
        spec = specify(learning_rate=0.3, schedule="constant", model_file=file)
        result = run_trial(spec, reference, report)
        accuracies = report.column("val_accuracy")
        assert max(accuracies[4:]) < max(accuracies[:4]) == result.metrics["val_accuracy"]
        assert (result.starts_from, result.metrics["phase"]) == ("block2", 1.0)
        assert keras.models.load_model(file).input.shape[1:] == (4, 4, 12)

    def test_a_phase_2_that_diverges_leaves_phase_1s_model(self, specify, reference, monkeypatch):
        from pipeline.training import worker

        def train(model, cut_data, spec, phase, report, train=worker._train):
            if phase.number == 2:
                model.set_weights([np.full_like(w, np.inf) for w in model.get_weights()])
            return train(model, cut_data, spec, phase, report)

        monkeypatch.setattr(worker, "_train", train)
        result = run_trial(specify(), reference, Recorder())
        assert (result.outcome, result.num_epochs, result.starts_from) == ("complete", 4, "block2")
        assert result.notes["phase_2_diverged_epoch"] == 4
        assert result.metrics["val_accuracy"] > 0.5

    def test_a_phase_2_no_better_than_phase_1_leaves_the_smaller_model(
        self, specify, reference, tmp_path
    ):
        import keras

        file = tmp_path / "trial.keras"
        spec = specify(learning_rate=1e-12, optimizer="sgd", model_file=file, judge="confirmation")
        result = run_trial(spec, reference, Recorder())
        assert (result.starts_from, result.metrics["phase"]) == ("block2", 1.0)
        assert result.best_epoch == 0
        assert keras.models.load_model(file).input.shape[1:] == (4, 4, 12)
        assert result.metrics["confirmation_accuracy"] == accuracy_of(file, reference, "block2")


def accuracy_of(file, reference, cut):
    import keras

    model = keras.models.load_model(file, safe_mode=True)
    part = rows()["confirmation"]
    features = read_features(reference, cut)[part]
    found = model.predict(features, verbose=0)
    return classification_metrics(found, digits()[1][part])["accuracy"]


class TestOneModel:
    @pytest.fixture
    def trained(self, specify, reference, tmp_path):
        def run(**changes):
            file = tmp_path / "trial.keras"
            spec = specify(model_file=file, judge="confirmation", epochs=12, **changes)
            return file, run_trial(spec, reference, Recorder())

        return run

    @pytest.mark.parametrize(
        "changes",
        [{}, {"unfreeze_layers": 1}, {"activation": "rrelu"}, {"normalization": "before"}],
        ids=lambda changes: "-".join(map(str, changes)) or "segment",
    )
    def test_the_file_holds_the_segment_and_the_head(self, trained, reference, changes):
        import keras

        from pipeline.bases.model_files import weights_sha256

        file, result = trained(**changes)
        assert result.starts_from == "block1"
        loaded = keras.models.load_model(file, safe_mode=True)
        assert loaded.input.shape[1:] == (4, 4, 12)
        assert weights_sha256(loaded) == result.weights_sha256
        assert loaded.count_params() == result.num_parameters
        assert result.metrics["confirmation_accuracy"] == accuracy_of(file, reference, "block1")

    def test_exported_it_answers_on_raw_images_as_on_the_cache(self, trained, reference, tmp_path):
        from pipeline.training.export import Member, export, load_exported, predict_probabilities

        file, result = trained()
        export(
            tmp_path / "study.keras",
            [Member(trained=load_exported(file), cut=result.starts_from)],
            image_shape=(IMAGE_SIZE, IMAGE_SIZE),
            image_size=IMAGE_SIZE,
            base=reference.load_base(),
        )
        images, _ = digits()
        found = predict_probabilities(load_exported(tmp_path / "study.keras"), images)
        cached = read_features(reference, result.starts_from)
        expected = load_exported(file).predict(cached, verbose=0)
        assert np.abs(found - expected).max() <= 1e-3
        assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.999

    def test_the_same_spec_gives_the_same_weights(self, specify, reference):
        spec = specify(dropout="all", dropout_rate=0.3)
        first, again = (run_trial(spec, reference, Recorder()) for _ in range(2))
        assert first.weights_sha256 == again.weights_sha256
        other = run_trial(dataclasses.replace(spec, seed=2), reference, Recorder())
        assert other.weights_sha256 != first.weights_sha256


class TestSideBySide:
    """A head on several cuts, phase 2 from the lowest or from below it."""

    CUT = "block1:grid2+block3+top"

    @pytest.fixture(scope="class")
    def side_by_side(self, base, tmp_path_factory):
        folder = tmp_path_factory.mktemp("joined")
        return write_features(folder, base, cuts=["stem", "block1", self.CUT])

    def run(self, specify, reference, tmp_path, **changes):
        file = tmp_path / "trial.keras"
        spec = specify(
            cut=self.CUT, model_file=file, judge="confirmation", learning_rate=0.002, **changes
        )
        return file, run_trial(spec, reference, Recorder())

    @pytest.mark.parametrize(
        ("unfreeze", "start", "trained"),
        [(1, "block1", [*BETWEEN, "conv3"]), (2, "stem", ["conv1", *BETWEEN, "conv3"])],
    )
    def test_phase_2_starts_from_the_lowest_and_then_from_below(
        self, base, specify, side_by_side, watched, tmp_path, unfreeze, start, trained
    ):
        _, result = self.run(specify, side_by_side, tmp_path, unfreeze=unfreeze)
        assert result.notes["phase_2_starts_from"] == start
        _, before, after, _ = watched[0][1]
        of_base = {path for path in changed(before, after) if path.split("/")[0] in _names(base)}
        assert of_base == {f"{name}/{part}" for name in trained for part in ("kernel", "bias")}

    @pytest.mark.parametrize("unfreeze", [0, 1])
    def test_exported_it_answers_on_raw_images_as_on_the_cache(
        self, specify, side_by_side, tmp_path, unfreeze
    ):
        from pipeline.training.choice import choose
        from pipeline.training.ensemble import export_winner
        from pipeline.training.export import load_exported, predict_probabilities

        spec_file, result = self.run(specify, side_by_side, tmp_path, unfreeze=unfreeze, epochs=12)
        assert result.starts_from == ("block1" if unfreeze else self.CUT)
        objective = OBJECTIVES["val_accuracy"]
        spec = TrialSpec(uid="one", hyperparameters={}, seed=0, epochs=1)
        images = {"image_shape": (IMAGE_SIZE,) * 2, "part": "confirmation"}
        told = {"rule": "best_seed", "max_slowdown": 2.0, **images}
        chosen = choose([spec], {"one": result}, side_by_side, objective, **told).members
        file, members = tmp_path / "study.keras", [member for _, member in chosen]
        found, _ = export_winner(file, members, side_by_side, most=1000, **images)
        assert found.metrics["accuracy"] == result.metrics["confirmation_accuracy"] > 0.5
        answers = predict_probabilities(load_exported(file), digits()[0])
        cached = load_exported(spec_file).predict(
            read_features(side_by_side, result.starts_from), verbose=0
        )
        assert np.abs(answers - cached).max() <= 1e-3
        assert (answers.argmax(1) == cached.argmax(1)).mean() >= 0.999

    def test_each_is_standardized_by_itself(self, base, specify, tmp_path):
        import keras

        reference = write_features(tmp_path, base, cuts=[self.CUT])
        manifest = json.loads((tmp_path / "manifest.json").read_text())
        # The top's 16 numbers hardly vary, beside those of two cuts that do.
        manifest["cuts"][self.CUT]["variance"][-16:] = [1e-9] * 16
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        file, _ = self.run(specify, reference, tmp_path, unfreeze=0, epochs=1)
        scaling = keras.models.load_model(file).get_layer("feature_scaling")
        np.testing.assert_allclose(scaling.get_config()["variance"][-16:], 1e-9)

    def test_without_a_whole_cut_at_or_below_the_lowest_there_is_no_phase_2(
        self, base, specify, tmp_path
    ):
        reference = write_features(tmp_path, base, cuts=["block2", self.CUT])
        with pytest.raises(ConfigError, match=r"below block1:grid2\+block3\+top as segments"):
            self.run(specify, reference, tmp_path)


def test_a_pooled_cut_is_pooled_above_the_segment(base, specify, tmp_path):
    from pipeline.training.export import Member, export, load_exported, predict_probabilities

    folder = tmp_path / "features"
    folder.mkdir()
    reference = write_features(folder, base, pooling={"block2": "average"})
    file = tmp_path / "trial.keras"
    result = run_trial(specify(model_file=file, epochs=12), reference, Recorder())
    assert result.starts_from == "block1"
    export(
        tmp_path / "study.keras",
        [Member(trained=load_exported(file), cut="block1")],
        image_shape=(IMAGE_SIZE, IMAGE_SIZE),
        image_size=IMAGE_SIZE,
        base=reference.load_base(),
    )
    images, labels = digits()
    found = predict_probabilities(load_exported(tmp_path / "study.keras"), images)
    val = rows()["val"]
    assert (found[val].argmax(1) == labels[val]).mean() == pytest.approx(
        result.metrics["val_accuracy"], abs=1.5 / PARTS["val"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("cut", ["block2", "block1:grid2+block2"])
def test_from_the_cache_and_through_the_whole_graph_the_loss_curves_are_the_same(
    base, specify, tmp_path, cut
):
    """The same layers of the base and the head trained on raw images: what phase 2 stands for."""
    from benchmarks.transfer_speed import whole_graph_phase_2

    curves = {}
    for dtype in (np.float16, np.float32):
        folder = tmp_path / np.dtype(dtype).name
        folder.mkdir()
        reference, report = write_features(folder, base, cuts={*CUTS, cut}, dtype=dtype), Recorder()
        run_trial(specify(cut=cut), reference, report)
        curves[dtype] = np.array(report.column("loss")[4:])
        whole = Recorder()
        whole_graph_phase_2(specify(cut=cut), reference, report=whole)
        found = np.array(whole.column("loss"))
        assert len(found) == 4
        tolerance = 1e-2 if dtype is np.float16 else 1e-4
        np.testing.assert_allclose(curves[dtype], found, rtol=tolerance)
    assert curves[np.float32][-1] < curves[np.float32][0]


@pytest.mark.slow
def test_a_trial_whose_phase_2_diverges_counts_with_its_phase_1_and_can_be_confirmed(
    reference, tmp_path, params_document
):
    """Through a search's driver and a worker process: at this rate the base's layers diverge."""
    values = {
        **params_document["defaults"],
        **{"num_layers": 0, "dropout": "none", "optimizer": "sgd", "schedule": "constant"},
        **{"learning_rate": 50.0, "batch_size": 32, "early_stopping": "none", "cut": "block2"},
        **{"unfreeze": 1, "learning_rate_ratio": 0.5, "fine_tuning_share": 0.5},
        "images_per_epoch": 1,
    }
    study = open_study(
        open_storage(tmp_path),
        retire=retire,
        name="digits-mine",
        identity="a" * 64,
        direction="maximize",
    )
    study.pruner = optuna.pruners.NopPruner()
    params = search_params(
        **{"trials": 1, "epochs": 4, "seed": 1},
        **{"sampler": "random", "max_retries": 0, "max_failures": 1},
    )
    recorder, objective = Ignoring(), OBJECTIVES["val_accuracy"]
    with LocalExecutor(1) as executor:
        told = {"executor": executor, "recorder": recorder, "data": reference}
        progress = Progress(1, direction="maximize")
        space = SearchSpace({}, values)
        Engine(study, space, params, limit_seconds=None, **told, progress=progress).run()
        (trial,) = trial_records(study)
        planned = candidates(
            made_study(trial),
            **{"top": 1, "seeds": 1, "epochs": 4, "root_seed": 1, "folder": str(tmp_path)},
        )
        done = Confirmation(
            executor, recorder, reference, max_retries=0, on_done=lambda *_: None
        ).run(planned, kept={})
    epochs = trial.attributes["epochs"]
    assert {epoch["metrics"]["phase"] for epoch in epochs} == {1.0}
    assert (trial.state, trial.attributes["outcome"]) == ("COMPLETE", "complete")
    assert trial.value == max(epoch["metrics"]["val_accuracy"] for epoch in epochs)
    (result,) = done.values()
    assert (result.outcome, result.notes["phase_2_diverged_epoch"]) == ("complete", 2)
    (judged,) = judge(planned, done, objective)
    assert judged.mean == accuracy_of(result.model_file, reference, "block2") > 0.5
