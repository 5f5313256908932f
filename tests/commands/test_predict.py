"""Image files get a class and probabilities from the champion, or from a file."""

import argparse
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from pipeline.commands.predict import (
    add_arguments,
    described,
    image_files,
    main,
    registered_model,
)
from pipeline.errors import ConfigError
from pipeline.files import sha256_file
from pipeline.records.mirror.dataset_inputs import data_digest
from pipeline.split_record import SPLIT_FILE, read_split, write_split
from pipeline.trials.confirmation import write_confirmation
from pipeline.trials.registration import write_registration
from testing.chain import write_missing
from testing.records import made_confirmation, made_registration
from testing.split import split_record


def predict(*arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture
def root(tmp_path, monkeypatch, params_document):
    """A repository of a dataset of dark and bright images, where nothing has run."""
    enter(tmp_path, monkeypatch, params_document)
    return tmp_path


@pytest.fixture
def registered(repository, monkeypatch, params_document):
    """A repository whose dataset has a champion; only for reading."""
    enter(repository, monkeypatch, params_document)
    return repository


def enter(root, monkeypatch, document):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(root)
    fetch = {**document["fetch"], "dataset": "folder", "path": "data/light"}
    (root / "params.yaml").write_text(json.dumps({"fetch": fetch}))


@pytest.fixture
def photos(tmp_path):
    """A dark and a bright photograph of other sizes than the models take."""
    from PIL import Image

    paths = [tmp_path / "night.png", tmp_path / "day.jpg"]
    for path, gray in zip(paths, (10, 240), strict=True):
        Image.new("RGB", (60, 40), (gray, gray, gray)).save(path)
    return paths


def save_model(file, shape, *, dtype="uint8", activation="softmax"):
    """Bright images are class 1: its logit is the mean pixel / 64 - 2, the other's the negative."""
    import keras

    images = keras.Input(shape, dtype=dtype)
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 64, offset=-2)(images))
    dense = keras.layers.Dense(2, activation=activation)
    model = keras.Model(images, dense(x))
    size = int(np.prod(shape))
    dense.set_weights([np.stack([-np.ones(size), np.ones(size)], axis=1) / size, np.zeros(2)])
    file.parent.mkdir(exist_ok=True)
    model.save(file)
    return file


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository whose `register` stage has made a champion."""
    from pipeline.records.model_registry.params import RegisterParams
    from pipeline.stages.register import run

    root = tmp_path_factory.mktemp("repository")
    light = {"dataset": "light", "class_names": ("dark", "bright"), "value_range": (0, 4095)}
    write_split(split_record(**light, per_class=(1, 1)), root / SPLIT_FILE)
    model_file = save_model(root / "models/transfer.keras", (8, 8))
    write_json(root / "results/metrics.json", {})
    record = made_confirmation(
        **{"study": "transfer", "base": "efficientnet_lite0", "n": 2, "members": [(0, 1)]},
        exported={"file_sha256": sha256_file(model_file), "verified": {"n": 2}},
    )
    write_confirmation(root, record)
    np.savez(root / "data/train.npz", images=np.zeros((3, 8, 8), np.uint8), train=np.arange(3))
    write_missing(root)
    run(RegisterParams(study="auto"), studies=["transfer"], root=root)
    return root


def write_json(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def test_the_champion_is_of_the_data_set_that_params_yaml_splits_and_registers(root):
    """Each as far as it has come; a registration of an earlier data set does not count."""
    assert registered_model(root) == "light-classifier"
    write_split(split_record(dataset="shades"), root / SPLIT_FILE)
    assert registered_model(root) == "shades-classifier"
    for name, expected in (
        ("shades-classifier-0a1b2c3d", "shades-classifier-0a1b2c3d"),
        ("light-classifier", "shades-classifier"),
        ("shades-of-red-classifier", "shades-classifier"),
    ):
        write_registration(root, made_registration(registered_model=name))
        assert registered_model(root) == expected


def test_only_the_largest_probabilities_are_shown():
    row = np.float32([0.125, 0.5, 0.375])
    assert described(row, ["a", "b", "c"], top=2) == "b (b 0.5000, c 0.3750)"


def test_files_that_are_not_there_are_named_before_anything_is_loaded(root, photos):
    with pytest.raises(ConfigError, match=r"IMAGE must be .* Received: no\.png, nor/\*\.png"):
        predict("no.png", photos[0], "nor/*.png")


def test_folders_and_patterns_name_pictures_each_once_in_order(tmp_path):
    litter = ("b/notes.txt", "b/._1.jpg", "b/.thumbs/x.png", "b/@eaDir/1.JPG")
    for name in ("b/2.png", "b/c/1.JPG", "a.png", *litter):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = image_files([str(tmp_path / "b"), str(tmp_path / "**/*.png")])
    assert [str(file.relative_to(tmp_path)) for file in found] == ["b/2.png", "b/c/1.JPG", "a.png"]
    (tmp_path / "links").mkdir()
    (tmp_path / "links/c").symlink_to(tmp_path / "b/c")
    assert image_files([str(tmp_path / "links")]) == [tmp_path / "links/c/1.JPG"]
    # What cannot be read here is named, one by one.
    (tmp_path / "links/x.heic").write_bytes(b"\0\0\0\x18ftypheic")
    assert tmp_path / "links/x.heic" in image_files([str(tmp_path / "links")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="a folder with pictures in it"):
        image_files([str(tmp_path / "empty")])


def test_without_a_store_it_says_what_to_do(root, photos):
    with pytest.raises(ConfigError, match=r"Nothing has been recorded yet.*Run `dvc repro`"):
        predict(*photos)


@pytest.mark.keras
class TestWithModels:
    def test_the_champion_names_the_class_of_each_image(self, registered, photos, capsys):
        assert predict(*photos) == 0
        model, night, day = capsys.readouterr().out.splitlines()
        assert model == "model: light-classifier version 1"
        assert night.startswith(f"{photos[0]}: dark (dark 0.97")
        assert day.startswith(f"{photos[1]}: bright (bright 0.97")

    def test_the_champion_answers_without_tensorflow(self, registered, photos):
        """Its start alone takes 5 s of a core."""
        code = (
            "import sys; from pipeline.__main__ import main\n"
            f"main(['predict', {str(photos[0])!r}])\n"
            "sys.exit(bool({'tensorflow', 'keras'} & sys.modules.keys()))"
        )
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=registered, check=False, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert ": dark (dark 0.97" in done.stdout

    def test_a_version_of_an_early_release_answers_through_keras(
        self, registered, photos, capsys, monkeypatch
    ):
        from pipeline.records.model_registry import registered_file

        predict(*photos)
        answers = capsys.readouterr().out
        monkeypatch.setattr(registered_file, "ONNX_SHA256", "no tag of this name")
        predict(*photos)
        assert capsys.readouterr().out == answers

    @pytest.mark.parametrize(
        ("change", "here"),
        [
            ({"sha256": {"train": "cd" * 32}}, r"cdcdcdcd \(2 classes: dark, bright\)"),
            ({"class_names": ["bright", "dark"]}, r"abababab \(2 classes: bright, dark\)"),
        ],
    )
    def test_a_champion_of_other_data_answers_only_by_its_name(
        self, registered, photos, capsys, change, here
    ):
        file = registered / "data/split.json"
        split = json.loads(file.read_text())
        write_json(file, {**split, **change})
        try:
            with pytest.raises(ConfigError) as caught:
                predict(*photos)
            name = "models:/light-classifier@champion"
            assert predict(photos[0], "--model", name) == 0
        finally:
            write_json(file, split)
        message = str(caught.value)
        learned = r"version 1, learned from abababab \(2 classes: dark, bright\), in \S+:"
        assert re.search(f"{learned}.*; the data of this checkout are {here}", message)
        assert f"--model {name} uses it anyway" in message
        assert "\n" not in message

    def test_a_champion_that_stayed_on_these_very_data_answers(self, registered, photos, capsys):
        split, report = registered / "data/split.json", registered / "results/registration.json"
        contents = {file: file.read_text() for file in (split, report)}
        write_json(split, {**json.loads(contents[split]), "sha256": {"train": "cd" * 32}})
        record = {**json.loads(contents[report]), "version": "2"}
        try:
            for digest, is_of_these in ((data_digest(read_split(registered)), True), ("ab", False)):
                stayed = {"version": "1", "data_digest": digest}
                write_json(report, {**record, "stayed": stayed})
                if is_of_these:
                    assert predict(*photos) == 0
                    continue
                with pytest.raises(ConfigError, match="the data of this checkout are"):
                    predict(*photos)
        finally:
            for file, text in contents.items():
                file.write_text(text)

    @pytest.mark.parametrize("known_by", ["nothing", "dvc.lock", "registration.json"])
    def test_where_nothing_was_pulled_the_champion_must_be_known(
        self, registered, photos, capsys, monkeypatch, known_by
    ):
        from pipeline.records.mirror.store import open_store
        from pipeline.records.model_registry import classifier
        from pipeline.records.model_registry.registered_models import ready_versions

        split = registered / "data/split.json"
        report = registered / "results/registration.json"
        contents = {file: file.read_text() for file in (split, report)}
        split.unlink()
        if known_by != "registration.json":
            report.unlink()
        if known_by == "dvc.lock":
            store = open_store(registered)
            (version,) = ready_versions(store, "light-classifier")
            store.client.set_model_version_tag(version.name, version.version, "dvc.split", "a1b2")
            monkeypatch.setattr(classifier, "dvc_tags", lambda root: {"dvc.split": "a1b2"})
        try:
            if known_by == "nothing":
                with pytest.raises(ConfigError, match=r"without data/split\.json nothing says"):
                    predict(*photos)
            else:
                assert predict(*photos) == 0
        finally:
            for file, text in contents.items():
                file.write_text(text)

    def test_a_file_takes_the_class_names_of_the_split(self, registered, photos, capsys):
        predict(photos[0], "--model", "models/transfer.keras", "--top", "1")
        said = capsys.readouterr()
        assert said.out.splitlines()[1].endswith("dark (dark 0.9756)")
        assert "holds no names of classes: these are those of data/split.json" in said.err

    @pytest.mark.parametrize("model", [(), ("--model", "models/transfer.keras")])
    def test_deep_pixels_are_brought_to_the_range_that_it_was_trained_on(
        self, registered, tmp_path, capsys, model
    ):
        from PIL import Image

        file = tmp_path / "xray.png"
        Image.fromarray(np.full((9, 9), 3900, np.uint16)).save(file)
        predict(file, *model)
        assert capsys.readouterr().out.splitlines()[1].startswith(f"{file}: bright")

    def test_a_file_without_a_split_numbers_its_classes(self, root, photos, capsys):
        predict(photos[1], "--model", save_model(root / "bright.keras", (8, 8)))
        assert ": 1 (1 0.97" in capsys.readouterr().out

    def test_a_model_for_colour_gets_colour(self, root, photos, capsys):
        predict(photos[0], "--model", save_model(root / "colour.keras", (8, 8, 3)))
        assert ": 0 (0 0.97" in capsys.readouterr().out

    @pytest.mark.parametrize("shape", [(8, 6), (8, 8, 1)])
    def test_a_model_for_what_it_cannot_prepare_is_refused(self, root, photos, shape):
        other = save_model(root / "other.keras", shape)
        with pytest.raises(ConfigError, match=re.escape(f"a model for {shape}")):
            predict(photos[0], "--model", other)

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"dtype": "float32"}, "which takes float32"),
            ({"activation": None}, "which do not sum to 1"),
        ],
    )
    def test_a_model_of_other_values_is_refused(self, root, photos, changes, problem):
        other = save_model(root / "other.keras", (8, 8), **changes)
        with pytest.raises(ConfigError, match=problem):
            predict(photos[0], "--model", other)

    def test_a_name_that_is_no_utf_8_is_printed(self, registered, photos, capsys):
        path = os.fsdecode(os.fsencode(photos[0].parent) + b"/caf\xe9.png")
        shutil.copy(photos[0], path)
        for form in ((), ("--csv",)):
            predict(path, *form)
            assert "caf\\xe9.png" in capsys.readouterr().out

    def test_a_file_that_is_no_image_is_named_and_the_others_are_answered(
        self, registered, photos, tmp_path, capsys
    ):
        text = tmp_path / "text.png"
        text.write_text("no image")
        assert predict(text, *photos) == 1
        shown = capsys.readouterr()
        assert "text.png cannot be read as an image" in shown.err
        assert [line.split(": ")[1][:4] for line in shown.out.splitlines()[1:]] == ["dark", "brig"]

    def test_as_json_and_csv_only_answers_are_put_out(
        self, registered, photos, capsys, monkeypatch
    ):
        monkeypatch.setattr("pipeline.commands.predict.IMAGES_IN_MEMORY", 1)
        predict(*photos, "--json")
        shown = capsys.readouterr()
        night, day = map(json.loads, shown.out.splitlines())
        assert (night["image"], night["class"], day["class"]) == (str(photos[0]), "dark", "bright")
        assert night["probabilities"]["dark"] == pytest.approx(0.9756, abs=1e-3)
        assert sum(day["probabilities"].values()) == pytest.approx(1)
        assert shown.err == "model: light-classifier version 1\n"
        predict(*photos, "--csv")
        rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        assert [row["class"] for row in rows] == ["dark", "bright"]
        assert float(rows[1]["bright"]) == pytest.approx(day["probabilities"]["bright"])

    def test_a_version_that_is_not_there_is_said(self, registered, photos):
        with pytest.raises(ConfigError, match="There is no such model"):
            predict(photos[0], "--model", "models:/light-classifier/7")
