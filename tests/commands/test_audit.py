"""The audit finds where MLflow differs from Optuna, and repairs it."""

import argparse
import json
import sqlite3
from collections import OrderedDict
from contextlib import closing
from datetime import datetime

import pytest
from mlflow.tracking._tracking_service import utils

from pipeline.commands.audit import add_arguments, main
from pipeline.errors import DataIntegrityError, StudyError
from pipeline.files import sha256_file
from pipeline.records.lock import study_lock
from pipeline.records.mirror.runs import StudyRuns
from pipeline.records.mirror.store import open_store
from pipeline.records.storage import open_storage
from pipeline.records.studies import find_study, import_trials, open_study, trial_records
from pipeline.search.queue import retire
from pipeline.split_record import SPLIT_FILE, write_split
from pipeline.trials.confirmation import write_confirmation
from pipeline.trials.study import write_study
from testing.records import (
    made_candidate,
    made_confirmation,
    made_study,
    made_training,
    made_trial,
)
from testing.split import split_record

IDENTITY, STUDY_UID = "0123456789abcdef" * 4, "fedcba9876543210" * 2
UNITS = {"name": "IntDistribution", "attributes": {"log": False, "step": 1, "low": 1, "high": 99}}


def trial(number, state, **noted):
    values = {"units": 64, "activation": "selu"}
    return made_trial(
        number,
        state,
        0.75 if state == "COMPLETE" else None,
        params={"units": 64},
        distributions={"units": UNITS},
        intermediate_values={0: 0.5, 1: 0.75},
        hyperparameters=values,
        attributes={"hyperparameters": values, **noted},
        started=datetime(2026, 11, 21, 10, number),
        ended=datetime(2026, 11, 21, 10, number + 1),
    )


def copy_database(source, target):
    """Copies a database with what is still in its write-ahead log."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A finished Optuna study and its mirror; copying their files is faster than making them."""
    root = tmp_path_factory.mktemp("template")
    storage = open_storage(root)
    attrs = {"study_uid": STUDY_UID, "objective": "val_accuracy"}
    study = open_study(
        storage,
        retire=retire,
        name="digits-transfer",
        identity=IDENTITY,
        direction="maximize",
        attrs=attrs,
    )
    import_trials(study, [trial(0, "COMPLETE"), trial(1, "PRUNED"), trial(2, "FAIL")])
    open_store(root)
    copy_database(root / "mlflow.db", root / "empty.db")
    with open_runs(root) as runs:
        runs.reconcile(trial_records(study))
    return root


