"""The record of a split is read as it was written, and earlier releases' with defaults."""

import json

import pytest

from pipeline.errors import DataIntegrityError
from pipeline.split_record import SPLIT_FILE, find_split, read_split, write_split
from testing.split import PARTS, split_record

RECORD = split_record(
    source={"dataset": "folder", "path": "data/own"},
    value_range=(0.0, 4095.0),
    duplicates={"copies_within_train": 3},
    per_class=(4, 6),
)


def test_the_file_has_the_keys_that_it_always_had(tmp_path):
    write_split(RECORD, tmp_path / SPLIT_FILE)
    assert json.loads((tmp_path / SPLIT_FILE).read_text()) == {
        "dataset": "digits",
        "class_names": ["zero", "one"],
        "image_shape": [8, 8],
        "counts": {part: {"images": 10, "per_class": [4, 6]} for part in PARTS},
        "duplicates": {"copies_within_train": 3},
        "sha256": {"train": "ab" * 32, "test": "cd" * 32},
        "source": {"dataset": "folder", "path": "data/own"},
        "value_range": [0.0, 4095.0],
    }


def test_it_is_read_as_it_was_written(tmp_path):
    write_split(RECORD, tmp_path / SPLIT_FILE)
    assert read_split(tmp_path) == find_split(tmp_path) == RECORD


def test_what_earlier_releases_did_not_say_has_a_default(tmp_path):
    write_split(RECORD, tmp_path / SPLIT_FILE)
    said = json.loads((tmp_path / SPLIT_FILE).read_text())
    del said["source"], said["value_range"]
    (tmp_path / SPLIT_FILE).write_text(json.dumps(said))
    found = read_split(tmp_path)
    assert (found.source, found.value_range) == ({}, None)


def test_without_one_there_is_none_or_what_to_run_is_said(tmp_path):
    assert find_split(tmp_path) is None
    with pytest.raises(DataIntegrityError, match=r"no split\.json yet: .* Run `dvc repro` first"):
        read_split(tmp_path)
