"""Sources are tried in order, each failure is named, and what was brought stays."""

import io
import os
import signal
import subprocess
import sys
import tarfile
import textwrap
import time
from dataclasses import replace

import pytest

from pipeline.data import sources
from pipeline.data.datasets import PublicFiles, SourceFile
from pipeline.data.sources import mirror_in_use, obtain
from pipeline.errors import ConfigError, SourceError

CONTENTS = {"one.gz": b"1" * 3_000, "two.gz": b"2" * 2_000}


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def public(server, published):
    files = tuple(published(name, content) for name, content in CONTENTS.items())
    return PublicFiles(
        folder="pets",
        files=files,
        addresses=(f"{server.address}first/", f"{server.address}second/"),
    )


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def tar_of(contents):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in contents.items():
            info = tarfile.TarInfo(f"pets/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def assert_whole(paths):
    assert {name: path.read_bytes() for name, path in paths.items()} == CONTENTS


def test_the_first_source_that_works_is_enough(server, public, cache):
    for name, content in CONTENTS.items():
        server.serve(f"first/{name}", content)
    assert_whole(obtain(public, cache, mirror=None))
    assert server.requests == ["first/one.gz", "first/two.gz"]


def test_a_repeat_downloads_nothing(server, public, cache):
    for name, content in CONTENTS.items():
        server.serve(f"first/{name}", content)
    obtain(public, cache, mirror=None)
    server.requests.clear()
    assert_whole(obtain(public, cache, mirror=None))
    assert server.requests == []


def test_a_damaged_file_of_the_cache_is_fetched_again_alone(server, public, cache):
    for name, content in CONTENTS.items():
        server.serve(f"first/{name}", content)
    obtain(public, cache, mirror=None)
    server.requests.clear()
    (cache / "two.gz").write_bytes(b"x")
    assert_whole(obtain(public, cache, mirror=None))
    assert server.requests == ["first/two.gz"]


@pytest.mark.parametrize("fault", ["wrong", "cut", "absent"])
def test_after_a_bad_file_the_next_source_brings_what_is_missing(server, public, cache, fault):
    server.serve("first/one.gz", CONTENTS["one.gz"])
    if fault == "wrong":
        server.serve("first/two.gz", b"x" * 2_000)
    if fault == "cut":
        server.cut("first/two.gz", CONTENTS["two.gz"])
    for name, content in CONTENTS.items():
        server.serve(f"second/{name}", content)
    assert_whole(obtain(public, cache, mirror=None))
    assert [path for path in server.requests if "second" in path] == ["second/two.gz"]


def test_a_dead_source_costs_one_file(server, public, cache):
    for name, content in CONTENTS.items():
        server.serve(f"second/{name}", content)
    obtain(public, cache, mirror=None)
    assert server.requests == ["first/one.gz", "second/one.gz", "second/two.gz"]


def test_if_no_source_works_the_message_names_each_failure_and_the_way_out(
    server, public, cache, tmp_path, published
):
    server.serve("second/one.gz", b"wrong")
    server.serve("a.tgz", b"no archive")
    public = replace(
        public,
        archive=published("a.tgz", b"another archive"),
        archive_addresses=(server.address,),
    )
    with pytest.raises(SourceError) as caught:
        obtain(public, cache, mirror=str(tmp_path / "nowhere"))
    one, two = public.files
    lines = str(caught.value).splitlines()
    assert lines[0] == "2 of 2 files could be had from no source:"
    missing = "one.gz: No such file or directory"
    assert lines[1] == f"  mirror {tmp_path}/nowhere: pets/{missing}; {missing}"
    assert lines[2].startswith(f"  mirror {tmp_path}/nowhere, as a.tgz: pets/a.tgz: No such file")
    assert lines[3] == f"  {server.address}first/: one.gz: HTTP 404 Not Found"
    assert lines[4].startswith(f"  {server.address}second/: one.gz must have sha256 {one.sha256}")
    assert lines[5].startswith(f"  {server.address}: a.tgz must have sha256")
    manual = "\n".join(lines[6:])
    assert f"one.gz  sha256 {one.sha256}" in manual
    assert f"two.gz  sha256 {two.sha256}" in manual
    assert "or, instead of them, a.tgz  sha256" in manual
    assert "into SOMEWHERE/pets/" in manual
    assert "PIPELINE_MIRROR=SOMEWHERE (or fetch.mirror: SOMEWHERE" in manual
    assert names_in(cache) == []


@pytest.mark.parametrize("folder", ["pets", "."], ids=["sub-folder", "flat"])
@pytest.mark.parametrize("kind", ["folder", "address"])
def test_a_mirror_is_tried_first_with_files_below_it_by_name(
    server, public, cache, tmp_path, folder, kind
):
    for name, content in CONTENTS.items():
        (tmp_path / "mirror" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "mirror" / folder / name).write_bytes(content)
        server.serve(f"mirror/{name}" if folder == "." else f"mirror/{folder}/{name}", content)
    mirror = str(tmp_path / "mirror") if kind == "folder" else f"{server.address}mirror"
    assert_whole(obtain(public, cache, mirror=mirror))
    assert not [path for path in server.requests if "first" in path]


def test_a_wrong_file_in_a_mirror_is_passed_over(server, public, cache, tmp_path, caplog):
    (tmp_path / "one.gz").write_bytes(b"wrong")
    for name, content in CONTENTS.items():
        server.serve(f"first/{name}", content)
    assert_whole(obtain(public, cache, mirror=str(tmp_path)))
    assert f"mirror {tmp_path}: one.gz must have sha256" in caplog.text


@pytest.mark.parametrize("where", ["official", "mirror", "cache"])
def test_an_archive_serves_in_place_of_its_members(
    server, public, cache, tmp_path, published, where
):
    content = tar_of({**CONTENTS, "unwanted": b"?"})
    public = replace(
        public,
        addresses=(),
        archive=published("a.tgz", content),
        archive_addresses=(server.address,),
    )
    if where == "official":
        server.serve("a.tgz", content)
    else:
        folder = cache if where == "cache" else tmp_path
        folder.mkdir(exist_ok=True)
        (folder / "a.tgz").write_bytes(content)
    mirror = str(tmp_path) if where == "mirror" else None
    assert_whole(obtain(public, cache, mirror=mirror))
    assert names_in(cache) == sorted(CONTENTS)
    assert server.requests == (["a.tgz"] if where == "official" else [])


def test_a_full_disk_is_seen_before_the_first_byte(server, public, cache):
    huge = replace(public, files=(SourceFile("one.gz", "0" * 64, 10**18),))
    with pytest.raises(ConfigError, match=r"cache needs [\d,]+ MB of free.*Received: [\d,]+ MB"):
        obtain(huge, cache, mirror=None)
    assert server.requests == []


def test_sigkill_during_a_download_leaves_no_final_file_and_the_next_run_completes(
    server, public, cache, published, tmp_path
):
    content = os.urandom(3_000_000)
    public = replace(public, files=(published("one.gz", content),))
    server.stall("first/one.gz", content)
    script = f"""
        from pathlib import Path
        from pipeline.data.datasets import SourceFile
        from pipeline.data.sources import PublicFiles, obtain
        obtain({public!r}, Path({str(cache)!r}), mirror=None)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    try:
        give_up = time.monotonic() + 60
        part = cache / "one.part.gz"
        while not (part.exists() and part.stat().st_size > 0):
            assert time.monotonic() < give_up
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert names_in(cache) == ["one.part.gz"]
    server.serve("first/one.gz", content)
    assert obtain(public, cache, mirror=None)["one.gz"].read_bytes() == content
    assert names_in(cache) == ["one.gz"]


def test_the_environment_wins_over_the_parameter(monkeypatch):
    monkeypatch.setenv("PIPELINE_MIRROR", "elsewhere")
    assert mirror_in_use("here") == "elsewhere"
    monkeypatch.setenv("PIPELINE_MIRROR", "")
    assert mirror_in_use("here") == "here"
    monkeypatch.delenv("PIPELINE_MIRROR")
    assert mirror_in_use(None) is None


@pytest.mark.parametrize("address", ["ftp://host/x", "file:///x", "s3://bucket"])
def test_a_mirror_of_another_kind_is_refused_by_name(monkeypatch, address):
    monkeypatch.setenv("PIPELINE_MIRROR", address)
    with pytest.raises(ConfigError, match=rf"PIPELINE_MIRROR must be a folder.*'{address}'"):
        mirror_in_use(None)


def test_debian_comes_last(public):
    public = replace(public, debian_package="p", archive_addresses=())
    labels = [label for label, _ in sources._sources(public, "m")]
    assert labels == ["mirror m", *public.addresses, "Debian's package p"]
