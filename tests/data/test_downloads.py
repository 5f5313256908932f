"""A real server on loopback serves files well and badly; nothing but the published file is kept."""

import io
import os
import tarfile
import time

import pytest

from pipeline.data import downloads
from pipeline.data.datasets import SourceFile
from pipeline.data.downloads import copy_file, download, is_kept, receive, unpack
from pipeline.errors import DataIntegrityError, SourceError
from pipeline.steps import shown

CONTENT = bytes(range(256)) * 10_000  # 2.56 MB: several blocks.


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def file(published):
    return published("a.gz", CONTENT)


def fetch(server, file, folder, timeout_seconds=5.0):
    download(f"{server.address}a.gz", file, folder, timeout_seconds=timeout_seconds)


def test_the_published_file_arrives(server, file, tmp_path):
    server.serve("a.gz", CONTENT)
    fetch(server, file, tmp_path / "new")
    assert (tmp_path / "new" / "a.gz").read_bytes() == CONTENT
    assert names_in(tmp_path / "new") == ["a.gz"]


def test_a_wrong_file_of_the_right_size_is_refused_with_both_hashes(server, file, tmp_path):
    server.serve("a.gz", CONTENT[::-1])
    with pytest.raises(
        DataIntegrityError, match=rf"sha256 {file.sha256}.*sha256=\w{{64}}, 2,560,000"
    ):
        fetch(server, file, tmp_path)
    assert names_in(tmp_path) == []
    assert len(server.requests) == 1, "a wrong file stays wrong"


def test_an_html_page_in_place_of_the_file_is_refused_as_too_short(server, file, tmp_path):
    server.serve("a.gz", b"<html>moved</html>")
    with pytest.raises(DataIntegrityError, match="18 bytes, cut short; it was not kept"):
        fetch(server, file, tmp_path)
    assert names_in(tmp_path) == []


def test_a_longer_file_is_refused_without_reading_all_of_it(server, file, tmp_path):
    server.serve("a.gz", CONTENT * 20)
    with pytest.raises(DataIntegrityError, match=r", [23],\d{3},\d{3} bytes and more"):
        fetch(server, file, tmp_path)
    assert names_in(tmp_path) == []


def test_a_cut_file_is_refused_with_both_hashes_after_a_second_try(server, file, tmp_path):
    server.cut("a.gz", CONTENT)
    expected = rf"sha256 {file.sha256} .*sha256=\w{{64}}, 1,280,000 bytes, cut short"
    with pytest.raises(DataIntegrityError, match=expected):
        fetch(server, file, tmp_path)
    assert names_in(tmp_path) == []
    assert len(server.requests) == 2


def test_a_connection_that_breaks_once_is_forgiven(server, file, tmp_path):
    server.cut("a.gz", CONTENT, times=1)
    fetch(server, file, tmp_path)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_while_a_file_comes_it_is_shown_how_much_of_it_is_there(
    server, file, tmp_path, monkeypatch
):
    server.serve("a.gz", CONTENT)
    seen, read = [], downloads._read

    def look(*arguments):
        seen.extend(line for one in shown() for line in one.lines(time.monotonic()))
        return read(*arguments)

    monkeypatch.setattr(downloads, "_read", look)
    fetch(server, file, tmp_path)
    assert (seen[0], seen[-1]) == ("a.gz: 0.0 of 2.6 MB", "a.gz: 2.6 of 2.6 MB")
    assert shown() == ()


def test_a_server_that_falls_silent_is_given_up_after_two_timeouts(server, file, tmp_path):
    server.stall("a.gz", CONTENT)
    start = time.monotonic()
    with pytest.raises(SourceError, match=r"stopped at [\d,]+ of 2,560,000.*timed out"):
        fetch(server, file, tmp_path, timeout_seconds=0.3)
    assert time.monotonic() - start < 20
    assert len(server.requests) == 2
    assert names_in(tmp_path) == []


def test_a_missing_file_says_what_the_server_said(server, file, tmp_path):
    with pytest.raises(SourceError, match="HTTP 404 Not Found"):
        fetch(server, file, tmp_path)
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_a_failure_of_the_source(file, tmp_path):
    with pytest.raises(SourceError, match="refused"):
        download("http://127.0.0.1:9/a.gz", file, tmp_path, timeout_seconds=1.0)
    with pytest.raises(SourceError, match=r"not known|resolution|No address"):
        download("http://no.such.host.invalid/a.gz", file, tmp_path, timeout_seconds=1.0)


def test_a_file_of_this_machine_is_checked_like_a_download(file, tmp_path):
    (tmp_path / "a.gz").write_bytes(CONTENT)
    copy_file(tmp_path / "a.gz", file, tmp_path / "cache")
    assert (tmp_path / "cache" / "a.gz").read_bytes() == CONTENT
    with pytest.raises(SourceError, match="No such file"):
        copy_file(tmp_path / "b.gz", file, tmp_path / "cache")


def test_an_empty_file_can_be_published(tmp_path, published):
    receive(io.BytesIO(b""), published("empty", b""), tmp_path)
    assert (tmp_path / "empty").read_bytes() == b""


def test_a_kept_file_is_checked_and_deleted_when_it_is_not_the_published_one(
    file, tmp_path, caplog
):
    assert not is_kept(file, tmp_path)
    (tmp_path / "a.gz").write_bytes(CONTENT)
    assert is_kept(file, tmp_path)
    (tmp_path / "a.gz").write_bytes(CONTENT[:-1])
    assert not is_kept(file, tmp_path)
    assert not (tmp_path / "a.gz").exists()
    assert f"expected sha256 {file.sha256}, found" in caplog.text


def test_a_source_file_is_named_by_three_facts():
    assert SourceFile("a", "0" * 64, 1).size_bytes == 1


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
