"""A training's run says what happened, as it happens."""

import math
from pathlib import Path

import pytest

from pipeline.records.mirror.projection import RunGoneError
from pipeline.training.messages import EpochRecord

HYPERPARAMETERS = {"units": 64, "learning_rate": 0.001, "normalize_first": False}


def epoch(number, **metrics):
    return EpochRecord(epoch=number, metrics=metrics)


@pytest.fixture
def runs(open_runs):
    return open_runs()


@pytest.fixture
def client(runs):
    return runs.store.client


def start(runs, uid="u", number=7, at_ms=None, **tags):
    runs.start_trial(uid, number=number, hyperparameters=HYPERPARAMETERS, tags=tags, at_ms=at_ms)


def end(runs, uid="u", state="COMPLETE", **changes):
    told = {"value": 0.75, "metrics": {}, "tags": {}, "traceback": None, **changes}
    runs.end_trial(uid, state, **told)


def only(runs, uid="u"):
    (run,) = runs.runs_of(uid)
    return run


def test_a_started_trial_is_a_running_child_with_its_hyperparameters(runs):
    start(runs, seed="3", attempt="1")
    run = only(runs)
    assert run.info.status == "RUNNING"
    assert run.info.run_name == "transfer-0007"
    assert run.data.params == {
        "units": "64",
        "learning_rate": "0.001",
        "normalize_first": "False",
    }
    expected = {
        "mlflow.parentRunId": runs.run_id,
        "role": "trial",
        "trial": "7",
        "trial_uid": "u",
        "study": "transfer",
        "seed": "3",
        "attempt": "1",
    }
    assert expected.items() <= run.data.tags.items()


def test_a_confirmation_run_is_named_by_its_seed(runs):
    start(runs, role="confirm", seed="99")
    run = only(runs)
    assert run.info.run_name == "transfer-0007-confirm-99"
    assert run.data.tags["role"] == "confirm"


def test_starting_twice_makes_one_run(runs):
    start(runs, at_ms=1000)
    first = only(runs).info.run_id
    start(runs, at_ms=2000)
    assert only(runs).info.run_id == first


def test_a_start_that_is_sent_again_by_another_process_makes_one_run(open_runs):
    start(open_runs(), at_ms=1000)
    again = open_runs()
    start(again, at_ms=1000)
    only(again)


def test_the_same_training_done_anew_replaces_the_one_that_was_cut_off(open_runs, root):
    before = open_runs()
    start(before, at_ms=1000)
    before.log_epoch("u", epoch(0, val_accuracy=0.5))
    after = open_runs()
    start(after, at_ms=2000)
    assert only(after).data.metrics == {}
    assert only(after).info.start_time == 2000


def test_a_failed_attempt_of_this_process_is_kept(runs):
    start(runs, at_ms=1000, attempt="0")
    end(runs, state="FAIL", value=None)
    start(runs, at_ms=2000, attempt="1")
    end(runs)
    assert [run.info.status for run in runs.runs_of("u")] == ["FINISHED", "FAILED"]


def test_each_epoch_is_a_step_at_its_own_time(runs, client):
    start(runs)
    runs.log_epoch("u", epoch(0, val_accuracy=0.5, loss=2.0), at_ms=1000)
    runs.log_epoch("u", epoch(1, val_accuracy=0.75, loss=1.0), at_ms=2000)
    history = client.get_metric_history(only(runs).info.run_id, "val_accuracy")
    assert [(p.step, p.value, p.timestamp) for p in history] == [(0, 0.5, 1000), (1, 0.75, 2000)]
    assert only(runs).data.metrics == {"val_accuracy": 0.75, "loss": 1.0}


def test_an_epoch_that_is_sent_again_is_not_doubled(runs, client):
    start(runs)
    for _ in range(2):
        runs.log_epoch("u", epoch(0, val_accuracy=0.5), at_ms=1000)
    assert len(client.get_metric_history(only(runs).info.run_id, "val_accuracy")) == 1


def test_of_what_is_not_finite_there_is_no_point(runs):
    start(runs)
    runs.log_epoch("u", epoch(3, loss=math.inf, val_loss=math.nan, val_accuracy=0.5))
    assert list(only(runs).data.metrics) == ["val_accuracy"]


@pytest.mark.parametrize(
    ("state", "status"), [("COMPLETE", "FINISHED"), ("PRUNED", "KILLED"), ("FAIL", "FAILED")]
)
def test_a_runs_status_is_its_trials_state(runs, state, status):
    start(runs, at_ms=1000)
    end(runs, state=state, at_ms=5000)
    run = only(runs)
    assert (run.info.status, run.info.start_time, run.info.end_time) == (status, 1000, 5000)


def test_metrics_of_the_end_do_not_join_the_curves_of_the_epochs(runs, client):
    start(runs)
    for number, accuracy in enumerate([0.5, 0.75, 0.7]):
        runs.log_epoch("u", epoch(number, val_accuracy=accuracy))
    end(runs, metrics={"val_accuracy": 0.75, "best_epoch": 1, "training_seconds": 2.5})
    run = only(runs)
    assert run.data.metrics == {
        "val_accuracy": 0.7,
        "best_val_accuracy": 0.75,
        "value": 0.75,
        "best_epoch": 1.0,
        "training_seconds": 2.5,
    }
    assert len(client.get_metric_history(run.info.run_id, "val_accuracy")) == 3


def test_a_trial_without_a_value_has_no_metric_value(runs):
    start(runs)
    end(runs, state="FAIL", value=None, tags={"reason": "worker killed"})
    run = only(runs)
    assert "value" not in run.data.metrics
    assert run.data.tags["reason"] == "worker killed"


def test_a_traceback_is_an_artifact(runs, client, tmp_path):
    start(runs)
    end(runs, state="FAIL", value=None, traceback="Traceback:\n  boom")
    path = client.download_artifacts(only(runs).info.run_id, "traceback.txt", str(tmp_path))
    assert Path(path).read_text() == "Traceback:\n  boom"


def test_a_record_of_a_trial_whose_run_is_not_there_is_said(runs):
    with pytest.raises(RunGoneError, match="there is no run of trial u"):
        runs.log_epoch("u", epoch(0, loss=1.0))


def test_trials_read_train_and_val_and_confirmations_all_three(runs, split):
    runs.log_inputs(split)
    start(runs, "t")
    start(runs, "c", role="confirm")

    def contexts(run):
        return sorted(i.tags[0].value for i in run.inputs.dataset_inputs)

    assert contexts(only(runs, "t")) == ["training", "validation"]
    assert contexts(only(runs, "c")) == ["confirmation", "training", "validation"]
