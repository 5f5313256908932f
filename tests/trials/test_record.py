"""What a trial of a study becomes in MLflow's words."""

import math
from datetime import datetime

import pytest

from pipeline.trials.ranking import best_trial, num_finished
from testing.records import made_trial


def test_uid_is_the_one_that_the_driver_gave(trial):
    assert trial(trial_uid="mine").uid(study_uid="f" * 64) == "mine"


def test_uid_follows_from_the_studys_and_the_number_where_none_was_given(trial):
    given = trial(number=3, attributes={})
    assert given.uid(study_uid="abcdef" * 10) == "abcdefabcdef-0003"


def test_hyperparameters_are_text_with_every_digit(trial):
    values = {"learning_rate": 0.1 + 0.2, "normalize_first": True}
    assert trial(hyperparameters=values).texts == {
        "learning_rate": "0.30000000000000004",
        "normalize_first": "True",
    }


def test_a_trial_killed_after_it_was_asked_for_has_what_was_sampled(trial):
    assert trial(hyperparameters={}).texts == {"units": "64"}


def test_only_known_attributes_become_tags(trial):
    attrs = {"seed": 7, "retry_of": 2, "reason": "killed", "index": 5, "attempt": None}
    assert trial(**attrs).tags == {"seed": "7", "retry_of": "2", "reason": "killed"}


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_a_value_that_mlflow_cannot_hold_is_none(trial, value):
    assert trial(value=value).finite_value is None


def test_intermediate_values_are_ordered_and_finite(trial):
    values = {10: 0.5, 2: 0.25, 3: None, 4: math.inf, 5: math.nan}
    assert list(trial(intermediate_values=values).curve.items()) == [(2, 0.25), (10, 0.5)]


def test_epochs_hold_every_metric_at_its_own_time(trial):
    epochs = [{"epoch": 0, "metrics": {"loss": 2.0, "val_accuracy": 0.5}, "at_ms": 1234}]
    (found,) = trial(values=(0.5,), epochs=epochs).epochs(metric="val_accuracy")
    assert (found.epoch, found.at_ms) == (0, 1234)
    assert found.metrics == {"loss": 2.0, "val_accuracy": 0.5}


def test_epochs_of_a_killed_trial_are_what_was_reported_spread_over_its_time(trial):
    killed = trial(state="FAIL", values=(0.5, 0.6, 0.7, 0.8))
    found = killed.epochs(metric="val_loss")
    assert [epoch.metrics["val_loss"] for epoch in found] == [0.5, 0.6, 0.7, 0.8]
    assert [epoch.at_ms - killed.start_ms for epoch in found] == [15_000, 30_000, 45_000, 60_000]


def test_an_epoch_that_was_not_reported_is_there_with_its_other_metrics(trial):
    epochs = [
        {"epoch": 0, "metrics": {"loss": 2.0}, "at_ms": 1},
        {"epoch": 1, "metrics": {"loss": 1.0}, "at_ms": 2},
    ]
    diverged = trial(intermediate_values={0: 0.5}, epochs=epochs)
    found = diverged.epochs(metric="val_accuracy")
    assert [dict(epoch.metrics) for epoch in found] == [
        {"loss": 2.0, "val_accuracy": 0.5},
        {"loss": 1.0},
    ]


def test_times_without_a_zone_are_local(trial):
    expected = datetime(2026, 11, 21, 10, 0, 0, 250_000).astimezone().timestamp() * 1000
    assert trial().start_ms == expected
    assert trial().end_ms == expected + 60_000


def test_end_of_a_trial_that_never_ended_is_its_start(trial):
    running = trial(ended=None)
    assert running.end_ms == trial().start_ms
    assert running.seconds is None


def test_metrics_and_traceback_come_from_the_attributes(trial):
    found = trial(metrics={"best_epoch": 3}, traceback="Traceback ...")
    assert found.metrics == {"best_epoch": 3.0}
    assert found.traceback == "Traceback ..."
    assert trial().metrics == {}
    assert trial().traceback is None


def test_complete_and_pruned_trials_count_as_finished():
    states = ["COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING"]
    assert num_finished([made_trial(state=state) for state in states]) == 2


@pytest.mark.parametrize(("direction", "number"), [("maximize", 1), ("minimize", 0)])
def test_the_best_is_the_earliest_of_equals(direction, number):
    trials = [made_trial(n, value=value) for n, value in enumerate([0.1, 0.9, 0.9])]
    assert best_trial(trials, direction).number == number


def test_a_pruned_trial_is_not_the_best():
    trials = [made_trial(0, "PRUNED", 0.9), made_trial(1, value=0.1), made_trial(2, "FAIL")]
    assert best_trial(trials, "maximize").number == 1
    assert best_trial(trials[:1], "maximize") is None
