"""Stage evaluate: real exported models judged on a test part whose answers are known."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import parse_section
from pipeline.errors import ConfigError, DataIntegrityError, StudyError
from pipeline.evaluation.params import EvaluateParams
from pipeline.evaluation.record import EvaluationRecord
from pipeline.split_record import SPLIT_FILE, write_split
from pipeline.stages.evaluate import NUM_MISTAKES, main, run
from testing.split import split_record

pytestmark = pytest.mark.keras

ROOT = Path(__file__).parents[2]
CLASS_NAMES = ["T-shirt/top", 'a "quoted, one"', "<b>"]
PARAMS = EvaluateParams(
    bootstrap=100, seed=0, batch_size=16, corrupted_images=30, dropout_passes=20
)
SECTION = (
    "evaluate: {bootstrap: 100, seed: 0, batch_size: 16, corrupted_images: 5, dropout_passes: 2}\n"
)
N = 60


def save_model(file, kernel):
    """Saves uint8 images (4, 4) -> probabilities: each class looks at its own pixel of row 0."""
    import keras

    images = keras.Input((4, 4), dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
    dense = keras.layers.Dense(len(kernel), activation="softmax")
    model = keras.Model(images, dense(x))
    weights = np.zeros((16, len(kernel)), np.float32)
    weights[: len(kernel)] = kernel
    dense.set_weights([weights, np.zeros(len(kernel), np.float32)])
    file.parent.mkdir(parents=True, exist_ok=True)
    model.save(file)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model that is always right, and one that takes class 2 for class 0."""
    folder = tmp_path_factory.mktemp("models")
    save_model(folder / "transfer.keras", 5 * np.eye(3))
    save_model(folder / "scratch.keras", 5 * np.eye(3)[[0, 1, 0]])
    save_model(folder / "other.keras", 5 * np.eye(4))
    return folder


@pytest.fixture
def root(tmp_path, saved):
    labels = np.arange(N, dtype=np.int64) % 3
    images = np.zeros((N, 4, 4), np.uint8)
    images[np.arange(N), 0, labels] = 255
    # The last row numbers the images, so that each can be told from the others.
    images[:, 3, 3] = np.arange(N)
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data/test.npz", images=images, labels=labels)
    write_split(split_record(class_names=tuple(CLASS_NAMES)), tmp_path / SPLIT_FILE)
    (tmp_path / "models").symlink_to(saved)
    return tmp_path


def read(file):
    return json.loads(file.read_text(encoding="utf-8"))


def test_metrics_are_those_of_the_models_with_interval_and_n(root):
    run(PARAMS, studies=["scratch", "transfer"], root=root)
    metrics = read(root / "results/metrics.json")
    assert set(metrics["transfer"]) >= {"accuracy", "log_loss", "macro_f1", "ece"}
    assert metrics["transfer"]["accuracy"]["value"] == 1.0
    assert metrics["scratch"]["accuracy"]["value"] == pytest.approx(2 / 3)
    for one in (*metrics["transfer"].values(), *metrics["scratch"].values()):
        assert one["low"] <= one["value"] <= one["high"]
        assert one["n"] == N


def test_predictions_are_the_models_probabilities(root):
    run(PARAMS, studies=["transfer"], root=root)
    with np.load(root / "results/predictions.npz") as archive:
        rows, labels = archive["transfer"], archive["labels"]
    right = np.exp(5) / (np.exp(5) + 2)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows[np.arange(N), labels], right, rtol=1e-5)


def test_mistakes_travel_with_their_images(root):
    run(PARAMS, studies=["scratch", "transfer"], root=root)
    with np.load(root / "results/predictions.npz") as archive:
        indices, images = archive["scratch_wrong_indices"], archive["scratch_wrong_images"]
        assert len(archive["transfer_wrong_indices"]) == 0
        assert archive["transfer_wrong_images"].shape == (0, 4, 4)
    assert indices.tolist() == [i for i in range(N) if i % 3 == 2][:NUM_MISTAKES]
    np.testing.assert_array_equal(images[:, 3, 3], indices)


