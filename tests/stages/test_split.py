"""The stage writes what later stages read, and only `test_file` holds the test part."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.config import parse_section
from pipeline.data.labelled import LabelledImages, save_raw
from pipeline.data.split_params import SplitParams
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.files import sha256_arrays
from pipeline.stages import split

SECTION = {
    "method": "stratified",
    "val_size": 30,
    "confirmation_size": 0.1,
    "test_size": 0.2,
    "seed": 1,
}


def params(**change):
    return parse_section(SplitParams, "split", {**SECTION, **change})


@pytest.fixture
def raw(tmp_path):
    """300 gray images in two classes, 60 of them a test part, one of which is in train, too."""
    images = np.random.default_rng(0).integers(0, 256, (300, 4, 4), np.uint8)
    images[10] = images[290]
    data = LabelledImages(
        images=images,
        labels=np.arange(300) % 2,
        parts=np.array(["train"] * 240 + ["test"] * 60),
        class_names=("cat", "dog"),
        value_range=(0, 4095),
    )
    save_raw(data, tmp_path / "raw", dataset="pets")
    return data


def run(tmp_path, **change):
    split.run(
        params(**change),
        raw=tmp_path / "raw",
        train_file=tmp_path / "train.npz",
        rows_file=tmp_path / "train_rows.npy",
        test_file=tmp_path / "test.npz",
        summary_file=tmp_path / "split.json",
    )
    with np.load(tmp_path / "train.npz") as train, np.load(tmp_path / "test.npz") as test:
        summary = json.loads((tmp_path / "split.json").read_text())
        return dict(train), dict(test), summary


def test_indices_point_into_the_file_and_cover_it(tmp_path, raw):
    train, _, _ = run(tmp_path)
    assert sorted(train) == ["confirmation", "images", "labels", "train", "val"]
    parts = [train[part] for part in ("train", "val", "confirmation")]
    assert all(indices.dtype == np.int64 for indices in parts)
    assert sorted(np.concatenate(parts)) == list(range(len(train["images"])))
    assert [len(indices) for indices in parts] == [185, 30, 24]
    assert train["images"].dtype == np.uint8
    assert train["labels"].dtype == np.int64


def test_images_keep_their_labels(tmp_path, raw):
    train, test, _ = run(tmp_path)
    label_of = {image.tobytes(): label for image, label in zip(raw.images, raw.labels, strict=True)}
    for arrays in (train, test):
        for image, label in zip(arrays["images"], arrays["labels"], strict=True):
            assert label_of[image.tobytes()] == label


def test_the_test_file_is_the_published_part_and_no_image_of_it_is_in_the_other(tmp_path, raw):
    train, test, _ = run(tmp_path)
    np.testing.assert_array_equal(test["images"], raw.images[240:])
    np.testing.assert_array_equal(test["labels"], raw.labels[240:])
    assert sorted(test) == ["images", "labels"]
    in_test = {image.tobytes() for image in test["images"]}
    assert not in_test & {image.tobytes() for image in train["images"]}


def test_the_summary_counts_what_is_in_the_files(tmp_path, raw):
    train, test, summary = run(tmp_path)
    assert (summary["dataset"], summary["class_names"]) == ("pets", ["cat", "dog"])
    assert summary["image_shape"] == [4, 4]
    assert summary["value_range"] == [0, 4095]
    for part in ("train", "val", "confirmation"):
        labels = train["labels"][train[part]]
        assert summary["counts"][part] == {
            "images": len(labels),
            "per_class": np.bincount(labels).tolist(),
        }
    assert summary["counts"]["test"] == {"images": 60, "per_class": [30, 30]}
    assert summary["duplicates"]["left_out_as_in_test"] == 1
    arrays = [train[name] for name in ("images", "labels", "train", "val", "confirmation")]
    assert summary["sha256"]["train"] == sha256_arrays(*arrays)
    assert summary["sha256"]["test"] == sha256_arrays(test["images"], test["labels"])


def test_the_same_params_give_the_same_bytes(tmp_path, raw):
    files = [tmp_path / name for name in ("train.npz", "test.npz", "split.json")]
    contents = []
    for seed in (1, 1, 2):
        run(tmp_path, seed=seed)
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1]
    assert contents[0][0] != contents[2][0]


def test_first_n_takes_the_first_images(tmp_path, raw):
    train, _, _ = run(tmp_path, method="first_n", val_size=50)
    assert train["val"].tolist() == list(range(50))


def test_a_test_part_is_drawn_where_there_is_none(tmp_path, raw):
    data = LabelledImages(
        images=raw.images,
        labels=raw.labels,
        parts=np.full(300, "train"),
        class_names=raw.class_names,
    )
    save_raw(data, tmp_path / "raw", dataset="pets")
    train, test, _ = run(tmp_path)
    assert len(test["images"]) == 60
    assert len(train["images"]) in (239, 240)


def test_what_auto_chose_is_logged_with_the_reason_and_the_keys(tmp_path, raw, caplog):
    caplog.set_level("INFO")
    train, _, summary = run(tmp_path, val_size="auto", confirmation_size="auto")
    assert len(train["val"]) == len(train["confirmation"]) == 35
    assert summary["counts"]["val"] == {"images": 35, "per_class": [17, 18]}
    assert (
        "sizes that are auto: val 35 (15% of 239; tells 0.8 to +-0.068), confirmation 35 (15% of "
        "239; tells 0.8 to +-0.068); split.val_size, split.confirmation_size say otherwise"
    ) in caplog.text
    caplog.clear()
    run(tmp_path)
    assert "auto" not in caplog.text


def test_what_was_identical_is_logged(tmp_path, raw, caplog):
    caplog.set_level("INFO")
    run(tmp_path)
    assert "299" not in caplog.text
    assert "300 images: 185 train, 30 val, 24 confirmation, 60 test" in caplog.text
    assert "identical images: 1 left out as in test" in caplog.text
    assert "have another label elsewhere" not in caplog.text


def test_what_was_nearly_identical_is_counted_and_logged_with_what_that_means(
    tmp_path, raw, caplog
):
    caplog.set_level("INFO")
    images = raw.images.repeat(8, axis=1).repeat(8, axis=2)
    images[12] = np.round(0.95 * images[291])
    save_raw(replace(raw, images=images), tmp_path / "raw", dataset="pets")
    _, _, summary = run(tmp_path)
    assert summary["duplicates"]["near_copies_left_out_as_in_test"] == 1
    assert summary["duplicates"]["near_copies_with_conflicting_labels"] == 2
    assert "near-identical images: 1 left out as in test, 2 with conflicting labels" in caplog.text
    assert "near-identical: the same picture, resized, compressed, 5% brighter" in caplog.text
    assert "2 pictures, or near copies of them, have another label elsewhere: `dvc" in caplog.text
    assert " identical images: 1 left out as in test" in caplog.text


def test_many_images_that_are_left_out_are_a_warning(tmp_path, raw, caplog):
    run(tmp_path)
    assert "images are left out" not in caplog.text
    images = raw.images.copy()
    images[10:14] = images[290:294]
    save_raw(replace(raw, images=images), tmp_path / "raw", dataset="pets")
    run(tmp_path)
    assert "4 of 300 images are left out, since another part holds the same" in caplog.text


def test_changed_raw_data_is_refused(tmp_path, raw):
    np.save(tmp_path / "raw" / "labels.npy", raw.labels[::-1].copy())
    with pytest.raises(DataIntegrityError, match=r"labels\.npy must hold what its manifest says"):
        run(tmp_path)
    assert not (tmp_path / "train.npz").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val_size": "64"}, "split.val_size: must be auto, a number of images, 1 or more, or a"),
        ({"val_size": "Auto"}, "or a share between 0 and 1. Received: 'Auto'."),
        ({"val_size": 0}, "between 0 and 1. Received: 0."),
        ({"val_size": 1.0}, "between 0 and 1. Received: 1.0."),
        ({"val_size": -5}, "between 0 and 1. Received: -5."),
        ({"val_size": True}, "between 0 and 1. Received: True."),
        ({"val_size": None}, "between 0 and 1. Received: None."),
        ({"confirmation_size": 0}, "split.confirmation_size: must be auto, a number"),
        ({"test_size": 1.5}, "split.test_size: must be auto, a number of images"),
        ({"seed": -1}, "split.seed: Input should be greater than or equal to 0. Received: -1."),
        ({"method": "random"}, "split.method: Input should be 'stratified' or 'first_n'."),
        ({"method": "first_n", "val_size": 0.1}, "where method is first_n. Received: val_size=0.1"),
        ({"val_size": 0.6, "confirmation_size": 0.4}, "must leave a share to train on. Received: "),
        ({"vall_size": 1}, "split.vall_size: there is no such key. Did you mean 'val_size'?"),
    ],
)
def test_a_section_that_cannot_run_is_refused_by_key(change, message):
    with pytest.raises(ConfigError) as caught:
        params(**change)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2
