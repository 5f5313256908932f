"""A study's runs are found, read and put right."""

import pytest

from pipeline.records.mirror.differences import compare
from pipeline.records.mirror.reconcile import find_parent, import_trial, read_runs
from pipeline.training.messages import EpochRecord
from tests.conftest import STUDY_UID


@pytest.fixture
def runs(open_runs):
    return open_runs()


@pytest.fixture
def trials(trial):
    """What a search that was not killed knows: more of each trial than its objective."""

    def detailed(*told, values=(0.5, 0.75)):
        epochs = [
            {"epoch": epoch, "metrics": {"val_accuracy": value, "loss": 1 - value}, "at_ms": 9}
            for epoch, value in enumerate(values)
        ]
        metrics = {"val_accuracy": 0.5, "num_epochs": 2.0}
        return trial(*told, values=values, epochs=epochs, metrics=metrics)

    return [detailed(0), detailed(1, "PRUNED"), detailed(2, "FAIL", values=(0.5,))]


@pytest.fixture
def mirrored(runs, trials):
    """The runs of a study that MLflow mirrors."""
    for one in trials:
        import_trial(runs, one)
    return runs


def differences(runs, trials):
    found = read_runs(runs.store, runs.parent)
    return compare(trials, found, metric="val_accuracy", is_driver_alive=True)


def run_of(runs, number):
    (run,) = runs.runs_of(f"0123456789ab-{number:04d}")
    return run.info.run_id


def report_another_loss(runs, trials):
    runs.store.client.log_metric(run_of(runs, 0), "loss", 9.0, step=1)


def know_more_losses(runs, trials):
    trials[0].attributes["epochs"][1]["metrics"]["gradient_norm"] = 3.0


def know_more_of_the_end(runs, trials):
    trials[0].attributes["metrics"]["training_seconds"] = 1.5


def end_otherwise(runs, trials):
    trials[0].attributes["metrics"]["num_epochs"] = 3.0


def lose(runs, trials):
    runs.trash(run_of(runs, 1))


def leave_running(runs, trials):
    runs.store.client.update_run(run_of(runs, 0), status="RUNNING")


def end_wrongly(runs, trials):
    runs.store.client.set_terminated(run_of(runs, 1), "FINISHED")


def report_too_much(runs, trials):
    runs.store.client.log_metric(run_of(runs, 0), "val_accuracy", 0.9, step=2)


def report_otherwise(runs, trials):
    runs.store.client.log_metric(run_of(runs, 0), "val_accuracy", 0.9, step=1)


def change_value(runs, trials):
    runs.store.client.log_metric(run_of(runs, 0), "value", 0.8)


def train_otherwise(runs, trials):
    trials[0].hyperparameters["units"] = 65


def report_on(runs, trials):
    trials[0].intermediate_values[2] = 0.875


def double(runs, trials):
    client, run = runs.store.client, runs.store.client.get_run(run_of(runs, 0))
    client.create_run(runs.parent.experiment, tags=run.data.tags)


def forget(runs, trials):
    del trials[2]


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lose, "missing"),
        (leave_running, "status"),
        (end_wrongly, "status"),
        (report_too_much, "epochs"),
        (report_otherwise, "epochs"),
        (change_value, "value"),
        (train_otherwise, "hyperparameters"),
        (report_on, "epochs"),
        (double, "doubled"),
        (forget, "extra"),
        (report_another_loss, "epochs"),
        (know_more_losses, "epochs"),
        (know_more_of_the_end, "metrics"),
        (end_otherwise, "metrics"),
    ],
)
def test_every_damage_is_found_and_repaired(mirrored, trials, damage, kind):
    assert differences(mirrored, trials) == []
    damage(mirrored, trials)
    mirrored._open.clear()
    found = mirrored.reconcile(trials, is_thorough=True)
    assert kind in {difference.kind for difference in found}
    assert differences(mirrored, trials) == []
    assert mirrored.reconcile(trials) == []


