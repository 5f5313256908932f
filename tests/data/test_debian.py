"""A real apt-get brings a package from an archive that the test lays out on disk."""

import hashlib
import shutil
import subprocess

import pytest

from pipeline.data.debian import bring
from pipeline.errors import DataIntegrityError, SourceError

pytestmark = pytest.mark.skipif(
    not (shutil.which("apt-get") and shutil.which("dpkg-deb")), reason="no Debian tools here"
)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def build_package(folder, content):
    """Writes a package that holds `content` as usr/share/tiny/one, and an archive's index."""
    inside = folder / "inside"
    (inside / "usr/share/tiny").mkdir(parents=True)
    (inside / "usr/share/tiny/one").write_bytes(content)
    (inside / "DEBIAN").mkdir()
    control = "Package: tiny-data\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\n"
    (inside / "DEBIAN/control").write_text(f"{control}Description: d\n")
    deb = folder / "tiny-data_1_all.deb"
    build = ["dpkg-deb", "--root-owner-group", "-b", str(inside), str(deb)]
    subprocess.run(build, check=True, capture_output=True)
    sha256 = hashlib.sha256(deb.read_bytes()).hexdigest()
    index = f"{control}Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {sha256}\n"
    (folder / "Packages").write_text(f"{index}Description: d\n")


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Makes apt-get know one archive only, an empty folder on this disk."""
    archive = tmp_path / "archive"
    archive.mkdir()
    (tmp_path / "parts").mkdir()
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] file:{archive} ./\n")
    ran = tmp_path / "hook-ran"
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{tmp_path}/sources.list";\n'
        f'Dir::Etc::sourceparts "{tmp_path}/parts";\n'
        f'APT::Update::Post-Invoke {{ "touch {ran}"; }};\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    return archive


def test_a_file_comes_out_of_a_package_and_nothing_else_stays(archive, tmp_path, published):
    build_package(archive, b"content")
    cache = tmp_path / "a cache"
    bring("tiny-data", [published("one", b"content")], cache)
    assert names_in(cache) == ["one"]
    assert (cache / "one").read_bytes() == b"content"
    assert not (tmp_path / "hook-ran").exists(), "the machine's hooks are for its own lists"


def test_an_unknown_package_says_what_apt_said(archive, tmp_path, published):
    build_package(archive, b"content")
    with pytest.raises(SourceError, match="apt-get: Unable to locate package no-such-data"):
        bring("no-such-data", [published("one", b"content")], tmp_path / "cache")
    assert names_in(tmp_path / "cache") == []


def test_an_archive_without_an_index_says_so(archive, tmp_path, published):
    with pytest.raises(SourceError, match="Unable to locate package tiny-data"):
        bring("tiny-data", [published("one", b"content")], tmp_path / "cache")


def test_another_file_in_the_package_is_refused(archive, tmp_path, published):
    build_package(archive, b"other")
    with pytest.raises(DataIntegrityError, match="one must have sha256"):
        bring("tiny-data", [published("one", b"content")], tmp_path / "cache")
    assert names_in(tmp_path / "cache") == []


def test_a_package_without_the_file_is_refused(archive, tmp_path, published):
    build_package(archive, b"content")
    with pytest.raises(DataIntegrityError, match=r"tiny-data_1_all\.deb does not hold two"):
        bring("tiny-data", [published("two", b"content")], tmp_path / "cache")


def test_a_machine_without_apt_is_told(tmp_path, monkeypatch, published):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="apt-get is not on this machine"):
        bring("tiny-data", [published("one", b"content")], tmp_path / "cache")
