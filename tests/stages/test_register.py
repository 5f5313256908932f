"""Only a transfer-learned winner is registered, and the report says what happened."""

import json

import numpy as np
import pytest

from pipeline.config import parse_section
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.files import sha256_file
from pipeline.records.model_registry.candidate import check_model
from pipeline.records.model_registry.params import RegisterParams
from pipeline.split_record import SPLIT_FILE, write_split
from pipeline.stages.register import choose_study, run
from pipeline.trials.confirmation import write_confirmation
from testing.chain import write_missing
from testing.records import made_candidate, made_confirmation
from testing.split import split_record

AUTO = RegisterParams(study="auto")


def confirmation(study, base, mean=0.94, objective="val_accuracy"):
    return made_confirmation(
        made_candidate(5, mean, 3, hyperparameters={"units": 64}),
        **{"study": study, "base": base, "objective": objective, "n": 30, "members": [(5, 11)]},
        metrics={"accuracy": mean, "log_loss": 0.2},
        exported={"file": f"models/{study}.keras", "verified": {"n": 30}},
    )


def test_the_section_is_in_params_yaml(params_document):
    assert parse_section(RegisterParams, "register", params_document["register"]) == AUTO
    with pytest.raises(ConfigError, match=r"register\.studie: there is no such key"):
        parse_section(RegisterParams, "register", {"studie": "auto"})


class TestChoice:
    def test_auto_takes_the_best_of_those_with_a_base(self):
        confirmations = {
            "scratch": confirmation("scratch", "none", 0.99),
            "small": confirmation("small", "efficientnet_lite0", 0.93),
            "large": confirmation("large", "mobilenet_v2", 0.95),
        }
        assert choose_study("auto", confirmations) == "large"
        assert choose_study("small", confirmations) == "small"

    def test_a_smaller_loss_is_better(self):
        confirmations = {
            name: confirmation(name, "efficientnet_lite0", mean, "val_log_loss")
            for name, mean in (("a", 0.3), ("b", 0.2), ("c", 0.25))
        }
        assert choose_study("auto", confirmations) == "b"

    def test_a_baseline_is_refused(self):
        confirmations = {
            "scratch": confirmation("scratch", "none"),
            "transfer": confirmation("transfer", "efficientnet_lite0"),
        }
        with pytest.raises(ConfigError, match=r"register\.study='scratch'.*one of: transfer"):
            choose_study("scratch", confirmations)

    def test_baselines_alone_are_refused(self):
        with pytest.raises(ConfigError, match=r"register needs a study with a base.*=scratch"):
            choose_study("auto", {"scratch": confirmation("scratch", "none")})

    def test_an_unknown_study_names_the_nearest(self):
        confirmations = {"transfer": confirmation("transfer", "efficientnet_lite0")}
        with pytest.raises(ConfigError, match=r"register\.study: .*Did you mean 'transfer'"):
            choose_study("transfr", confirmations)


def write_json(file, value):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))


def save_model(root, study, *, activation="softmax", classes=3, shape=(8, 8)):
    import keras

    keras.utils.set_random_seed(1)
    images = keras.Input(shape, dtype="uint8")
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
    model = keras.Model(images, keras.layers.Dense(classes, activation=activation)(features))
    (root / "models").mkdir(exist_ok=True)
    file = root / "models" / f"{study}.keras"
    model.save(file)
    confirm(root, study, file_sha256=sha256_file(file))
    return model


def confirm(root, study, **exported):
    """Changes what a study's confirm.json says of the exported file."""
    report_file = root / f"results/{study}/confirm.json"
    report = json.loads(report_file.read_text())
    report["exported"] |= exported
    write_json(report_file, report)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository in which everything before `register` has run."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    split = split_record(class_names=("zero", "one", "two"), per_class=(1, 1, 1))
    write_split(split, tmp_path / SPLIT_FILE)
    images = np.arange(9 * 64, dtype=np.uint8).reshape(9, 8, 8)
    np.savez(tmp_path / "data/train.npz", images=images, train=np.array([1, 4, 7]))
    for study, base in (("scratch", "none"), ("transfer", "efficientnet_lite0")):
        write_confirmation(tmp_path, confirmation(study, base))
    measured = {"accuracy": {"value": 0.875, "low": 0.8, "high": 0.95, "n": 40}}
    write_json(tmp_path / "results/metrics.json", {"scratch": {}, "transfer": measured})
    write_missing(tmp_path)
    return tmp_path


def versions(root):
    from pipeline.records.mirror.store import open_store

    client = open_store(root).client
    return {int(v.version): v for v in client.search_model_versions()}


def read_report(root):
    return json.loads((root / "results/registration.json").read_text())


STUDIES = ["scratch", "transfer"]


def lose_registry(root):
    """Forgets the registered model, and the stamp with it."""
    from pipeline.records.mirror.store import open_store

    open_store(root).client.delete_registered_model("digits-classifier")
    (root / "mlruns/stages/register.json").unlink()