def test_a_run_that_is_only_incomplete_is_kept_with_all_it_has(runs, trial):
    uid = trial().uid(study_uid=STUDY_UID)
    runs.start_trial(uid, number=0, hyperparameters=trial().hyperparameters, tags={}, at_ms=1)
    runs.log_epoch(uid, EpochRecord(epoch=0, metrics={"val_accuracy": 0.5, "gradient_norm": 3.0}))
    runs._open.clear()  # The driver was killed here.
    runs.reconcile([trial()])
    (run,) = runs.runs_of(uid)
    assert run.data.metrics["gradient_norm"] == 3.0
    assert run.info.status == "FINISHED"


def test_runs_that_a_killed_process_left_running_are_closed(open_runs, trials):
    killed = open_runs()
    killed.start_trial("c", number=0, hyperparameters={}, tags={"role": "confirm", "seed": "1"})
    now = open_runs()
    now.start_trial("d", number=0, hyperparameters={}, tags={"role": "confirm", "seed": "2"})
    found = now.reconcile([])
    assert [difference.kind for difference in found] == ["stale"]
    assert [run.info.status for run in now.runs_of("c")] == ["KILLED"]
    assert [run.info.status for run in now.runs_of("d")] == ["RUNNING"]


def test_trials_of_another_study_are_none_of_this_study(open_runs, trial):
    other = open_runs(study_uid="f" * 64)
    import_trial(other, trial())
    mine = open_runs()
    assert mine.run_id != other.run_id
    assert [difference.kind for difference in mine.reconcile([trial()])] == ["missing"]
    assert other.reconcile([trial()]) == []


def test_a_study_that_was_never_opened_has_no_parent(runs):
    experiment = runs.parent.experiment
    assert find_parent(runs.store, experiment, study_uid="another") is None


def test_what_is_searched_under_another_lock_is_left_running(open_runs):
    theirs = open_runs(study_uid="f" * 64)
    theirs.start_trial("f-0", number=0, hyperparameters={}, tags={})
    mine = open_runs()
    mine.close_abandoned([mine.parent.run.data.tags["study_uid"]])
    mine.reconcile([])
    assert [run.info.status for run in theirs.runs_of("f-0")] == ["RUNNING"]


def test_what_a_killed_search_of_an_earlier_space_left_running_is_closed(open_runs, trial):
    old = open_runs()
    old.start_trial("old-0", number=0, hyperparameters={}, tags={})
    new = open_runs(study_uid="f" * 64)
    new.close_abandoned([old.parent.run.data.tags["study_uid"]])
    client = new.store.client
    (left,) = old.runs_of("old-0")
    assert left.info.status == "FAILED"
    assert left.data.tags["reason"] == "the search was killed"
    assert client.get_run(old.run_id).info.status == "KILLED"
    assert client.get_run(new.run_id).info.status == "RUNNING"


def test_closing_what_was_abandoned_leaves_the_search_itself_running(open_runs):
    mine = open_runs()
    mine.start_trial("mine-0", number=0, hyperparameters={}, tags={})
    mine.close_abandoned([mine.parent.run.data.tags["study_uid"]])
    assert [run.info.status for run in mine.runs_of("mine-0")] == ["RUNNING"]
    assert mine.store.client.get_run(mine.run_id).info.status == "RUNNING"


def test_of_two_parents_of_a_study_the_one_opened_last_is_the_current_one(runs):
    # As where the answer to the first request was lost.
    parent = runs.parent
    tags = {**parent.run.data.tags, "opened_at": str(int(parent.run.data.tags["opened_at"]) + 1)}
    later = runs.store.client.create_run(parent.experiment, tags=tags)
    uid = tags["study_uid"]
    found = find_parent(runs.store, parent.experiment, study_uid=uid)
    assert found.run.info.run_id == later.info.run_id
    tags["opened_at"] = "1"
    runs.store.client.create_run(parent.experiment, tags=tags)
    again = find_parent(runs.store, parent.experiment, study_uid=uid)
    assert again.run.info.run_id == later.info.run_id
