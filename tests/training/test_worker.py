"""A trial from its specification to its result and its model file."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.rows import part_labels
from pipeline.errors import ConfigError, DataIntegrityError, InfeasibleTrialError
from pipeline.search.configurations import completed
from pipeline.search.space import SearchSpace
from pipeline.training.bootstrap import bootstrap
from pipeline.training.data import DataReference, OfOtherData
from pipeline.training.messages import TrialSpec, answers_file
from pipeline.training.worker import run_trial
from testing.features import embedded, write_cuts

NUM_CLASSES = 4
PARTS = {"train": 160, "val": 60, "confirmation": 80}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Features (2, 2, 5) of four classes, separable, so that accuracy 1.0 is expected."""
    folder = tmp_path_factory.mktemp("features")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, NUM_CLASSES, sum(PARTS.values()))
    noise = rng.normal(size=(len(labels), 2, 2, 5))
    features = (noise + 4 * np.eye(NUM_CLASSES, 5)[labels][:, None, None, :]).astype(np.float16)
    np.save(folder / "block4.npy", features)
    train = features[: PARTS["train"]].astype(np.float64)
    cut = embedded(
        file="block4.npy",
        shape=(2, 2, 5),
        mean=train.mean(axis=(0, 1, 2)).tolist(),
        variance=train.var(axis=(0, 1, 2)).tolist(),
    )
    write_cuts(folder, {"block4": cut}, num_classes=NUM_CLASSES)
    rows = np.split(np.arange(len(labels)), np.cumsum(list(PARTS.values()))[:-1])
    np.savez(folder / "train.npz", labels=labels, **dict(zip(PARTS, rows, strict=True)))
    return DataReference(features=str(folder), train_file=str(folder / "train.npz"))


@pytest.fixture
def specify(params_document):
    """Makes a spec of params.yaml's defaults and some changes."""

    def make_spec(*, judge=None, model_file=None, seed=1, epochs=4, **changes):
        values = {**params_document["defaults"], "cut": "block4", "units": 16, "batch_size": 16}
        return TrialSpec(
            uid="trial",
            hyperparameters=completed(
                {}, SearchSpace({}, {**values, "learning_rate": 0.01, **changes})
            ),
            seed=seed,
            epochs=epochs,
            judge=judge,
            model_file=None if model_file is None else str(model_file),
        )

    return make_spec


def go_on(_):
    return False


def judged_by_hand(model_file, reference):
    """Returns the accuracy of a saved model on the confirmation part."""
    import keras

    model = keras.models.load_model(model_file, safe_mode=True)
    with np.load(reference.train_file) as archive:
        rows, labels = archive["confirmation"], archive["labels"]
    features = np.load(f"{reference.features}/block4.npy")[rows].astype(np.float32)
    return float((model.predict(features, verbose=0).argmax(axis=1) == labels[rows]).mean())


