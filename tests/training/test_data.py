"""What a trial reads, and what it refuses to train on."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.bases.cuts import PooledCut
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.training.data import DataReference, load_cut
from testing import features

CUT = features.embedded(file="top.npy", shape=(2, 1), mean=[5.5], variance=[2.0])


def write_manifest(folder, cut=CUT, **changes):
    """Writes the manifest of two cuts that share an array."""
    features.write_cuts(folder, dict.fromkeys(("top", "block4"), cut), num_classes=3, **changes)


@pytest.fixture
def write(tmp_path):
    """Writes the files of 6 images with features of shape (2, 1); values can be replaced."""

    def write_files(**changes):
        arrays = {
            "images": np.zeros((6, 4, 4), np.uint8),
            "labels": np.array([0, 1, 2, 0, 1, 2]),
            "train": np.array([0, 1, 2]),
            "val": np.array([3, 4]),
            "confirmation": np.array([5]),
        }
        values = changes.pop("features", np.arange(12, dtype=np.float16).reshape(6, 2, 1))
        np.savez(tmp_path / "train.npz", **{**arrays, **changes})
        np.save(tmp_path / "top.npy", values)
        write_manifest(tmp_path)
        return DataReference(features=str(tmp_path), train_file=str(tmp_path / "train.npz"))

    return write_files


def test_features_stay_on_the_disk(write):
    cut = load_cut(write(), "top", judge=None)
    assert isinstance(cut.training.features.base, np.memmap)
    assert not cut.training.features.flags.writeable
    assert cut.training.features.dtype == np.float16
    assert cut.shape == (2, 1)
    assert (cut.mean, cut.variance) == ([5.5], [2.0])


@pytest.mark.parametrize(("written", "found"), [({"centre": [4.0]}, [4.0]), ({}, [0.0])])
def test_the_centre_is_the_manifests(write, tmp_path, written, found):
    """Arrays of earlier versions have none: they were written as they are."""
    reference = write()
    write_manifest(tmp_path, replace(CUT, **written))
    centre = load_cut(reference, "top", judge=None).training.centre
    assert centre.dtype == np.float32
    assert centre.tolist() == found


def test_parts_are_those_of_the_split(write):
    training = load_cut(write(), "top", judge=None).training
    assert training.train.tolist() == [0, 1, 2]
    assert training.val.tolist() == [3, 4]
    assert training.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert training.num_classes == 3


def test_a_part_to_judge_is_read_only_when_asked_for(write):
    reference = write()
    assert load_cut(reference, "top", judge=None).judge is None
    assert load_cut(reference, "top", judge="confirmation").judge.tolist() == [5]


def test_an_unknown_cut_lists_the_choices_and_the_nearest(write):
    with pytest.raises(ConfigError, match=r"Did you mean 'block4'\? Choose one of: block4, top"):
        load_cut(write(), "block5", judge=None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.array([0, 1, 2, 0, 1, 3])}, r"labels must lie in \[0, 3\), not in \[0, 3\]"),
        ({"labels": np.array([0, -1, 2, 0, 1, 2])}, r"not in \[-1, 2\]"),
        ({"labels": np.array([0, 1, 2, 0, 1, 1.5])}, "labels must be integers.*float64"),
        ({"features": np.zeros((5, 2, 1))}, r"top.npy must hold 6 rows. Received: 5"),
        ({"train": np.array([], np.int64)}, "the part train must not be empty"),
        ({"val": np.array([3, 6])}, r"the rows of val must lie in \[0, 6\)"),
    ],
)
def test_files_that_do_not_fit_each_other_are_refused(write, changes, message):
    with pytest.raises(DataIntegrityError, match=message):
        load_cut(write(**changes), "top", judge=None)


@pytest.mark.parametrize("name", ["manifest.json", "train.npz", "top.npy"])
def test_a_missing_file_is_named_with_the_stage_to_run(write, tmp_path, name):
    reference = write()
    (tmp_path / name).unlink()
    with pytest.raises(DataIntegrityError, match=rf"[Nn]o .*{name} (here|yet).* Run "):
        load_cut(reference, "top", judge=None)


@pytest.mark.parametrize("name", ["train.npz", "top.npy"])
def test_a_cut_off_file_is_refused(write, tmp_path, name):
    reference = write()
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataIntegrityError, match=rf"{name} is not a whole NumPy file"):
        load_cut(reference, "top", judge=None)


def test_a_part_that_the_split_does_not_have_is_named(write):
    with pytest.raises(DataIntegrityError, match=r"must hold 'judge'\. It has: images, labels"):
        load_cut(write(), "top", judge="judge")


class TestViews:
    """Three images to train on, two views of each, in blocks behind the images."""

    @pytest.fixture
    def write_views(self, write, tmp_path):
        def write_files(row_images=(*range(6), 0, 1, 2, 0, 1, 2), num_rows=12):
            values = np.arange(2 * num_rows, dtype=np.float16).reshape(num_rows, 2, 1)
            reference = write(features=values)
            np.save(tmp_path / "row_images.npy", np.array(row_images, np.int32))
            write_manifest(tmp_path, row_images="row_images.npy", num_rows=num_rows)
            return reference

        return write_files

    def test_they_are_trained_on_with_the_label_of_their_image(self, write_views):
        training = load_cut(write_views(), "top", judge=None).training
        assert training.train.tolist() == [0, 1, 2, 6, 7, 8, 9, 10, 11]
        assert training.labels[training.train].tolist() == [0, 1, 2] * 3
        assert training.val.tolist() == [3, 4]

    def test_without_them_the_images_are_left(self, write_views):
        training = load_cut(write_views(), "top", judge=None).training
        assert training.without_views().train.tolist() == [0, 1, 2]

    def test_one_of_an_image_that_is_not_trained_on_is_refused(self, write_views):
        row_images = (*range(6), 0, 1, 2, 0, 1, 3)
        with pytest.raises(DataIntegrityError, match=r"images of the part train alone"):
            load_cut(write_views(row_images), "top", judge=None)

    def test_more_or_fewer_rows_than_announced_are_refused(self, write_views):
        with pytest.raises(DataIntegrityError, match=r"must hold 12 rows. Received: 11"):
            load_cut(write_views(num_rows=11), "top", judge=None)


def test_what_was_pooled_is_said(write, tmp_path):
    reference = write()
    assert load_cut(reference, "top", judge=None).feed == (PooledCut(layer="top"),)
    write_manifest(tmp_path, replace(CUT, pooling="average"))
    feed = (PooledCut(layer="top", pooling="average"),)
    assert load_cut(reference, "top", judge=None).feed == feed
