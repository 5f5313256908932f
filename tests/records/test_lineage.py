"""Where a run comes from."""

import subprocess
import sys

import pytest

from pipeline.records.lineage import (
    dvc_tags,
    git_tags,
    installed_version,
    machine_tags,
    revision_tags,
    version_tags,
)

LOCK = """
schema: '2.0'
stages:
  fetch:
    cmd: fetch
  split:
    cmd: split
    outs:
    - {path: data/train.npz, hash: md5, md5: aaa, size: 1}
    - {path: data/test.npz, hash: md5, md5: bbb, size: 1}
    - {path: data/split.json, hash: md5, md5: ccc, size: 1}
"""


@pytest.fixture
def repository(tmp_path):
    def git(*arguments):
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)

    git("init", "-q", "-b", "main")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-q", "-m", "one")
    return tmp_path


def test_a_clean_repository_gives_commit_and_branch(repository):
    tags = git_tags(repository)
    assert len(tags["git.commit"]) == 40
    assert (tags["git.branch"], tags["git.dirty"]) == ("main", "false")
    assert tags["mlflow.source.git.commit"] == tags["git.commit"]


def test_an_uncommitted_change_is_said(repository):
    (repository / "file").write_text("two")
    assert git_tags(repository)["git.dirty"] == "true"


def test_what_dvc_writes_is_no_change(repository):
    (repository / "dvc.lock").write_text("one")
    assert git_tags(repository)["git.dirty"] == "false"
    subprocess.run(["git", "add", "dvc.lock"], cwd=repository, check=True)
    assert git_tags(repository)["git.dirty"] == "false"
    (repository / "new.py").write_text("one")
    assert git_tags(repository)["git.dirty"] == "true"


def test_no_repository_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_tags(tmp_path) == dict.fromkeys(("git.commit", "git.branch", "git.dirty"), "none")


def test_a_repository_without_a_commit_is_said(tmp_path):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert git_tags(tmp_path)["git.commit"] == "none"


def test_a_repository_around_the_checkout_that_holds_none_of_it_is_not_its_own(repository):
    (repository / "unzipped").mkdir()
    (repository / "unzipped/dvc.yaml").touch()
    assert git_tags(repository / "unzipped")["git.commit"] == "none"


def test_no_git_program_is_said(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_tags(repository)["git.commit"] == "none"


def test_data_is_what_dvc_locked(tmp_path, monkeypatch):
    (tmp_path / "dvc.lock").write_text(LOCK)
    monkeypatch.setenv("DVC_EXP_NAME", "brave-cat")
    assert dvc_tags(tmp_path) == {
        "dvc.train": "aaa",
        "dvc.test": "bbb",
        "dvc.split": "ccc",
        "dvc.experiment": "brave-cat",
    }


@pytest.mark.parametrize("text", [None, "", "stages: {}", "{", "stages: {split: {cmd: x}}"])
def test_no_lock_or_an_empty_or_broken_one_is_said(tmp_path, monkeypatch, text):
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    if text is not None:
        (tmp_path / "dvc.lock").write_text(text)
    assert set(dvc_tags(tmp_path).values()) == {"none"}


def test_versions_and_machine_are_known(tmp_path):
    assert version_tags()["version.keras"].startswith("3.")
    assert "none" not in version_tags().values()
    assert int(machine_tags()["machine.cores"]) >= 1
    assert all(isinstance(value, str) for value in revision_tags(tmp_path).values())


def test_an_unknown_library_has_no_version():
    assert installed_version("no-such-library") == "none"


def test_nothing_heavy_is_imported():
    code = (
        "import sys, pathlib; from pipeline.records.lineage import revision_tags; "
        "revision_tags(pathlib.Path('.')); "
        "print({'mlflow', 'tensorflow', 'keras', 'optuna', 'dvc'} & set(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "set()"
