"""What DVC holds becomes studies and runs again; what is there is never overwritten."""

import shutil
import sqlite3
from contextlib import closing

import optuna
import pytest

from pipeline.errors import StudyError
from pipeline.records.lock import study_lock
from pipeline.records.mirror.store import open_store
from pipeline.records.restoring import restore_study
from pipeline.records.retrying_storage import PatientStorage
from pipeline.records.storage import open_storage
from pipeline.records.studies import trial_records
from pipeline.search.queue import retire
from pipeline.trials.study import read_study
from tests.commands.repository import Repository, read_trials, run

STAMPS = ("search-tiny.json", "confirm-tiny.json")


@pytest.fixture(scope="module")
def original(tmp_path_factory, params_document):
    """Where `search` ran, with the real stage, and `confirm` was put beside it."""
    made = Repository(tmp_path_factory.mktemp("original"), params_document)
    made.document["confirm"].update(top=2, seeds=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(made.folder)
        made.set(trials=4)
        made.search()
        made.confirm()
    return made


@pytest.fixture
def bare(repository, original):
    """Another machine after `git clone` and `dvc pull`: files, and no store."""
    repository.document = original.document
    repository.set()
    for folder in ("results", "models"):
        shutil.copytree(original.folder / folder, repository.folder / folder)
    return repository


@pytest.fixture
def pulled(bare):
    """The same, with an empty MLflow."""
    open_store(bare.folder).close()
    return bare


def query(repository, sql):
    with closing(sqlite3.connect(repository.folder / "mlflow.db")) as connection:
        return sorted(connection.execute(sql).fetchall())


RUNS = """
    select t.value, r.name, r.status, r.lifecycle_stage from runs r
    join tags t on t.run_uuid = r.run_uuid and t.key = 'trial_uid'
"""
METRICS = """
    select t.value, m.key, m.value, m.step from metrics m
    join tags t on t.run_uuid = m.run_uuid and t.key = 'trial_uid'
    join tags role on role.run_uuid = m.run_uuid and role.key = 'role' and role.value = 'trial'
"""
EVERYTHING = """
    select r.run_uuid, r.status, r.start_time, r.end_time, m.key, m.value, m.step, m.timestamp
    from runs r left join metrics m on m.run_uuid = r.run_uuid
"""


def test_the_study_is_the_same_for_optuna(pulled, original):
    assert run("restore") == 0
    study = optuna.load_study(study_name="digits-tiny", storage=open_storage(pulled.folder))
    assert trial_records(study) == read_trials(original.folder, "digits-tiny")
    assert study.user_attrs["identity"] == pulled.read("results/tiny/study.json")["identity"]


def test_the_runs_are_the_same_for_mlflow(pulled, original):
    run("restore")
    mine, theirs = (query(one, METRICS) for one in (pulled, original))
    assert mine == theirs
    assert len(mine) > 20
    of_trials = [row for row in query(pulled, RUNS) if "confirm" not in row[0]]
    assert of_trials == query(original, RUNS)


def test_the_confirmation_runs_are_there_too(pulled, capsys):
    run("restore")
    uids = {uid for uid, _, status, _ in query(pulled, RUNS) if status == "FINISHED"}
    report = pulled.read("results/tiny/confirm.json")
    assert {training["uid"] for training in report["trainings"]} <= uids
    assert "tiny: 4 confirmation runs restored" in capsys.readouterr().out


def test_the_stamp_is_the_one_that_the_stage_wrote(pulled, original):
    run("restore")
    for name in STAMPS[:1]:
        stamp = f"mlruns/stages/{name}"
        assert (pulled.folder / stamp).read_bytes() == (original.folder / stamp).read_bytes()
    assert (pulled.folder / "mlruns/stages" / STAMPS[1]).exists()


def test_restoring_twice_changes_nothing(pulled, capsys):
    run("restore")
    before = query(pulled, EVERYTHING)
    stamps = {f: f.stat().st_mtime_ns for f in (pulled.folder / "mlruns/stages").iterdir()}
    trials = read_trials(pulled.folder, "digits-tiny")
    capsys.readouterr()
    assert run("restore") == 0
    assert "tiny: study of 4 trials was there already" in capsys.readouterr().out
    assert query(pulled, EVERYTHING) == before
    assert read_trials(pulled.folder, "digits-tiny") == trials
    assert stamps.keys() == set((pulled.folder / "mlruns/stages").iterdir())


def test_a_store_that_numbers_its_trials_holds_no_other_study(pulled, tmp_path_factory):
    """As one on a server does, to tell whether a request had its effect."""
    url = f"sqlite:///{tmp_path_factory.mktemp('store')}/optuna.db"
    storage = PatientStorage(optuna.storages.RDBStorage(url), shown=url)
    exported = read_study(pulled.folder, "tiny")
    for is_new in (True, False):
        restored = restore_study(pulled.folder, storage, exported, retire=retire)
        assert (restored.conflict, restored.is_new) == ("", is_new)


def test_a_study_with_more_trials_is_said_and_left(pulled, capsys):
    run("restore")
    study = pulled.study()
    pulled.train(study)
    (pulled.folder / "mlruns/stages/search-tiny.json").unlink()
    capsys.readouterr()
    assert run("restore") == 1
    out = capsys.readouterr().out
    assert "tiny: left as it is: the store holds 5 trials, 1 more" in out
    assert len(read_trials(pulled.folder, "digits-tiny")) == 5
    # So that `dvc repro` looks at it.
    assert not (pulled.folder / "mlruns/stages/search-tiny.json").exists()


def test_what_was_queued_since_the_export_is_no_other_study(pulled, original, capsys):
    with study_lock(pulled.folder, "digits-tiny"):
        storage, exported = open_storage(pulled.folder), read_study(pulled.folder, "tiny")
        study = restore_study(pulled.folder, storage, exported, retire=retire).study
    study.enqueue_trial({"units": 32})
    assert run("restore") == 0
    assert "tiny: study of 4 trials was there already" in capsys.readouterr().out
    assert query(pulled, METRICS) == query(original, METRICS)
    assert [trial.state.name for trial in study.trials][4:] == ["WAITING"]


def test_a_study_with_other_trials_is_said_and_left(pulled, capsys):
    pulled.train(pulled.study())
    before = read_trials(pulled.folder, "digits-tiny")
    assert run("restore") == 1
    assert "the store holds 1 trial, not the 4 of the file" in capsys.readouterr().out
    assert read_trials(pulled.folder, "digits-tiny") == before


def test_a_study_of_another_identity_is_said_and_left(pulled, capsys):
    seed = pulled.document["search"]["seed"]
    pulled.set(seed=99)
    pulled.train(pulled.study())
    pulled.set(seed=seed)
    assert run("restore") == 1
    assert "a study with another space, training or data" in capsys.readouterr().out
    names = optuna.get_all_study_names(open_storage(pulled.folder))
    assert names == ["digits-tiny"]


def test_lost_runs_alone_are_restored(pulled, original, capsys):
    with study_lock(pulled.folder, "digits-tiny"):
        exported = read_study(pulled.folder, "tiny")
        restore_study(pulled.folder, open_storage(pulled.folder), exported, retire=retire)
    assert run("restore") == 0
    out = capsys.readouterr().out
    assert "tiny: study of 4 trials was there already" in out
    assert "tiny: 4 runs restored" in out
    assert query(pulled, METRICS) == query(original, METRICS)


@pytest.mark.parametrize("lost", ["mlflow.db", "mlruns/optuna.db"])
def test_what_audit_finds_lost_restore_brings_back(pulled, capsys, lost):
    run("restore")
    assert run("audit") == 0
    for file in pulled.folder.glob(f"{lost}*"):
        file.unlink()
    capsys.readouterr()
    assert run("audit") == 1
    assert "`python -m pipeline restore`" in capsys.readouterr().out
    # MLflow keeps what it has opened for the life of a process.
    assert [pulled.run_alone("restore"), pulled.run_alone("audit")] == [0, 0]


def test_a_lost_study_alone_is_restored(pulled, original):
    run("restore")
    before = query(pulled, EVERYTHING)
    for file in pulled.folder.glob("mlruns/optuna.db*"):
        file.unlink()
    assert run("restore") == 0
    assert read_trials(pulled.folder, "digits-tiny") == read_trials(original.folder, "digits-tiny")
    assert query(pulled, EVERYTHING) == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda repository: (repository.folder / "models/tiny.keras").write_bytes(b"others"),
        lambda repository: repository.write(
            "results/tiny/confirm.json",
            {**repository.read("results/tiny/confirm.json"), "identity": "ab" * 32},
        ),
    ],
    ids=["model", "report"],
)
def test_a_confirmation_of_something_else_is_said_and_left_to_dvc(pulled, capsys, spoil):
    spoil(pulled)
    assert run("restore") == 0
    assert "tiny: confirm.json is of another study or model" in capsys.readouterr().out
    assert not (pulled.folder / "mlruns/stages/confirm-tiny.json").exists()
    assert (pulled.folder / "mlruns/stages/search-tiny.json").exists()