@pytest.mark.keras
class TestRun:
    def test_the_report_says_what_was_registered(self, root):
        model = save_model(root, "transfer")
        run(AUTO, studies=STUDIES, root=root)
        from pipeline.bases.model_files import weights_sha256

        report = read_report(root)
        lineage, chain = report.pop("lineage"), report.pop("chain")
        assert list(chain["model"]) == ["models/transfer.keras"]
        assert {"git.commit", "version.keras", "dvc.train", "machine.cores"} <= lineage.keys()
        assert lineage.items() <= versions(root)[1].tags.items()
        assert report == {
            "registered_model": "digits-classifier",
            "version": "1",
            "registered": True,
            "champion": True,
            "reason": "there was no champion yet",
            "study": "transfer",
            "weights_sha256": weights_sha256(model),
            "confirmation": {
                "objective": "val_accuracy",
                **{"mean": 0.94, "low": 0.94 - 0.004, "high": 0.944, "n": 30, "num_seeds": 3},
            },
        }
        stamp = json.loads((root / "mlruns/stages/register.json").read_text())
        assert stamp == {"study": "transfer", "weights_sha256": weights_sha256(model)}

    def test_running_again_registers_nothing_new(self, root):
        save_model(root, "transfer")
        run(AUTO, studies=STUDIES, root=root)
        run(AUTO, studies=STUDIES, root=root)
        report = read_report(root)
        assert (report["version"], report["registered"], report["champion"]) == ("1", False, True)

    def test_a_file_that_confirm_did_not_export_is_not_registered(self, root):
        save_model(root, "transfer")
        confirm(root, "transfer", file_sha256="ab" * 32)
        (root / "models/transfer.keras").write_bytes(b"damaged")
        with pytest.raises(
            DataIntegrityError, match=r"the evidence is that one's.*-f confirm@tran"
        ):
            run(AUTO, studies=STUDIES, root=root)
        assert not versions(root)

    def test_a_file_that_was_never_run_on_raw_images_is_not_registered(self, root):
        save_model(root, "transfer")
        file = root / "results/transfer/confirm.json"
        report = json.loads(file.read_text())
        del report["exported"]["verified"]
        write_json(file, report)
        with pytest.raises(DataIntegrityError, match=r"reaches on raw images.*-f confirm@transfer"):
            run(AUTO, studies=STUDIES, root=root)
        assert not versions(root)

    def test_what_evaluate_measured_is_beside_the_version(self, root):
        save_model(root, "transfer")
        run(AUTO, studies=STUDIES, root=root)
        tags = versions(root)[1].tags
        assert (tags["test.accuracy"], tags["test.n"]) == ("0.875", "40")

    def test_a_lost_registry_is_restored_and_the_report_stays(self, root):
        save_model(root, "transfer")
        run(AUTO, studies=STUDIES, root=root)
        was = {**read_report(root), "version": "4"}
        write_json(root / "results/registration.json", was)
        lose_registry(root)
        run(AUTO, studies=STUDIES, root=root)
        assert read_report(root) == was
        restored = versions(root)[4]
        assert was["lineage"].items() <= restored.tags.items()
        assert restored.tags["test.accuracy"] == "0.875"
        assert (root / "mlruns/stages/register.json").exists()

    def test_with_its_stamp_the_stage_registers_anew(self, root):
        save_model(root, "transfer")
        run(AUTO, studies=STUDIES, root=root)
        write_json(root / "results/registration.json", {**read_report(root), "version": "4"})
        run(AUTO, studies=STUDIES, root=root)
        assert read_report(root)["version"] == "1"

    @pytest.mark.parametrize(
        "change",
        [
            {"study": "other"},
            {"weights_sha256": "ab" * 32},
            {"confirmation": {"mean": 0.5}},
        ],
    )
    def test_a_report_of_something_else_is_made_anew(self, root, change):
        save_model(root, "transfer")
        run(AUTO, studies=STUDIES, root=root)
        was = read_report(root)
        write_json(root / "results/registration.json", {**was, **change, "version": "4"})
        lose_registry(root)
        run(AUTO, studies=STUDIES, root=root)
        now = read_report(root)
        assert {**now, "lineage": was["lineage"], "chain": was["chain"]} == was

    def test_a_report_of_an_earlier_release_is_made_anew(self, root):
        save_model(root, "transfer")
        run(AUTO, studies=STUDIES, root=root)
        report = {**read_report(root), "version": "4"}
        del report["lineage"]
        write_json(root / "results/registration.json", report)
        lose_registry(root)
        run(AUTO, studies=STUDIES, root=root)
        assert read_report(root)["version"] == "1"

    def test_examples_are_training_images(self, root):
        save_model(root, "transfer")
        run(AUTO, studies=STUDIES, root=root)
        (file,) = (root / "mlruns").rglob("images.npy")
        with np.load(root / "data/train.npz") as archive:
            np.testing.assert_array_equal(np.load(file), archive["images"][[1, 4, 7]])

    @pytest.mark.parametrize(
        "missing", ["results/scratch/confirm.json", "data/split.json", "results/metrics.json"]
    )
    def test_a_missing_file_is_named(self, root, missing):
        (root / missing).unlink()
        with pytest.raises(DataIntegrityError, match=f"{missing} must exist.*Run `dvc repro`"):
            run(AUTO, studies=STUDIES, root=root)

    def test_a_missing_model_is_named(self, root):
        with pytest.raises(DataIntegrityError, match=r"models/transfer\.keras"):
            run(AUTO, studies=STUDIES, root=root)
        assert not (root / "results/registration.json").exists()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"activation": None}, "must return probabilities, which sum to 1"),
            ({"activation": "sigmoid"}, "must return probabilities, which sum to 1"),
            ({"classes": 4}, r"return 3 probabilities. Received: .*output \(4,\)"),
            ({"shape": (28, 28)}, r"must take images of shape \(8, 8\).*input \(28, 28\)"),
        ],
    )
    def test_a_model_that_is_no_classifier_of_these_images_is_refused(self, root, changes, message):
        model = save_model(root, "transfer", **changes)
        images = np.arange(5 * 64, dtype=np.uint8).reshape(5, 8, 8)
        with pytest.raises(DataIntegrityError, match=message):
            check_model(model, images, num_classes=3, file=root / "models/transfer.keras")
