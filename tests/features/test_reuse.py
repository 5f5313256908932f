"""Arrays of earlier runs are found by what they depend on, and taken only if they are whole."""

import errno
import hashlib
import logging
import multiprocessing
import os

import pytest

from pipeline.features.arrays import WrittenArray
from pipeline.features.frozen import ENGINES
from pipeline.features.keys import engine_key
from pipeline.features.reuse import ArrayStore
from testing.features import embedded, write_cuts

FAST, SLOW = (engine_key("k1", engine) for engine in ENGINES)


@pytest.fixture
def store(tmp_path):
    return ArrayStore(tmp_path / "store")


def keep(store, key=FAST, content=b"values"):
    """Writes an array as `embed` does, and keeps it."""
    folder = store.folder.parent / "written"
    folder.mkdir(exist_ok=True)
    file = folder / "block.npy"
    file.unlink(missing_ok=True)
    file.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    array = WrittenArray(mean=[1.0], variance=[0.1], sha256=digest, centre=[0.5])
    store.keep({"block": (key, array)}, folder)
    return file, array


def test_an_array_is_taken_by_what_it_depends_on(store, tmp_path):
    _, array = keep(store)
    keys = {"cut": "k1", "other": "k2"}
    assert store.take(keys, tmp_path / "base") == {"cut": (FAST, array)}
    assert (tmp_path / "base/cut.npy").read_bytes() == b"values"
    assert not (tmp_path / "base/other.npy").exists()


def test_what_the_preferred_engine_made_is_taken_first(store, tmp_path):
    _, slow = keep(store, SLOW, b"slow")
    assert store.take({"cut": "k1"}, tmp_path / "one") == {"cut": (SLOW, slow)}
    _, fast = keep(store, FAST, b"fast")
    assert store.take({"cut": "k1"}, tmp_path / "two") == {"cut": (FAST, fast)}


def test_what_is_taken_and_kept_costs_no_disk(store, tmp_path):
    file, _ = keep(store)
    store.take({"cut": "k1"}, tmp_path / "base")
    assert (tmp_path / "base/cut.npy").stat().st_ino == file.stat().st_ino
    assert file.stat().st_nlink == 3


def test_without_links_there_are_copies(store, tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refused)
    file, array = keep(store)
    assert store.take({"cut": "k1"}, tmp_path / "base") == {"cut": (FAST, array)}
    copy = tmp_path / "base/cut.npy"
    assert copy.read_bytes() == b"values"
    assert copy.stat().st_nlink == file.stat().st_nlink == 1


def test_what_was_written_into_is_not_taken_and_goes(store, tmp_path, caplog):
    file, _ = keep(store)
    file.write_bytes(b"valuex")
    with caplog.at_level(logging.WARNING):
        assert store.take({"cut": "k1"}, tmp_path / "base") == {}
    assert f"{FAST}.npy was damaged, and is not taken" in caplog.text
    assert not (tmp_path / "base/cut.npy").exists()
    assert [path.name for path in store.folder.iterdir()] == ["lock"]


def test_the_other_engines_array_will_do_where_one_is_damaged(store, tmp_path):
    _, slow = keep(store, SLOW, b"slow")
    file, _ = keep(store, FAST, b"fast")
    file.write_bytes(b"fasx")
    assert store.take({"cut": "k1"}, tmp_path / "base") == {"cut": (SLOW, slow)}


@pytest.mark.parametrize("note", [None, "", "[]", '{"mean": [1.0]}'])
def test_an_array_without_its_note_is_nothing(store, tmp_path, note):
    """As after a kill between the two, or when somebody wrote there."""
    keep(store)
    file = store.folder / f"{FAST}.json"
    file.unlink()
    if note is not None:
        file.write_text(note)
    assert store.take({"cut": "k1"}, tmp_path / "base") == {}
    keep(store, content=b"anew")
    assert list(store.take({"cut": "k1"}, tmp_path / "base")) == ["cut"]


def test_a_note_without_its_array_is_nothing(store, tmp_path):
    keep(store)
    (store.folder / f"{FAST}.npy").unlink()
    assert store.take({"cut": "k1"}, tmp_path / "base") == {}


def test_a_protected_file_is_taken_and_replaced_all_the_same(store, tmp_path):
    """DVC makes files read-only where its cache has links to them."""
    file, _ = keep(store)
    file.chmod(0o444)
    assert list(store.take({"cut": "k1"}, tmp_path / "base")) == ["cut"]
    keep(store, content=b"anew")
    stored = store.folder / f"{FAST}.npy"
    assert (stored.read_bytes(), stored.stat().st_nlink) == (b"anew", 2)
    assert (tmp_path / "base/cut.npy").read_bytes() == b"values"


def write_manifest(features, base, *keys):
    write_cuts(
        features / base, {f"cut{number}": embedded(key=key) for number, key in enumerate(keys)}
    )


def aged(store, *keys):
    """Keeps an array of six bytes for each key, the first of them the longest ago."""
    for seconds, key in enumerate(keys):
        file, _ = keep(store, key)
        file.unlink()
        os.utime(store.folder / f"{key}.json", (seconds, seconds))


def test_what_no_manifest_names_is_listed_the_last_used_first(store, tmp_path):
    aged(store, "a", "b", "c", "d")
    write_manifest(tmp_path / "features", "one", "b")
    assert store.unnamed(tmp_path / "features") == {"d": 6, "c": 6, "a": 6}
    assert list(store.unnamed(tmp_path / "never")) == ["d", "c", "b", "a"]


def test_what_embed_has_taken_is_not_listed_before_its_manifest_is_there(store, tmp_path):
    aged(store, FAST, "old")
    store.take({"cut": "k1"}, tmp_path / "features/one")
    assert store.unnamed(tmp_path / "features") == {"old": 6}


def test_what_was_used_longest_ago_goes_and_nothing_that_is_named(store, tmp_path, caplog):
    aged(store, "named", "old", FAST, "new")
    write_manifest(tmp_path / "features", "one", "named")
    store.take({"cut": "k1"}, tmp_path / "base")
    (tmp_path / "base/cut.npy").unlink()
    with caplog.at_level(logging.INFO):
        store.trim(tmp_path / "features", most_bytes=6)
    assert {path.stem for path in store.folder.glob("*.npy")} == {"named", FAST}
    assert {path.stem for path in store.folder.glob("*.json")} == {"named", FAST}
    assert "store/old of an earlier run was removed for room" in caplog.text


def test_half_of_a_kill_is_the_first_to_go(store, tmp_path):
    aged(store, "a", "b")
    (store.folder / "a.json").unlink()
    store.trim(tmp_path, most_bytes=6)
    assert list(store.unnamed(tmp_path)) == ["b"]


def keep_often(folder, key):
    for _ in range(100):
        file = folder.parent / f"{os.getpid()}" / "block.npy"
        file.parent.mkdir(exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_bytes(b"values")
        digest = hashlib.sha256(b"values").hexdigest()
        array = WrittenArray(mean=[1.0], variance=[0.1], sha256=digest, centre=[0.5])
        store = ArrayStore(folder)
        store.keep({"block": (key, array)}, file.parent)
        store.take({"cut": "k1"}, file.parent)
        for name in ("block.npy", "cut.npy"):
            (file.parent / name).unlink(missing_ok=True)
        store.trim(folder, most_bytes=0)


@pytest.mark.slow
def test_several_processes_use_one_store(store):
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=keep_often, args=(store.folder, key)) for key in (FAST, FAST, SLOW)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
