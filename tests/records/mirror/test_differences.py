"""Every way in which MLflow can differ from a study is found, and nothing else is."""

import math
from dataclasses import replace

import pytest

from pipeline.records.mirror import differences as audit
from pipeline.records.mirror.differences import table
from pipeline.records.mirror.expected_run import STATUS_OF_STATE, RunRecord

CURVES = {"val_accuracy": ((0, 0.5), (1, 0.75)), "loss": ((0, 2.0), (1, 1.0))}
SUMMARY = {"best_val_accuracy": 0.75, "num_epochs": 2.0}


def compare(trials, runs, **told):
    return audit.compare(trials, runs, metric="val_accuracy", **told)


def record_of(trial, run_id="r", curves=None, metrics=None, **changes):
    """The run that mirrors a trial exactly, but for what is given."""
    curves = {"val_accuracy": list(trial.curve.items()), **(curves or {})}
    last = {name: points[-1][1] for name, points in curves.items() if points}
    value = {} if trial.value is None else {"value": trial.value}
    found = RunRecord(
        run_id=run_id,
        role="trial",
        number=trial.number,
        status=STATUS_OF_STATE[trial.state],
        hyperparameters=trial.texts,
        metrics={**last, **value, **(metrics or {})},
        curves=curves,
    )
    return replace(found, **changes)


@pytest.fixture
def detailed(trial):
    """A trial whose every metric the study knows."""
    epochs = [
        {"epoch": e, "metrics": {name: points[e][1] for name, points in CURVES.items()}, "at_ms": e}
        for e in range(2)
    ]
    return trial(epochs=epochs, metrics={"val_accuracy": 0.75, "num_epochs": 2.0})


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
    half = {"val_accuracy": [(0, 0.5)]}
    runs = [record_of(complete, "half", half), record_of(complete, "whole")]
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
    other = {**one.texts, "units": "65"}
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
    found = only(compare([one], [record_of(one, metrics={"value": math.nextafter(0.75, 1)})]))
    assert (found.kind, found.is_conflict) == ("value", True)


def test_a_lacking_value_is_no_conflict(trial):
    one = trial()
    run = replace(record_of(one), metrics={"val_accuracy": 0.75})
    found = only(compare([one], [run]))
    assert (found.kind, found.expected, found.is_conflict) == ("value", "0.75", False)


def test_a_lacking_epoch_is_no_conflict(trial):
    one = trial()
    found = only(compare([one], [record_of(one, curves={"val_accuracy": [(0, 0.5)]})]))
    assert (found.kind, found.expected, found.is_conflict) == ("epochs", "2 epochs", False)
    assert found.found == "val_accuracy none at 1"


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
    found = only(compare([one], [record_of(one, curves={"val_accuracy": epochs})]))
    assert (found.kind, found.is_conflict) == ("epochs", True)


def test_what_is_not_finite_in_mlflow_as_of_an_earlier_release_is_no_difference(trial):
    one = trial(values=(0.5,))
    epochs = [(0, 0.5), (1, math.nan)]
    assert compare([one], [record_of(one, curves={"val_accuracy": epochs})]) == []


def test_every_metric_of_every_epoch_and_of_the_end_is_compared(detailed):
    assert compare([detailed], [record_of(detailed, curves=CURVES, metrics=SUMMARY)]) == []


@pytest.mark.parametrize(
    ("loss", "told", "is_conflict"),
    [
        ([(0, 2.0), (1, 1.5)], "loss wrong at 1", True),
        ([(0, 2.0)], "loss none at 1", False),
        ([], "loss none at 0, 1", False),
        ([(0, 2.0), (1, 1.0), (1, 1.0)], "loss 1 doubled", True),
    ],
    ids=["another value", "one lacks", "all lack", "one twice"],
)
def test_another_metric_than_the_objective_is_compared_too(detailed, loss, told, is_conflict):
    run = record_of(detailed, curves={**CURVES, "loss": loss}, metrics=SUMMARY)
    found = only(compare([detailed], [run]))
    assert (found.kind, found.found, found.is_conflict) == ("epochs", told, is_conflict)


@pytest.mark.parametrize(
    ("num_epochs", "told"), [(3.0, "num_epochs=3.0"), (None, "num_epochs=(none)")]
)
def test_a_metric_of_the_end_is_compared(detailed, num_epochs, told):
    metrics = {"best_val_accuracy": 0.75, "num_epochs": num_epochs}
    kept = {name: value for name, value in metrics.items() if value is not None}
    found = only(compare([detailed], [record_of(detailed, curves=CURVES, metrics=kept)]))
    assert (found.kind, found.expected, found.found) == ("metrics", "num_epochs=2.0", told)
    assert found.is_conflict == (num_epochs is not None)


def test_a_history_that_was_not_read_is_not_taken_for_a_lack(detailed):
    run = record_of(detailed, metrics={**SUMMARY, "loss": 1.0})
    assert compare([detailed], [run]) == []


def test_a_history_that_was_not_read_still_shows_that_its_end_lacks(detailed):
    run = record_of(detailed, metrics={**SUMMARY, "loss": 2.0})
    found = only(compare([detailed], [run]))
    assert (found.kind, found.found, found.is_conflict) == ("epochs", "loss ends with 2.0", False)


def test_what_a_user_or_the_system_measured_is_none_of_the_studys(detailed):
    more = {**CURVES, "system/cpu": [(0, 50.0)]}
    assert compare([detailed], [record_of(detailed, curves=more, metrics=SUMMARY)]) == []


def test_a_trial_whose_driver_was_killed_is_known_by_its_objective(trial):
    killed = trial(state="FAIL")
    assert compare([killed], [record_of(killed, curves=CURVES)]) == []


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
