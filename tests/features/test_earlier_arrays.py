"""Arrays of earlier runs are found by their key, and taken only if they are whole."""

import hashlib
import json
import logging
import os

import pytest

from pipeline.features.earlier_arrays import (
    EarlierArrays,
    copy_array,
    files_in,
    is_whole,
    remove_all_but,
)

KEY_ALONE = '{"cuts": {"block": {"file": "block.npy", "key": "k1"}}}'


def write_base(folder, *, key="k1", content=b"values", name="block"):
    """A folder of features with one array."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.npy").write_bytes(content)
    entry = {
        "file": f"{name}.npy",
        "key": key,
        "mean": [1.0],
        "variance": [2.0],
        "centre": [0.5],
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    (folder / "manifest.json").write_text(json.dumps({"cuts": {name: entry}}))


def find(folder, key="k1"):
    return next(EarlierArrays([files_in(folder)]).find(key), None)


def test_an_array_is_found_by_what_it_depends_on(tmp_path):
    write_base(tmp_path / "one", key="k1")
    write_base(tmp_path / "two", key="k2", name="other")
    found = find(tmp_path, "k2")
    assert found.file == tmp_path / "two/other.npy"
    array = found.array
    assert (array.mean, array.variance, array.centre) == ([1.0], [2.0], [0.5])
    assert is_whole(found)
    assert find(tmp_path, "k3") is None


def test_the_first_folder_that_has_it_is_asked_and_no_other(tmp_path):
    write_base(tmp_path / "new/one")
    write_base(tmp_path / "old/one")

    def folders():
        yield files_in(tmp_path / "new")
        raise AssertionError("looked further than needed")

    found = next(EarlierArrays(folders()).find("k1"))
    assert found.file.is_relative_to(tmp_path / "new")


def test_all_arrays_of_a_key_are_found_each_file_once_and_again_for_whoever_asks_later(tmp_path):
    for name in ("new", "old"):
        write_base(tmp_path / name / "one")
        write_base(tmp_path / name / "two", key="k2")
    folders = [files_in(tmp_path / name) for name in ("new", "new", "old")]
    arrays = EarlierArrays(folders)
    expected = [tmp_path / name / "one/block.npy" for name in ("new", "old")]
    for _ in range(2):
        assert [found.file for found in arrays.find("k1")] == expected
    assert len(list(arrays.find("k2"))) == 2


def test_without_a_manifest_there_is_nothing(tmp_path):
    write_base(tmp_path / "one")
    (tmp_path / "one/manifest.json").unlink()
    assert find(tmp_path) is None


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"cuts": {"block": {"file": "block.npy"}}}', KEY_ALONE, "{}"]
)
def test_a_manifest_that_says_nothing_is_passed_over(tmp_path, text):
    write_base(tmp_path / "one")
    (tmp_path / "one/manifest.json").write_text(text)
    assert find(tmp_path) is None


def test_an_array_whose_file_is_gone_is_passed_over(tmp_path):
    write_base(tmp_path / "one")
    (tmp_path / "one/block.npy").unlink()
    assert find(tmp_path) is None


def test_a_file_that_is_not_what_the_manifest_says_is_not_taken(tmp_path, caplog):
    write_base(tmp_path / "one")
    found = find(tmp_path)
    (tmp_path / "one/block.npy").write_bytes(b"valuex")
    with caplog.at_level(logging.WARNING):
        assert not is_whole(found)
        assert not copy_array(found, tmp_path / "copy.npy")
    assert "one/block.npy is not what its manifest says, and is not taken" in caplog.text
    assert not (tmp_path / "copy.npy").exists()


def test_a_copy_is_a_file_of_its_own(tmp_path):
    write_base(tmp_path / "one")
    source = tmp_path / "one/block.npy"
    source.chmod(0o444)
    assert copy_array(find(tmp_path), tmp_path / "two/copy.npy")
    copy = tmp_path / "two/copy.npy"
    assert copy.read_bytes() == b"values"
    assert copy.stat().st_nlink == 1
    assert os.access(copy, os.W_OK)


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_what_is_removed_is_left_alone_where_it_is_linked_to(tmp_path, link):
    cache, folder = tmp_path / "cache", tmp_path / "features"
    write_base(cache)
    (folder / "base").mkdir(parents=True)
    for name in ("block.npy", "manifest.json"):
        (cache / name).chmod(0o444)
        link(cache / name, folder / "base" / name)
    remove_all_but(folder, set())
    assert list(folder.iterdir()) == []
    assert (cache / "block.npy").read_bytes() == b"values"


def test_kept_files_stay_and_their_manifest_goes(tmp_path):
    write_base(tmp_path / "one")
    write_base(tmp_path / "one", name="second")
    write_base(tmp_path / "two")
    (tmp_path / "stray.npy").write_bytes(b"")
    remove_all_but(tmp_path, {tmp_path / "one/block.npy"})
    assert list(files_in(tmp_path)) == ["one/block.npy"]
    remove_all_but(tmp_path / "never", set())