def test_a_study_that_is_being_searched_is_refused(pulled):
    with (
        study_lock(pulled.folder, "digits-tiny"),
        pytest.raises(StudyError, match="is being worked on already"),
    ):
        run("restore")


def test_a_study_without_a_file_is_said(pulled, capsys):
    run("restore")
    assert "other: there is no results/other/study.json" in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["data/split.json", "results/tiny/study.json"])
def test_before_dvc_pull_one_line_says_what_to_do(bare, missing):
    (bare.folder / missing).unlink()
    with pytest.raises(StudyError, match="Run `dvc pull` first"):
        run("restore")
    assert not (bare.folder / "mlflow.db").exists()


def test_a_confirmation_run_that_was_cut_off_is_restored(pulled):
    run("restore")
    client = open_store(pulled.folder).client
    uid = pulled.read("results/tiny/confirm.json")["trainings"][0]["uid"]
    sql = f"select run_uuid from tags where key = 'trial_uid' and value = '{uid}'"
    ((run_id,),) = query(pulled, sql)
    client.set_terminated(run_id, "KILLED")
    run("restore")
    assert [row[2] for row in query(pulled, RUNS) if row[0] == uid and row[3] == "active"] == [
        "FINISHED"
    ]


def test_a_restored_study_is_the_one_that_another_space_may_take_trials_from(pulled):
    run("restore")
    study = optuna.load_study(study_name="digits-tiny", storage=open_storage(pulled.folder))
    exported = pulled.read("results/tiny/study.json")
    for name in ("identity", "comparable", "study_uid"):
        assert study.user_attrs[name] == exported[name]
