"""A run that is rebuilt from the study is the run that was lost."""

from datetime import datetime
from pathlib import Path

import pytest

from pipeline.records.mirror.reconcile import (
    amend_trial,
    import_trial,
    missing_trainings,
    restore_trainings,
)
from pipeline.training.messages import EpochRecord
from pipeline.trials.record import Epoch
from testing.records import made_candidate, made_confirmation, made_training
from tests.conftest import STUDY_UID

FIRST_MS = 1_764_370_001_000


@pytest.fixture
def runs(open_runs):
    return open_runs()


def only(runs, trial):
    (run,) = runs.runs_of(trial.uid(study_uid=STUDY_UID))
    return run


def write(runs, trial, *, epochs, metrics):
    """Writes a trial as the driver does."""
    uid = trial.uid(study_uid=STUDY_UID)
    runs.start_trial(
        uid,
        number=trial.number,
        hyperparameters=trial.hyperparameters,
        tags={"seed": "7"},
        at_ms=trial.start_ms,
    )
    for entry in epochs:
        record = EpochRecord(epoch=entry["epoch"], metrics=entry["metrics"])
        runs.log_epoch(uid, record, at_ms=entry["at_ms"])
    runs.end_trial(
        uid,
        trial.state,
        value=trial.value,
        metrics=metrics,
        tags={"outcome": "complete"},
        traceback=None,
        at_ms=trial.end_ms,
    )


def test_an_imported_trial_is_what_the_driver_had_written(runs, trial):
    epochs = [
        {"epoch": 0, "metrics": {"val_accuracy": 0.5, "loss": 2.0}, "at_ms": 1_000_000},
        {"epoch": 1, "metrics": {"val_accuracy": 0.75, "loss": 1.0}, "at_ms": 2_000_000},
    ]
    metrics = {"val_accuracy": 0.75, "best_epoch": 1.0}
    one = trial(epochs=epochs, metrics=metrics, outcome="complete")
    write(runs, one, epochs=epochs, metrics=metrics)
    written = only(runs, one)
    import_trial(runs, one)
    imported = only(runs, one)

    def facts(run):
        tags = {key: text for key, text in run.data.tags.items() if key != "restored"}
        times = (run.info.start_time, run.info.end_time)
        history = runs.store.client.get_metric_history(run.info.run_id, "loss")
        points = [(p.step, p.value, p.timestamp) for p in history]
        return (run.info.status, times, run.data.params, run.data.metrics, tags, points)

    assert imported.info.run_id != written.info.run_id
    assert facts(imported) == facts(written)
    assert imported.data.tags["restored"] == "true"


def test_importing_twice_leaves_one_run(runs, trial):
    import_trial(runs, trial())
    import_trial(runs, trial())
    assert only(runs, trial()).data.metrics == {"val_accuracy": 0.75, "value": 0.75}


def test_a_failed_trial_keeps_its_traceback(runs, trial, tmp_path):
    failed = trial(state="FAIL", traceback="boom", reason="worker killed")
    import_trial(runs, failed)
    run = only(runs, failed)
    assert run.info.status == "FAILED"
    assert run.data.tags["reason"] == "worker killed"
    path = runs.store.client.download_artifacts(run.info.run_id, "traceback.txt", str(tmp_path))
    assert Path(path).read_text() == "boom"


def test_a_running_trial_is_left_running(runs, trial):
    running = trial(state="RUNNING", value=None, ended=None)
    import_trial(runs, running)
    found = only(runs, running).info
    assert (found.status, found.end_time) == ("RUNNING", None)


def test_amending_adds_what_is_lacking_and_leaves_the_rest(runs, trial):
    uid = trial().uid(study_uid=STUDY_UID)
    runs.start_trial(uid, number=0, hyperparameters={"units": 64}, tags={}, at_ms=1)
    runs.log_epoch(uid, EpochRecord(epoch=0, metrics={"val_accuracy": 0.5, "loss": 2.0}))
    run_id = only(runs, trial()).info.run_id
    amend_trial(runs, trial(), run_id)
    run = only(runs, trial())
    assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
    assert run.data.params["learning_rate"] == "0.001"
    assert run.data.metrics == {"val_accuracy": 0.75, "loss": 2.0, "value": 0.75}
    history = runs.store.client.get_metric_history(run_id, "val_accuracy")
    assert sorted(p.step for p in history) == [0, 1]


