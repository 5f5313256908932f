"""What a trial of a study becomes in MLflow's words."""

import math
from datetime import datetime

import pytest

from pipeline.trials.record import (
    end_ms,
    epochs_of,
    hyperparameters_of,
    intermediate_values,
    metrics_of,
    start_ms,
    tags_of,
    traceback_of,
    uid_of,
    value_of,
)


def test_uid_is_the_one_that_the_driver_gave(trial):
    given = trial(user_attrs={"trial_uid": "mine"})
    assert uid_of(given, study_uid="f" * 64) == "mine"


def test_uid_follows_from_the_studys_and_the_number_where_none_was_given(trial):
    assert uid_of(trial(number=3, user_attrs={}), study_uid="abcdef" * 10) == "abcdefabcdef-0003"


def test_hyperparameters_are_text_with_every_digit(trial):
    values = {"learning_rate": 0.1 + 0.2, "normalize_first": True}
    assert hyperparameters_of(trial(hyperparameters=values)) == {
        "learning_rate": "0.30000000000000004",
        "normalize_first": "True",
    }


def test_a_trial_killed_after_it_was_asked_for_has_what_was_sampled(trial):
    assert hyperparameters_of(trial(hyperparameters={})) == {"units": "64"}


def test_only_known_attributes_become_tags(trial):
    attrs = {"seed": 7, "retry_of": 2, "reason": "killed", "index": 5, "attempt": None}
    assert tags_of(trial(user_attrs=attrs)) == {"seed": "7", "retry_of": "2", "reason": "killed"}


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_a_value_that_mlflow_cannot_hold_is_none(trial, value):
    assert value_of(trial(value=value)) is None


def test_intermediate_values_are_ordered_and_finite(trial):
    values = {"10": 0.5, "2": 0.25, "3": None, "4": math.inf, "5": math.nan}
    found = intermediate_values(trial(intermediate_values=values))
    assert list(found.items()) == [(2, 0.25), (10, 0.5)]


def test_epochs_hold_every_metric_at_its_own_time(trial):
    epochs = [{"epoch": 0, "metrics": {"loss": 2.0, "val_accuracy": 0.5}, "at_ms": 1234}]
    (found,) = epochs_of(trial(values=(0.5,), user_attrs={"epochs": epochs}), metric="val_accuracy")
    assert (found.epoch, found.at_ms) == (0, 1234)
    assert found.metrics == {"loss": 2.0, "val_accuracy": 0.5}


def test_epochs_of_a_killed_trial_are_what_was_reported_spread_over_its_time(trial):
    killed = trial(state="FAIL", values=(0.5, 0.6, 0.7, 0.8))
    found = epochs_of(killed, metric="val_loss")
    assert [epoch.metrics["val_loss"] for epoch in found] == [0.5, 0.6, 0.7, 0.8]
    assert [epoch.at_ms - start_ms(killed) for epoch in found] == [15_000, 30_000, 45_000, 60_000]


def test_an_epoch_that_was_not_reported_is_there_with_its_other_metrics(trial):
    epochs = [
        {"epoch": 0, "metrics": {"loss": 2.0}, "at_ms": 1},
        {"epoch": 1, "metrics": {"loss": 1.0}, "at_ms": 2},
    ]
    diverged = trial(intermediate_values={"0": 0.5}, user_attrs={"epochs": epochs})
    found = epochs_of(diverged, metric="val_accuracy")
    assert [dict(epoch.metrics) for epoch in found] == [
        {"loss": 2.0, "val_accuracy": 0.5},
        {"loss": 1.0},
    ]


def test_times_without_a_zone_are_local(trial):
    expected = datetime(2026, 11, 21, 10, 0, 0, 250_000).astimezone().timestamp() * 1000
    assert start_ms(trial()) == expected
    assert end_ms(trial()) == expected + 60_000


def test_end_of_a_trial_that_never_ended_is_its_start(trial):
    assert end_ms(trial(datetime_complete=None)) == start_ms(trial())


def test_metrics_and_traceback_come_from_the_attributes(trial):
    found = trial(user_attrs={"metrics": {"best_epoch": 3}, "traceback": "Traceback ..."})
    assert metrics_of(found) == {"best_epoch": 3.0}
    assert traceback_of(found) == "Traceback ..."
    assert metrics_of(trial()) == {}
    assert traceback_of(trial()) is None