def test_confusion_tables_hold_names_for_dvc_plots(root):
    run(PARAMS, studies=["scratch"], root=root)
    with (root / "results/confusion/scratch.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[1] == {"actual": CLASS_NAMES[1], "predicted": CLASS_NAMES[1]}
    assert rows[2] == {"actual": "<b>", "predicted": "T-shirt/top"}
    assert len(rows) == N


def test_calibration_agrees_with_the_metrics(root):
    run(PARAMS, studies=["scratch"], root=root)
    calibration = read(root / "results/calibration.json")["scratch"]
    assert calibration["ece"] == read(root / "results/metrics.json")["scratch"]["ece"]["value"]
    assert sum(one["n"] for one in calibration["bins"]) == N
    assert len(calibration["bins"]) == 15


def test_what_was_found_out_beside_the_metrics_is_kept(root):
    from pipeline.evaluation.corruptions import CORRUPTIONS

    run(PARAMS, studies=["scratch", "transfer"], root=root)
    written = read(root / "results/evaluation.json")
    record = EvaluationRecord.from_json(written)
    assert read(root / "results/evaluation.json") == json.loads(json.dumps(record.to_json()))
    found = record.studies["transfer"]
    assert read(root / "results/speed.json")["transfer"] > 0
    assert found.cost.num_parameters == 16 * 3 + 3
    assert found.cost.megabytes == (root / "models/transfer.keras").stat().st_size / 1e6
    assert [one.name for one in found.corruptions] == list(CORRUPTIONS)
    by_name = {one.name: one for one in found.corruptions}
    # Half as bright, the brightest pixel of row 0 is the same.
    assert (by_name["dark"].accuracy.value, by_name["dark"].accuracy.n) == (1.0, 30)
    assert by_name["dark"].change.value == 0
    assert [one.accuracy for one in found.abstentions] == [1.0] * 5
    assert found.dropout is None
    (pair,) = record.comparisons
    assert (pair.first, pair.second) == ("scratch", "transfer")
    assert (pair.only_first, pair.only_second) == (0, 20)
    assert pair.p_value == pytest.approx(2 * 0.5**20)
    assert pair.difference.value == pytest.approx(-1 / 3)


def test_a_model_with_dropout_is_judged_with_it_switched_on_too(root):
    import keras

    pixels = keras.Input((4, 4), dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    dense = keras.layers.Dense(3, activation="softmax")
    model = keras.Model(pixels, dense(keras.layers.Dropout(0.5)(flat)))
    weights = np.zeros((16, 3), np.float32)
    weights[:3] = 5 * np.eye(3)
    dense.set_weights([weights, np.zeros(3, np.float32)])
    (root / "models").unlink()
    (root / "models").mkdir()
    model.save(root / "models/dropped.keras")
    run(PARAMS, studies=["dropped"], root=root)
    found = EvaluationRecord.from_json(read(root / "results/evaluation.json")).studies["dropped"]
    assert found.dropout.num_passes == PARAMS.dropout_passes
    assert found.dropout.metrics["accuracy"].n == N
    # Half of the time the pixel that tells the class is dropped.
    plain = read(root / "results/metrics.json")["dropped"]["log_loss"]["value"]
    assert found.dropout.metrics["log_loss"].value > 5 * plain
    assert [one.n for one in found.dropout.abstentions] == [one.n for one in found.abstentions]


def test_nothing_more_is_tried_where_none_is_asked_for(root):
    params = PARAMS.model_copy(update={"corrupted_images": 0, "dropout_passes": 0})
    run(params, studies=["transfer"], root=root)
    found = read(root / "results/evaluation.json")["studies"]["transfer"]
    assert (found["corruptions"], found["dropout"]) == ([], None)


def test_a_study_that_was_removed_leaves_nothing(root):
    run(PARAMS, studies=["scratch", "transfer"], root=root)
    run(PARAMS, studies=["transfer"], root=root)
    assert list(read(root / "results/metrics.json")) == ["transfer"]
    assert list(read(root / "results/calibration.json")) == ["transfer"]
    assert [file.name for file in (root / "results/confusion").iterdir()] == ["transfer.csv"]
    with np.load(root / "results/predictions.npz") as archive:
        assert not any(name.startswith("scratch") for name in archive.files)


def test_two_runs_give_the_same_bytes(root):
    names = (
        "metrics.json",
        "evaluation.json",
        "predictions.npz",
        "calibration.json",
        "confusion/transfer.csv",
    )
    run(PARAMS, studies=["transfer"], root=root)
    first = [(root / "results" / name).read_bytes() for name in names]
    run(PARAMS, studies=["transfer"], root=root)
    assert [(root / "results" / name).read_bytes() for name in names] == first


def test_says_what_it_reached(root, caplog):
    with caplog.at_level("INFO"):
        metrics = run(PARAMS, studies=["transfer"], root=root)
    assert metrics["transfer"]["accuracy"].value == 1.0
    assert "accuracy on the test part: transfer 1.0000" in caplog.text


def test_missing_models_are_named_at_once_with_the_command(root):
    with pytest.raises(StudyError) as caught:
        run(PARAMS, studies=["new", "transfer", "newer"], root=root)
    text = str(caught.value)
    assert "models/new.keras, " in text
    assert "Run `dvc repro confirm@new confirm@newer`" in text
    assert "\n" not in text
    assert not (root / "results").exists()


def test_a_model_of_other_classes_is_refused(root):
    with pytest.raises(DataIntegrityError, match=r"shape \(60, 3\).*Received: shape \(60, 4\)"):
        run(PARAMS, studies=["other"], root=root)


def test_a_model_that_gives_no_numbers_is_refused(root, tmp_path):
    (root / "models").unlink()
    save_model(root / "models/broken.keras", np.full((3, 3), np.nan))
    with pytest.raises(DataIntegrityError, match=r"finite probabilities.* 180 not a number"):
        run(PARAMS, studies=["broken"], root=root)


def command(folder):
    """Runs the stage as DVC does, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline", "evaluate"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_command_judges_the_studies_of_params_yaml(root):
    (root / "params.yaml").write_text(f"{SECTION}studies: {{transfer: {{base: none}}}}\n")
    ended = command(root)
    assert ended.returncode == 0, ended.stderr
    assert list(read(root / "results/metrics.json")) == ["transfer"]
    assert "accuracy" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_command_refuses_missing_models_in_one_line_without_tensorflow(root):
    (root / "params.yaml").write_text(f"{SECTION}studies: {{new: {{base: none}}}}\n")
    # Found before the real one.
    (root / "tensorflow.py").write_text("raise AssertionError('TensorFlow was imported')\n")
    ended = command(root)
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "models/new.keras. Run `dvc repro confirm@new`" in ended.stderr


def test_main_refuses_no_studies(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text("studies: {}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"studies must name at least one\. Received: \{\}"):
        main()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("bootstrap", 10, "evaluate.bootstrap: Input should be greater than or equal to 100"),
        ("seed", -1, "evaluate.seed"),
        ("batch_size", "16", "evaluate.batch_size: must be auto, or a whole number of at least 1"),
    ],
)
def test_wrong_parameters_are_named(key, value, message):
    section = {**PARAMS.model_dump(), key: value}
    with pytest.raises(ConfigError, match=message):
        parse_section(EvaluateParams, "evaluate", section)