def test_amending_can_set_a_run_going_again(runs, trial):
    import_trial(runs, trial(state="FAIL"))
    run_id = only(runs, trial()).info.run_id
    amend_trial(runs, trial(state="RUNNING", value=None), run_id)
    assert only(runs, trial()).info.status == "RUNNING"


def test_importing_replaces_a_run_that_says_something_else(runs, trial):
    import_trial(runs, trial())
    wrong = only(runs, trial()).info.run_id
    runs.store.client.log_metric(wrong, "val_accuracy", 0.9, step=7)
    import_trial(runs, trial())
    right = only(runs, trial()).info.run_id
    assert right != wrong
    history = runs.store.client.get_metric_history(right, "val_accuracy")
    assert sorted(point.step for point in history) == [0, 1]


def test_amending_what_lacks_only_its_end_doubles_nothing(runs, trial):
    import_trial(runs, trial())
    run_id = only(runs, trial()).info.run_id
    runs.store.client.update_run(run_id, status="RUNNING")
    later = trial(ended=datetime(2026, 11, 21, 11))
    amend_trial(runs, later, run_id)
    assert only(runs, trial()).info.status == "FINISHED"
    for name, count in (("value", 1), ("val_accuracy", 2)):
        assert len(runs.store.client.get_metric_history(run_id, name)) == count


def test_amending_adds_the_tags_and_the_traceback_of_the_end(runs, trial):
    failed = trial(state="FAIL", traceback="boom", reason="x" * 9000)
    uid = failed.uid(study_uid=STUDY_UID)
    runs.start_trial(uid, number=0, hyperparameters=failed.hyperparameters, tags={})
    run_id = only(runs, failed).info.run_id
    amend_trial(runs, failed, run_id)
    assert only(runs, failed).data.tags["reason"] == "x" * 5000
    assert [file.path for file in runs.store.client.list_artifacts(run_id)] == ["traceback.txt"]


@pytest.fixture
def trainings():
    """Two trainings of a candidate, as trials."""
    told = {
        **{"number": 3, "value": 0.75, "metrics": {"val_accuracy": 0.75, "num_epochs": 4.0}},
        **{"start_ms": 1_764_370_000_123, "end_ms": 1_764_370_009_877},
        "epochs": [
            Epoch(epoch=n, metrics={"val_accuracy": n / 4, "loss": 1.0}, at_ms=FIRST_MS + n)
            for n in range(4)
        ],
    }
    return made_confirmation(
        made_candidate(3, hyperparameters={"units": 64}),
        trainings=[made_training(f"confirm-{n}", seed=40 + n, **told) for n in range(2)],
    ).trials


def test_trainings_of_confirm_are_written_again_whole_and_once(runs, trainings):
    runs.start_trial(
        "confirm-1", number=3, hyperparameters={}, tags={"role": "confirm", "seed": "41"}, at_ms=9
    )  # Cut off: its run was never finished.
    assert len(missing_trainings(runs.store, runs.parent, trainings)) == 2
    assert restore_trainings(runs, trainings) == 2
    assert restore_trainings(runs, trainings) == 0
    (run,) = runs.runs_of("confirm-1")
    times = (run.info.status, run.info.start_time, run.info.end_time)
    assert times == ("FINISHED", 1_764_370_000_123, 1_764_370_009_877)
    assert run.info.run_name == "transfer-0003-confirm-41"
    assert run.data.params == {"units": "64"}
    expected = {"role": "confirm", "seed": "41", "attempt": "0", "outcome": "complete"}
    assert {**expected, "restored": "true"}.items() <= run.data.tags.items()
    assert run.data.metrics == {
        **{"val_accuracy": 0.75, "loss": 1.0, "best_val_accuracy": 0.75},
        **{"num_epochs": 4.0, "value": 0.75},
    }
    history = runs.store.client.get_metric_history(run.info.run_id, "loss")
    assert [(p.step, p.timestamp) for p in history] == [(n, FIRST_MS + n) for n in range(4)]


def test_a_run_that_a_server_makes_twice_for_a_lost_answer_is_one(runs, trial, monkeypatch):
    monkeypatch.setattr(type(runs.store), "is_server", True)
    create = runs.store.client.create_run

    def create_twice(*args, **kwargs):
        create(*args, **kwargs)
        return create(*args, **kwargs)

    monkeypatch.setattr(runs.store.client, "create_run", create_twice)
    import_trial(runs, trial())
    assert only(runs, trial()).info.status == "FINISHED"
