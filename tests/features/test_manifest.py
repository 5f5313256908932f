"""The manifest says what there is, in the bytes of every release, and is read as it was written."""

import json
from dataclasses import asdict

import pytest

from pipeline.bases.cuts import Cut, PooledCut
from pipeline.bases.table import BaseSource
from pipeline.errors import DataIntegrityError
from pipeline.features.arrays import WrittenArray
from pipeline.features.manifest import (
    MANIFEST,
    EmbeddedCut,
    read_manifest,
    write_manifest,
)
from testing.features import embedded, manifest

ARRAY = WrittenArray(mean=[2.0, 3.0], variance=[4.0, 4.0], sha256="cd" * 32, centre=[0.0, 1.0])
VIEWS = ({"kind": "hflip"}, {"kind": "shift", "max_shift": 0.125, "number": 0})


def cut(name, **changes):
    told = {"shape": (2, 2, 4), "num_parameters_below": 9, "num_parameters_above": 1}
    return Cut(name=name, **{**told, **changes})


PARTS = (
    cut("low", pooling="grid2"),
    cut("top", shape=(6,), num_parameters_below=70),
)
JOINED = cut("low+top", shape=(22,), num_parameters_below=70, parts=PARTS)


def of(kept, **changes):
    return EmbeddedCut.of(kept, ARRAY, **{"key": "ef" * 32, "rank": None, **changes})


def base_manifest(**changes):
    told = {
        "base": "lite",
        "image_size": 32,
        "weights_sha256": "ab" * 32,
        "source": BaseSource(model="own.keras", input_range=[-1.0, 1.0]),
    }
    cuts = {"low+top": of(JOINED, rank=0), "block": of(cut("block", pooling="average"))}
    return manifest(cuts, **{**told, **changes})


WRITTEN = {
    "base": "lite",
    "source": {"model": "own.keras", "input_range": [-1.0, 1.0]},
    "image_size": 32,
    "image_shape": [8, 8],
    "num_images": 6,
    "num_classes": 2,
    "weights_sha256": "ab" * 32,
    "cuts": {
        "block": {
            "file": "block.npy",
            "shape": [2, 2, 4],
            "dtype": "float16",
            "mean": [2.0, 3.0],
            "variance": [4.0, 4.0],
            "centre": [0.0, 1.0],
            "num_parameters_below": 9,
            "sha256": "cd" * 32,
            "key": "ef" * 32,
            "pooling": "average",
        },
        "low+top": {
            "file": "low+top.npy",
            "shape": [22],
            "dtype": "float16",
            "mean": [2.0, 3.0],
            "variance": [4.0, 4.0],
            "centre": [0.0, 1.0],
            "num_parameters_below": 70,
            "sha256": "cd" * 32,
            "key": "ef" * 32,
            "rank": 0,
            "parts": [
                {"cut": "low", "pooling": "grid2", "shape": [2, 2, 4], "num_parameters_below": 9},
                {"cut": "top", "pooling": "none", "shape": [6], "num_parameters_below": 70},
            ],
        },
    },
}


def content(folder):
    return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))


def test_a_base_has_its_source_and_its_cuts(tmp_path):
    write_manifest(base_manifest(), tmp_path)
    assert content(tmp_path) == WRITTEN


def test_where_there_are_views_it_names_the_file_of_the_rows(tmp_path):
    rows = {"num_rows": 14, "row_images": "row_images.npy"}
    write_manifest(base_manifest(views=VIEWS, **rows), tmp_path)
    assert content(tmp_path) == {**WRITTEN, **rows, "views": list(VIEWS)}


def test_it_is_read_as_it_was_written_and_written_as_it_was_read(tmp_path):
    said = base_manifest(views=VIEWS, num_rows=14, row_images="row_images.npy")
    write_manifest(said, tmp_path)
    before, found = (tmp_path / MANIFEST).read_bytes(), read_manifest(tmp_path)
    assert json.dumps(asdict(found), sort_keys=True) == json.dumps(asdict(said), sort_keys=True)
    write_manifest(found, tmp_path)
    assert (tmp_path / MANIFEST).read_bytes() == before


def test_what_earlier_releases_did_not_say_has_a_default(tmp_path):
    later = ("centre", "sha256", "key", "pooling")
    entry = {key: value for key, value in WRITTEN["cuts"]["block"].items() if key not in later}
    old = {key: value for key, value in WRITTEN.items() if key != "source"} | {"left_out": []}
    (tmp_path / MANIFEST).write_text(json.dumps({**old, "cuts": {"block": entry}}))
    found = read_manifest(tmp_path)
    assert (found.source, found.views, found.row_images) == (None, (), None)
    block = found.cuts["block"]
    assert (block.centre, block.key, block.rank, block.parts) == ((0.0,), None, None, ())
    assert block.is_whole
    assert found.feed("block") == (PooledCut(layer="block"),)


def test_a_folder_without_one_says_what_to_run(tmp_path):
    with pytest.raises(DataIntegrityError, match=r"no manifest\.json yet.* Run `dvc repro` first"):
        read_manifest(tmp_path)


class TestFeed:
    @pytest.mark.parametrize("kept", [JOINED, cut("low:grid4", parts=PARTS[:1]), PARTS[0]])
    def test_it_is_that_of_the_cut(self, kept):
        assert manifest({kept.name: of(kept)}).feed(kept.name) == kept.feed

    def test_several_cuts_have_a_size_each(self):
        assert of(JOINED).part_sizes == (16, 6)
        # Of one there is nothing to be kept apart, whatever its name says.
        assert of(cut("low:grid4", parts=PARTS[:1])).part_sizes == of(PARTS[0]).part_sizes == ()

    def test_only_one_layer_as_it_is_is_whole(self):
        assert [of(kept).is_whole for kept in (JOINED, *PARTS)] == [False, False, True]
        assert embedded().is_whole
