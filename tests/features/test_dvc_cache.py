"""What DVC has kept of a stage is found, in whatever state the working tree is."""

import hashlib
import json
import os
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from pipeline.features import dvc_cache
from pipeline.features.dvc_cache import earlier_folders

STAGE = """\
stages:
  embed:
    cmd: mkdir -p data/features/one && cp value.txt data/features/one/value.txt
    deps: [value.txt]
    outs: [data/features]
"""


def dvc(folder, *arguments):
    command = [sys.executable, "-m", "dvc", *arguments]
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=environment)


@pytest.fixture
def repository(tmp_path):
    """A DVC repository whose stage `embed` has run for the values 1 and then 2."""
    dvc(tmp_path, "init", "--no-scm")
    (tmp_path / "dvc.yaml").write_text(STAGE)
    for value in ("1", "2"):
        (tmp_path / "value.txt").write_text(value)
        dvc(tmp_path, "repro")
    return tmp_path


def contents(folder):
    found = earlier_folders(folder, stage="embed", out="data/features")
    return [{name: path.read_text() for name, path in files.items()} for files in found]


@pytest.mark.slow
def test_what_each_run_wrote_is_found_the_last_first(repository):
    assert contents(repository) == [{"one/value.txt": "2"}, {"one/value.txt": "1"}]


@pytest.mark.slow
def test_what_is_not_as_expected_is_passed_over(repository):
    oldest, _ = sorted((repository / ".dvc/cache/runs").glob("*/*/*"), key=os.path.getmtime)
    oldest.write_text("outs: [1, {path: data/features, md5: 0123456789.dir}]")
    (repository / "dvc.lock").write_text("stages: {embed: }")
    assert {"one/value.txt": "2"} in contents(repository)
    digest = hashlib.md5(b"2").hexdigest()
    (repository / f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}").unlink()
    assert [files for files in contents(repository) if files] == []


def test_a_folder_without_dvc_has_no_earlier_runs(tmp_path):
    assert contents(tmp_path) == []


def test_an_empty_repository_has_none(tmp_path):
    dvc(tmp_path, "init", "--no-scm")
    assert contents(tmp_path) == []


def test_the_cache_may_be_elsewhere(tmp_path):
    """With the formats of DVC's user guide, written by hand."""
    root, cache = tmp_path / "root", tmp_path / "cache"
    root.mkdir()
    dvc(root, "init", "--no-scm")
    dvc(root, "cache", "dir", "--local", str(cache))
    listing = json.dumps([{"md5": "cd34", "relpath": "one/manifest.json"}])
    for digest, content in (("ab12.dir", listing), ("cd34", "{}")):
        path = cache / "files/md5" / digest[:2] / digest[2:]
        path.parent.mkdir(parents=True)
        path.write_text(content)
    out = "{path: data/features, md5: ab12.dir}"
    (root / "dvc.lock").write_text(f"stages: {{embed: {{cmd: x, outs: [{out}]}}}}")
    assert contents(root) == [{"one/manifest.json": "{}"}]


def test_runs_of_stages_that_do_not_name_the_folder_are_not_parsed(tmp_path, monkeypatch):
    """With hundreds of trials' stages in the cache, parsing would take longer than embedding."""
    dvc(tmp_path, "init", "--no-scm")
    for name, out in (("one", "data/raw"), ("two", "data/features")):
        run = tmp_path / ".dvc/cache/runs/ab" / name / name
        run.parent.mkdir(parents=True)
        run.write_text(f"cmd: x\nouts:\n- path: {out}\n  md5: ab12.dir\n")
    parsed = []

    class Recorded(YAML):
        def load(self, text):
            parsed.append(text)
            return super().load(text)

    monkeypatch.setattr(dvc_cache, "YAML", Recorded)
    assert contents(tmp_path) == [{}]
    assert len(parsed) == 1
    assert "path: data/features" in parsed[0]
