"""What has a name is whole."""

import errno
import hashlib
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.files import (
    part_of,
    read_json,
    sha256_arrays,
    sha256_file,
    write_json,
    write_whole,
)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_content_appears_under_its_name_after_the_block(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with write_whole(path) as part:
        part.write_text("all")
        assert not path.exists()
    assert path.read_text() == "all"
    assert names_in(path.parent) == ["a.txt"]


def test_a_block_that_raises_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(TypeError), write_whole(path) as part:
        part.write_text(b"no text")
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["a.txt"]


def test_a_killed_writer_leaves_no_final_file_and_the_next_one_succeeds(tmp_path):
    path = tmp_path / "a.bin"
    script = f"""
        import os, pathlib, signal
        from pipeline.files import write_whole
        with write_whole(pathlib.Path({str(path)!r})) as part:
            part.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert part_of(path).exists()
    assert not path.exists()
    with write_whole(path) as part:
        part.write_bytes(b"whole")
    assert names_in(tmp_path) == ["a.bin"]


def test_numpy_writes_to_the_path_it_is_given(tmp_path):
    with write_whole(tmp_path / "a.npz") as part:
        np.savez(part, x=np.arange(3))
    assert np.load(tmp_path / "a.npz")["x"].tolist() == [0, 1, 2]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match=r"file/a\.txt cannot be written: .*run again"),
        write_whole(tmp_path / "file" / "a.txt"),
    ):
        pass


def test_a_disk_that_fails_is_no_mistake_of_the_user(tmp_path, monkeypatch):
    def fail(self, *args, **kwargs):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "touch", fail)
    with pytest.raises(OSError, match="Input/output error"), write_whole(tmp_path / "a.txt"):
        pass


def test_a_full_disk_is_named(tmp_path):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    path = tmp_path / "a.txt"
    with (
        pytest.raises(ConfigError, match=r"a\.txt cannot be written: No space.*Free some space"),
        write_whole(path),
        full.open("w") as target,
    ):
        target.write("x")
    assert names_in(tmp_path) == []


def test_json_has_sorted_keys_and_equal_values_give_equal_files(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [2]})
    write_json(tmp_path / "b.json", {"a": [2], "b": 1})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": [\n    2\n  ],\n  "b": 1\n}\n'
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_json_that_is_cut_off_is_named_with_what_to_do(tmp_path):
    file = tmp_path / "plan.json"
    file.write_text('{"bases": ')
    with pytest.raises(DataIntegrityError, match=r"plan\.json is not readable: .* Delete it"):
        read_json(file)


def test_hash_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_hash_of_arrays_is_that_of_their_elements_in_c_order():
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert (
        sha256_arrays(array.T, array)
        == hashlib.sha256(bytes([0, 3, 1, 4, 2, 5, *range(6)])).hexdigest()
    )
