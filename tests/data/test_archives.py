"""Named members come out of a tar; nothing else does."""

import io
import os
import tarfile

import pytest

from pipeline.data.archives import unpack
from pipeline.errors import DataIntegrityError


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def write_tar(path, members):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_only_the_named_members_are_taken_whatever_their_folder(tmp_path, published):
    write_tar(tmp_path / "a.tgz", [("x/one", b"1"), ("x/other", b"?"), ("./y/two", b"22")])
    files = [published("one", b"1"), published("two", b"22")]
    unpack(tmp_path / "a.tgz", files, tmp_path / "out")
    assert names_in(tmp_path / "out") == ["one", "two"]


def test_a_path_that_climbs_out_is_not_followed(tmp_path, published):
    write_tar(tmp_path / "a.tgz", [("../../one", b"1")])
    unpack(tmp_path / "a.tgz", [published("one", b"1")], tmp_path / "in" / "out")
    assert names_in(tmp_path / "in" / "out") == ["one"]
    assert not (tmp_path / "one").exists()


def test_a_link_is_no_member(tmp_path, published):
    (tmp_path / "secret").write_bytes(b"1")
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        info = tarfile.TarInfo("one")
        info.type, info.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
        tar.addfile(info)
    with pytest.raises(DataIntegrityError, match=r"a\.tgz does not hold one"):
        unpack(tmp_path / "a.tgz", [published("one", b"1")], tmp_path / "out")


def test_a_member_with_other_content_is_refused(tmp_path, published):
    write_tar(tmp_path / "a.tgz", [("one", b"2")])
    with pytest.raises(DataIntegrityError, match="one must have sha256"):
        unpack(tmp_path / "a.tgz", [published("one", b"1")], tmp_path / "out")
    assert names_in(tmp_path / "out") == []


@pytest.mark.parametrize("keep", [0, 20, 200, 9_000])
def test_a_cut_archive_is_refused(tmp_path, published, keep):
    content = os.urandom(10_000)
    write_tar(tmp_path / "a.tgz", [("one", content)])
    whole = (tmp_path / "a.tgz").read_bytes()
    (tmp_path / "a.tgz").write_bytes(whole[:keep])
    with pytest.raises(DataIntegrityError, match=r"a\.tgz is no (whole )?tar file|cut short"):
        unpack(tmp_path / "a.tgz", [published("one", content)], tmp_path / "out")
    assert not (tmp_path / "out" / "one").exists()