@pytest.mark.keras
class TestRunTrial:
    def test_returns_the_best_epoch_and_what_it_weighs(self, specify, reference):
        records = []
        result = run_trial(specify(), reference, records.append)
        assert result.outcome == "complete"
        assert [record.epoch for record in records] == list(range(result.num_epochs))
        assert result.metrics == records[result.best_epoch].metrics
        assert result.metrics["val_accuracy"] == max(r.metrics["val_accuracy"] for r in records)
        assert result.metrics["val_accuracy"] > 0.95
        assert result.num_parameters == (20 + 1) * 16 + (16 + 1) * NUM_CLASSES
        assert result.model_file is None
        assert len(result.weights_sha256) == 64
        assert 0 < result.seconds < 60

    def test_the_same_spec_gives_the_same_weights(self, specify, reference):
        spec = specify(dropout_rate=0.5, normalization="before")
        first, again = (run_trial(spec, reference, go_on) for _ in range(2))
        assert first.weights_sha256 == again.weights_sha256
        other = run_trial(dataclasses.replace(spec, seed=2), reference, go_on)
        assert other.weights_sha256 != first.weights_sha256

    def test_saves_a_model_that_gives_the_judged_accuracy(self, specify, reference, tmp_path):
        model_file = tmp_path / "models" / "trial.keras"
        # One epoch at a small rate: far from perfect, so that equal accuracies mean something.
        spec = specify(
            judge="confirmation", model_file=model_file, activation="rrelu", epochs=1,
            learning_rate=0.001,
        )  # fmt: skip
        result = run_trial(spec, reference, go_on)
        assert result.model_file == str(model_file)
        assert {path.name for path in model_file.parent.iterdir()} == {"trial.keras", "trial.npy"}
        assert result.metrics["confirmation_accuracy"] == judged_by_hand(model_file, reference)
        answers = np.load(answers_file(str(model_file)))
        labels = part_labels(Path(reference.train_file), "confirmation")
        is_right = answers.argmax(axis=1) == labels
        assert result.metrics["confirmation_accuracy"] == is_right.mean()
        assert {"confirmation_loss", "confirmation_macro_f1"} <= result.metrics.keys()
        assert result.metrics["confirmation_accuracy"] < 1.0

    def test_saves_a_model_of_keras_own_layers(self, specify, reference, tmp_path):
        import keras

        model_file = tmp_path / "trial.keras"
        run_trial(specify(model_file=model_file, activation="rrelu", epochs=1), reference, go_on)
        layers = keras.models.load_model(model_file, safe_mode=True).layers
        assert {type(layer).__module__.partition(".")[0] for layer in layers} == {"keras"}

    def test_the_seed_decides_the_initial_weights(self, specify, reference):
        # In float32 this rate is 0: nothing is learnt, only the initial weights can differ.
        changes = {"optimizer": "sgd", "learning_rate": 1e-46, "epochs": 1}
        hashes = {
            run_trial(specify(seed=seed, **changes), reference, go_on).weights_sha256
            for seed in (1, 1, 2)
        }
        assert len(hashes) == 2

    def test_the_seed_decides_the_batch_order(self, specify, reference, monkeypatch):
        from pipeline.training import fit

        seeds, order = [], fit.epoch_order
        monkeypatch.setattr(
            fit, "epoch_order", lambda rows, **at: seeds.append(at["seed"]) or order(rows, **at)
        )
        run_trial(specify(seed=7, epochs=1), reference, go_on)
        assert set(seeds) == {7}

    def test_judging_changes_nothing_that_is_judged(self, specify, reference):
        plain = run_trial(specify(), reference, go_on)
        judged = run_trial(specify(judge="confirmation"), reference, go_on)
        assert judged.weights_sha256 == plain.weights_sha256
        assert judged.best_epoch == plain.best_epoch

    def test_with_bootstrap_it_trains_on_the_bag_of_its_seed(self, specify, reference):
        class Bag(OfOtherData):
            def load_cut(self, cut, *, judge):
                found = self.whole.load_cut(cut, judge=judge)
                bag = bootstrap(found.training, seed=specify().seed)
                return dataclasses.replace(found, training=bag)

        found = run_trial(specify(bootstrap=True), reference, go_on)
        by_hand = run_trial(specify(), Bag(whole=reference), go_on)
        assert found.weights_sha256 == by_hand.weights_sha256
        assert found.weights_sha256 != run_trial(specify(), reference, go_on).weights_sha256

    def test_stopped_by_the_report_it_gives_the_metrics_so_far(self, specify, reference):
        result = run_trial(specify(), reference, lambda record: record.epoch == 1)
        assert (result.outcome, result.num_epochs) == ("stopped", 2)
        assert result.metrics["val_accuracy"] > 0
        assert result.best_epoch in (0, 1)

    def test_a_divergence_is_a_result_without_weights(self, specify, reference, tmp_path):
        spec = specify(optimizer="sgd", learning_rate=1e30, model_file=tmp_path / "trial.keras")
        result = run_trial(spec, reference, go_on)
        assert (result.outcome, result.best_epoch) == ("diverged", None)
        assert (dict(result.metrics), result.weights_sha256) == ({}, "")
        assert result.model_file is None
        assert not list(tmp_path.iterdir())

    def test_a_contradiction_is_an_infeasible_trial(self, specify, reference):
        spec = specify(normalization="before", batch_size=1)
        with pytest.raises(InfeasibleTrialError, match="batches of 2 or more"):
            run_trial(spec, reference, go_on)

    @pytest.mark.parametrize(
        "changes",
        [
            {"num_layers": 0, "dropout": "none"},
            {"activation": "selu", "dropout": "all", "schedule": "performance"},
            {"optimizer": "nesterov", "clipping": "global_clipnorm", "schedule": "one_cycle"},
            {"regularizer": "elastic_net", "class_weight": "balanced", "batch_size": "full"},
            {"pooling": "global", "feature_scaling": "none", "units_shape": "per_layer"},
        ],
        ids=lambda changes: "-".join(map(str, changes.values())),
    )
    def test_trains_whatever_the_table_allows(self, specify, reference, changes):
        result = run_trial(specify(epochs=2, **changes), reference, go_on)
        assert result.outcome == "complete"
        assert np.isfinite(list(result.metrics.values())).all()


def test_an_unknown_cut_is_refused(specify, reference):
    with pytest.raises(ConfigError, match="Unknown cut: 'top'"):
        run_trial(specify(cut="top"), reference, go_on)


def test_missing_features_are_refused(specify, reference, tmp_path):
    elsewhere = dataclasses.replace(reference, features=str(tmp_path))
    with pytest.raises(DataIntegrityError, match=r"no manifest\.json yet.*`dvc repro`"):
        run_trial(specify(), elsewhere, go_on)


def test_a_worker_imports_nothing_heavy_before_it_knows_its_threads():
    heavy = ["tensorflow", "keras", "optuna", "mlflow", "sklearn"]
    code = f"import sys, pipeline.training.worker; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"
