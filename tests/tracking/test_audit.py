"""Every way in which MLflow can differ from a study is found, and nothing else is."""

import math
from dataclasses import replace

import pytest

from pipeline.tracking.audit import RunRecord, compare, table
from pipeline.tracking.trials import STATUS_OF_STATE, hyperparameters_of, intermediate_values


def record_of(trial, run_id="r", **changes):
    """The run that mirrors a trial exactly."""
    found = RunRecord(
        run_id=run_id,
        role="trial",
        number=trial["number"],
        status=STATUS_OF_STATE[trial["state"]],
        hyperparameters=hyperparameters_of(trial),
        value=trial["value"],
        epochs=list(intermediate_values(trial).items()),
    )
    return replace(found, **changes)


PARENT = RunRecord(run_id="p", role="study", number=None, status="FINISHED")


def only(differences):
    (found,) = differences
    return found


@pytest.mark.parametrize("state", ["COMPLETE", "PRUNED", "FAIL"])
def test_an_exact_mirror_has_no_difference(trial, state):
    trials = [trial(number, state) for number in range(3)]
    assert compare(trials, [PARENT, *map(record_of, trials)]) == []


def test_a_running_trial_is_mirrored_without_its_value(trial):
    running = trial(state="RUNNING", value=None)
    assert compare([running], [record_of(running)]) == []


def test_a_waiting_trial_needs_no_run(trial):
    assert compare([trial(state="WAITING")], []) == []


def test_a_trial_without_a_run_is_missing(trial):
    found = only(compare([trial(4)], []))
    assert (found.number, found.kind, found.expected) == (4, "missing", "COMPLETE")


def test_a_run_without_a_trial_is_extra(trial):
    found = only(compare([], [record_of(trial(4), "x")]))
    assert (found.number, found.kind, found.run_id) == (4, "extra", "x")


def test_of_two_runs_the_one_with_fewer_epochs_is_doubled(trial):
    complete = trial()
    runs = [record_of(complete, "half", epochs=[(0, 0.5)]), record_of(complete, "whole")]
    found = only(compare([complete], runs))
    assert (found.kind, found.run_id) == ("doubled", "half")


@pytest.mark.parametrize(
    ("state", "status"),
    [("COMPLETE", "RUNNING"), ("PRUNED", "FINISHED"), ("FAIL", "FINISHED"), ("RUNNING", "FAILED")],
)
def test_a_status_that_is_not_the_state_is_found(trial, state, status):
    one = trial(state=state, value=None)
    found = only(compare([one], [record_of(one, status=status)]))
    assert (found.kind, found.found, found.is_conflict) == ("status", status, False)


def test_a_changed_hyperparameter_is_a_conflict_that_names_it(trial):
    one = trial()
    other = {**hyperparameters_of(one), "units": "65"}
    found = only(compare([one], [record_of(one, hyperparameters=other)]))
    assert (found.kind, found.expected, found.found) == ("hyperparameters", "units=64", "units=65")
    assert found.is_conflict


def test_a_lacking_hyperparameter_is_no_conflict(trial):
    one = trial()
    found = only(compare([one], [record_of(one, hyperparameters={})]))
    assert found.kind == "hyperparameters"
    assert not found.is_conflict


def test_a_value_one_bit_off_is_found(trial):
    one = trial()
    found = only(compare([one], [record_of(one, value=math.nextafter(0.75, 1))]))
    assert (found.kind, found.is_conflict) == ("value", True)


def test_a_lacking_value_is_no_conflict(trial):
    one = trial()
    found = only(compare([one], [record_of(one, value=None)]))
    assert (found.kind, found.expected, found.is_conflict) == ("value", "0.75", False)


def test_a_lacking_epoch_is_no_conflict(trial):
    one = trial()
    found = only(compare([one], [record_of(one, epochs=[(0, 0.5)])]))
    assert (found.kind, found.found, found.is_conflict) == ("epochs", "1: none at 1", False)


@pytest.mark.parametrize(
    "epochs",
    [
        [(0, 0.5), (1, 0.8)],
        [(0, 0.5), (1, 0.75), (2, 0.9)],
        [(0, 0.5), (0, 0.5), (1, 0.75)],
    ],
    ids=["another value", "one too many", "one twice"],
)
def test_wrong_epochs_are_a_conflict(trial, epochs):
    one = trial()
    found = only(compare([one], [record_of(one, epochs=epochs)]))
    assert (found.kind, found.is_conflict) == ("epochs", True)


def test_an_epoch_that_gave_nan_is_in_mlflow_only(trial):
    one = trial(values=(0.5,))
    assert compare([one], [record_of(one, epochs=[(0, 0.5), (1, math.nan)])]) == []


def test_runs_that_nobody_works_on_are_stale(trial):
    one = trial()
    stale = [
        replace(PARENT, status="RUNNING"),
        RunRecord(run_id="c", role="confirm", number=0, status="RUNNING"),
    ]
    found = compare([one], [*stale, record_of(one)])
    assert [(difference.kind, difference.run_id) for difference in found] == [
        ("stale", "p"),
        ("stale", "c"),
    ]


def test_runs_of_a_living_driver_are_not_stale(trial):
    one = trial()
    runs = [replace(PARENT, status="RUNNING"), record_of(one)]
    assert compare([one], runs, is_driver_alive=True) == []


def test_confirmation_runs_are_no_trials(trial):
    one = trial()
    confirm = RunRecord(run_id="c", role="confirm", number=0, status="FINISHED")
    assert compare([one], [confirm, record_of(one)]) == []


def test_the_table_is_aligned_below_its_heading(trial):
    lines = table(compare([trial(4), trial(11)], [])).splitlines()
    assert lines[0].split() == ["trial", "differs", "in", "study", "MLflow", "run"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["4", "missing", "COMPLETE"],
        ["11", "missing", "COMPLETE"],
    ]
    assert len({line.index("COMPLETE") for line in lines[1:]}) == 1