@pytest.fixture
def root(template, tmp_path, monkeypatch, params_document):
    """A repository with a finished Optuna study, and without MLflow's store."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    studies = {name: {"base": "none"} for name in ("transfer", "scratch")}
    params = {"studies": studies, "search": params_document["search"]}
    (tmp_path / "params.yaml").write_text(json.dumps(params))
    (tmp_path / "data").mkdir()
    write_split(split_record(), tmp_path / SPLIT_FILE)
    (tmp_path / "mlruns").mkdir()
    copy_database(template / "mlruns/optuna.db", tmp_path / "mlruns/optuna.db")
    return tmp_path


@pytest.fixture
def mirrored(root, template, monkeypatch):
    """The same, with an MLflow that is equal to the study."""
    # MLflow keeps where the artifacts of a run are, and here every test has the same runs.
    monkeypatch.setattr(utils, "_artifact_repos_cache", OrderedDict())
    copy_database(template / "mlflow.db", root / "mlflow.db")
    open_store(root).close()  # As after a move: it names the template until then.
    return root


@pytest.fixture
def emptied(root, template):
    """The same, with an MLflow that has lost everything."""
    copy_database(template / "empty.db", root / "mlflow.db")
    return root


def open_runs(root):
    return StudyRuns.open(
        root,
        dataset="digits",
        study="transfer",
        study_name="digits-transfer",
        study_uid=STUDY_UID,
        tags={"objective": "val_accuracy"},
        params={},
    )


def audit(*arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_args(arguments))


def lose_a_run(root):
    store = open_store(root)
    (run,) = store.search_runs(store.experiment("digits"), "tags.trial = '1'")
    store.client.delete_run(run.info.run_id)


def test_equal_stores_pass(mirrored, capsys):
    assert audit() == 0
    out = capsys.readouterr().out
    assert "digits-transfer: 3 trials, 0 differences found" in out
    assert "digits-scratch: the study has not been searched yet" in out


def test_trials_of_other_code_are_said_and_are_no_difference(mirrored, capsys):
    study = find_study(open_storage(mirrored), "digits-transfer")
    import_trials(study, [trial(3, "COMPLETE", code_sha256="ab" * 32)])
    assert audit("--repair") == 0
    assert audit() == 0
    said = "finished trials of other code than the present: 1, of code that is not known: 2;"
    assert f"digits-transfer: {said}" in capsys.readouterr().out


def test_a_lost_run_is_shown_and_fails(mirrored, capsys):
    lose_a_run(mirrored)
    assert audit() == 1
    lines = capsys.readouterr().out.splitlines()
    assert "digits-transfer: 3 trials, 1 difference found" in lines
    assert ["1", "missing", "PRUNED", "no", "run"] in [line.split() for line in lines]


def confirmed(root):
    """Writes what a search and a confirmation with one training have put out."""
    first = trial(0, "COMPLETE")
    write_study(
        root,
        made_study(first, study_name="digits-transfer", study="transfer", study_uid=STUDY_UID),
    )
    (root / "models").mkdir()
    (root / "models/transfer.keras").write_bytes(b"a model")
    exported = {
        "file": "models/transfer.keras",
        "file_sha256": sha256_file(root / "models/transfer.keras"),
    }
    record = made_confirmation(
        made_candidate(hyperparameters=first.hyperparameters),
        study="transfer",
        study_name="digits-transfer",
        identity="a" * 64,
        trainings=[made_training("digits-confirm-0")],
        exported=exported,
    )
    write_confirmation(root, record)


def test_a_lost_run_of_a_confirmation_is_shown_and_repaired(mirrored, capsys):
    confirmed(mirrored)
    assert audit() == 1
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["0", "confirmation", "COMPLETE", "no", "finished", "run"] in lines
    assert audit("--repair") == 0
    assert audit() == 0
    store = open_store(mirrored)
    (run,) = store.search_runs(store.experiment("digits"), "tags.role = 'confirm'")
    assert (run.info.status, run.data.tags["trial_uid"]) == ("FINISHED", "digits-confirm-0")


def test_runs_that_a_user_put_below_a_study_are_left_alone(mirrored):
    store = open_store(mirrored)
    experiment = store.experiment("digits")
    (parent,) = store.search_runs(experiment, "tags.role = 'study'")
    own = store.client.create_run(experiment, tags={"mlflow.parentRunId": parent.info.run_id})
    assert audit("--repair") == 0
    assert store.client.get_run(own.info.run_id).info.status == "RUNNING"


def test_an_audit_changes_nothing(mirrored):
    lose_a_run(mirrored)
    assert [audit(), audit()] == [1, 1]


def test_a_repair_makes_the_next_audit_pass(mirrored, capsys):
    lose_a_run(mirrored)
    assert audit("--repair") == 0
    assert "1 difference repaired" in capsys.readouterr().out
    assert audit() == 0


def test_what_a_killed_search_left_running_is_found_and_closed(mirrored):
    runs = open_runs(mirrored)  # RUNNING, and nobody holds the study's lock.
    assert audit() == 1
    assert audit("--repair") == 0
    assert runs.store.client.get_run(runs.run_id).info.status == "KILLED"


def test_a_search_that_is_going_on_is_no_difference(mirrored):
    with study_lock(mirrored, "digits-transfer"):
        open_runs(mirrored)
        assert audit() == 0


def test_a_study_that_is_being_searched_is_not_repaired(mirrored):
    with (
        study_lock(mirrored, "digits-transfer"),
        pytest.raises(StudyError, match="is being worked on already, by process"),
    ):
        audit("--repair")


def export(root):
    write_study(root, made_study(study="transfer", study_name="digits-transfer"))


@pytest.mark.parametrize(
    ("is_exported", "advice"),
    [(True, "pipeline restore` brings"), (False, "audit --repair` writes")],
)
def test_a_lost_tracking_store_fails_and_says_what_to_do(root, capsys, is_exported, advice):
    if is_exported:
        export(root)
    assert audit() == 1
    out = capsys.readouterr().out
    assert "digits-transfer: its runs" in out
    assert advice in out
    assert not (root / "mlflow.db").exists()


def test_a_lost_study_fails_and_says_what_to_do(mirrored, capsys):
    export(mirrored)
    (mirrored / "mlruns/optuna.db").unlink()
    for arguments in ([], ["--repair"]):
        assert audit(*arguments) == 1
        out = capsys.readouterr().out
        assert "digits-transfer: the study is lost, but results/transfer/study.json is there" in out
        assert "`python -m pipeline restore`" in out


def test_an_emptied_tracking_store_is_repaired_from_the_study(emptied):
    assert audit("--repair") == 0
    assert audit() == 0


def states(root):
    with closing(sqlite3.connect(root / "mlflow.db")) as connection:
        return connection.execute(
            "select run_uuid, status, lifecycle_stage from runs order by run_uuid"
        ).fetchall()


@pytest.mark.parametrize("arguments", [(), ("--repair",)], ids=["audited", "repaired"])
def test_a_new_study_is_not_judged_by_the_runs_of_the_one_that_it_replaced(
    mirrored, capsys, arguments
):
    before = states(mirrored)
    open_study(
        open_storage(mirrored),
        retire=retire,
        name="digits-transfer",
        identity="ab" * 32,
        direction="maximize",
        attrs={"objective": "val_accuracy"},
    )
    assert audit(*arguments) == 0
    assert "digits-transfer: 0 trials, 0 differences" in capsys.readouterr().out
    assert set(before) <= set(states(mirrored))


@pytest.mark.parametrize(("study_uid", "is_logged"), [(STUDY_UID, True), ("b" * 32, False)])
def test_a_repair_logs_results_of_this_study_alone(mirrored, study_uid, is_logged):
    write_study(
        mirrored,
        made_study(
            trial(0, "COMPLETE"),
            study_name="digits-transfer",
            study="transfer",
            study_uid=study_uid,
        ),
    )
    assert audit("--repair") == 0
    with open_runs(mirrored) as runs:
        logged = [one.path for one in runs.store.client.list_artifacts(runs.run_id)]
    assert ("study.json" in logged) is is_logged


def test_without_data_there_is_nothing_to_audit(root):
    (root / "data/split.json").unlink()
    with pytest.raises(DataIntegrityError, match=r"There is no split\.json yet"):
        audit()


@pytest.mark.parametrize("status", ["FINISHED", "KILLED"])
def test_a_repair_leaves_the_study_ended_as_it_was(mirrored, status):
    with open_runs(mirrored) as runs:
        runs.close(status)
    lose_a_run(mirrored)
    assert audit("--repair") == 0
    assert runs.store.client.get_run(runs.run_id).info.status == status
