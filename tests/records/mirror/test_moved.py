"""A checkout that is moved, renamed or copied keeps its runs and writes nowhere else."""

import logging
import shutil
import sqlite3
from contextlib import closing

import pytest

from pipeline.errors import StudyError
from pipeline.records.lock import study_lock
from pipeline.records.mirror import moved
from pipeline.records.mirror.moved import local_path
from pipeline.records.mirror.store import open_store

ODD = "Bilder & Öl #1 (100%), 'neu'+; {x}"


@pytest.fixture
def recorded(root):
    """A checkout with a run, its artifact and a registered version; returns its folder."""
    home = root / "work/old"
    home.mkdir(parents=True)
    shutil.move(root / "mlflow.db", home / "mlflow.db")
    record(home)
    return home


def record(home, text="old"):
    store = open_store(home)
    experiment = store.experiment("digits")
    run = store.client.create_run(experiment, tags={"role": "study"}, run_name=text)
    store.client.log_text(run.info.run_id, text, "note.txt")
    model = store.client.create_logged_model(experiment, source_run_id=run.info.run_id)
    (home / "MLmodel").write_text(text)
    store.client.log_model_artifact(model.model_id, str(home / "MLmodel"))
    if text == "old":
        store.client.create_registered_model("digits-classifier")
    store.client.create_model_version(
        "digits-classifier", source=model.artifact_location, run_id=run.info.run_id
    )
    store.close()


def found(home):
    """What is read of every run and every version, and where that lies."""
    store = open_store(home)
    runs = store.search_runs(store.experiment("digits"), "")
    versions = store.client.search_model_versions("name = 'digits-classifier'")
    sources = [store.client.get_model_version_download_uri(v.name, v.version) for v in versions]
    notes = [local_path(run.info.artifact_uri) / "note.txt" for run in runs]
    models = [local_path(source) / "MLmodel" for source in sources]
    store.close()
    assert all(file.is_relative_to(home) for file in (*notes, *models))
    return sorted(file.read_text() for file in notes), sorted(file.read_text() for file in models)


def listing(folder):
    """Every file with its content, but what SQLite and locks leave while a database is open."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files if not path.name.endswith((".lock", "-shm"))}


@pytest.mark.parametrize("name", ["new", ODD])
def test_a_moved_checkout_finds_everything_and_writes_only_below_itself(recorded, name):
    new = recorded.with_name(name)
    recorded.rename(new)
    assert found(new) == (["old"], ["old"])
    with closing(sqlite3.connect(new / "mlflow.db")) as connection:
        assert not [line for line in connection.iterdump() if str(recorded) in line]
    record(new, "further")
    assert found(new) == (["further", "old"], ["further", "old"])
    assert [path.name for path in new.parent.iterdir()] == [name]


def test_it_may_be_moved_from_a_path_with_odd_characters(recorded):
    odd, new = recorded.with_name(ODD), recorded.with_name("new")
    recorded.rename(odd)
    found(odd)
    odd.rename(new)
    assert found(new) == (["old"], ["old"])


def test_a_copy_leaves_its_original_alone(recorded):
    before = listing(recorded)
    copy = recorded.with_name("copy")
    shutil.copytree(recorded, copy)
    assert found(copy) == (["old"], ["old"])
    record(copy, "further")
    assert listing(recorded) == before
    assert found(recorded) == (["old"], ["old"])


def test_it_is_said_once_and_looked_for_with_one_query(recorded, caplog, monkeypatch):
    new = recorded.with_name("new")
    recorded.rename(new)
    with caplog.at_level(logging.INFO, "pipeline.records.mirror.moved"):
        found(new)
        # Not the folder's name for MLflow's own experiment alone.
        (line,) = [record.message for record in caplog.records]
        assert line.startswith(f"this checkout was in {recorded}: ")
        monkeypatch.setattr(moved, "_rewrite", None)
        found(new)
    assert len(caplog.records) == 1


def test_a_users_own_experiment_stays_where_it_is(recorded):
    own = recorded.parent / "disk/mlruns/artifacts"
    own.mkdir(parents=True)
    store = open_store(recorded)
    experiment = store.client.create_experiment("mine", own.as_uri())
    run = store.client.create_run(experiment).info
    store.close()
    new = recorded.with_name("new")
    recorded.rename(new)
    client = open_store(new).client
    assert client.get_experiment(experiment).artifact_location == own.as_uri()
    assert client.get_run(run.run_id).info.artifact_uri == run.artifact_uri


def test_what_lies_only_in_the_old_place_is_still_read_from_there(recorded):
    copy = recorded.with_name("copy")
    shutil.copytree(recorded, copy)
    shutil.rmtree(copy / "mlruns/artifacts")
    store = open_store(copy)
    experiment = store.experiment("digits")
    (run,) = store.search_runs(experiment, "")
    assert (local_path(run.info.artifact_uri) / "note.txt").read_text() == "old"
    further = store.client.create_run(experiment).info.artifact_uri
    assert local_path(further).is_relative_to(copy)


def test_nothing_is_mended_below_a_search(recorded):
    new = recorded.with_name("new")
    recorded.rename(new)
    with (
        study_lock(new, "digits-transfer"),
        pytest.raises(StudyError, match=r"a process is at work on digits-transfer.*Wait for it"),
    ):
        open_store(new)
    assert found(new) == (["old"], ["old"])


def test_a_database_that_is_being_written_is_said_in_one_line(recorded, monkeypatch):
    monkeypatch.setattr(moved, "BUSY_SECONDS", 0.1)
    new = recorded.with_name("new")
    recorded.rename(new)
    with closing(sqlite3.connect(new / "mlflow.db", isolation_level=None)) as writer:
        monkeypatch.setattr("pipeline.databases._let_readers_in", lambda file: None)
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(StudyError, match=r"cannot be mended: database is locked\. End"):
            open_store(new)
    assert found(new) == (["old"], ["old"])


def test_a_store_that_the_user_names_is_not_mended(recorded, monkeypatch):
    new = recorded.with_name("new")
    recorded.rename(new)
    for file in new.glob("mlflow.db*"):
        file.rename(new.with_name(file.name))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{new.parent}/mlflow.db")
    store = open_store(new)
    (run,) = store.search_runs(store.experiment("digits"), "")
    assert local_path(run.info.artifact_uri).is_relative_to(recorded)
