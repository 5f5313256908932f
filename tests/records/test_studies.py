"""The study is a record that survives kills, new identities and journeys."""

import json

import optuna
import pytest

from pipeline.records.storage import open_storage
from pipeline.records.studies import import_trials, open_study, stored_trials, trial_records
from pipeline.search.queue import close_orphans, enqueue_missing, fail_trial, retire, retry_failed
from pipeline.trials.record import TrialRecord
from testing.records import made_study


@pytest.fixture
def storage(tmp_path):
    return open_storage(tmp_path)


@pytest.fixture
def study(storage):
    return open_study(
        storage, retire=retire, name="digits-mine", identity="a" * 64, direction="maximize"
    )


def ask(study, **attrs):
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.suggest_categorical("activation", ["relu", "selu"])
    for name, value in attrs.items():
        trial.set_user_attr(name, value)
    return trial


def test_the_same_identity_goes_on_with_the_same_study(storage, study):
    study.tell(ask(study), 0.5)
    again = open_study(
        storage, retire=retire, name="digits-mine", identity="a" * 64, direction="maximize"
    )
    assert len(again.trials) == 1


def test_another_identity_puts_the_old_study_aside_under_its_hash(storage, study):
    study.tell(ask(study), 0.5)
    new = open_study(
        storage, retire=retire, name="digits-mine", identity="b" * 64, direction="maximize"
    )
    assert new.trials == []
    aside = optuna.load_study(study_name="digits-mine-aaaaaaaa", storage=storage)
    assert len(aside.trials) == 1


def test_what_is_put_aside_has_no_trial_left_running(storage, study):
    ask(study)
    open_study(storage, retire=retire, name="digits-mine", identity="b" * 64, direction="maximize")
    aside = optuna.load_study(study_name="digits-mine-aaaaaaaa", storage=storage)
    assert [trial.state.name for trial in aside.trials] == ["FAIL", "WAITING"]


def test_returning_to_an_identity_brings_its_study_back(storage, study):
    study.tell(ask(study), 0.5)
    open_study(storage, retire=retire, name="digits-mine", identity="b" * 64, direction="maximize")
    back = open_study(
        storage, retire=retire, name="digits-mine", identity="a" * 64, direction="maximize"
    )
    assert [trial.value for trial in back.trials] == [0.5]
    names = set(optuna.get_all_study_names(storage))
    assert names == {"digits-mine", "digits-mine-bbbbbbbb"}


def test_an_orphan_is_failed_and_its_hyperparameters_queued_again(study):
    orphan = ask(study, index=3)
    assert close_orphans(study, max_retries=2, reason="killed") == [0]
    assert [trial.state.name for trial in study.trials] == ["FAIL", "WAITING"]
    retry = ask(study)
    assert retry.params == orphan.params
    assert retry.user_attrs == {"index": 3, "retry_of": 0, "attempt": 0}


def test_an_orphan_that_was_asked_but_never_sampled_keeps_what_was_queued(study):
    enqueue_missing(study, [{"x": 0.25}])
    study.ask()
    close_orphans(study, max_retries=2, reason="killed")
    assert study.ask().suggest_float("x", 0, 1) == 0.25


def test_a_crash_between_failing_and_queueing_is_repaired(study):
    fail_trial(study, ask(study).number, reason="killed", retry="free")
    close_orphans(study, max_retries=2, reason="killed")
    close_orphans(study, max_retries=2, reason="killed")
    assert [trial.state.name for trial in study.trials] == ["FAIL", "WAITING"]


def test_a_lost_worker_is_retried_at_most_max_retries_times(study):
    for _ in range(3):
        fail_trial(study, ask(study).number, reason="lost", retry="counted")
        retry_failed(study, max_retries=2)
    assert [trial.state.name for trial in study.trials] == ["FAIL"] * 3


def test_interruptions_cost_no_retry(study):
    for _ in range(4):
        fail_trial(study, ask(study).number, reason="interrupted", retry="free")
        retry_failed(study, max_retries=1)
    assert study.trials[-1].state.name == "WAITING"


def test_an_error_is_not_retried(study):
    fail_trial(study, ask(study).number, reason="ValueError", retry="no")
    retry_failed(study, max_retries=2)
    assert len(study.trials) == 1


def test_configurations_are_queued_once(study):
    for _ in range(2):
        enqueue_missing(study, [{"x": 0.25}, {"x": 0.5}])
    assert len(study.trials) == 2


def test_an_export_rebuilds_the_same_study(study, tmp_path):
    first = ask(study, metrics={"val_accuracy": 0.5}, of_a_user=[1, {"a": None}])
    first.report(0.4, 0)
    first.report(0.5, 1)
    study.tell(first, 0.5)
    study.tell(ask(study, value=0.3), state=optuna.trial.TrialState.PRUNED)
    fail_trial(study, ask(study).number, reason="killed", retry="free")
    retry_failed(study, max_retries=1)
    exported = [one.to_json() for one in trial_records(study)]
    exported = json.loads(json.dumps(exported, allow_nan=False))
    elsewhere = open_study(
        open_storage(tmp_path / "elsewhere"),
        retire=retire,
        name="digits-mine",
        identity="a" * 64,
        direction="maximize",
    )
    import_trials(elsewhere, map(TrialRecord.from_json, exported))
    assert [one.to_json() for one in trial_records(elsewhere)] == exported


def test_a_study_is_found_by_its_uid_under_whatever_name_it_is_kept(storage, study):
    study.tell(ask(study), 0.5)
    exported = made_study(study_uid=study.user_attrs["study_uid"])
    open_study(storage, retire=retire, name="digits-mine", identity="b" * 64, direction="maximize")
    assert [trial.value for trial in stored_trials(storage, exported)] == [0.5]
    lost = made_study(study_uid="lost")
    assert stored_trials(storage, lost) == lost.trials


def test_a_new_study_has_a_uid_of_its_own_and_one_that_is_rebuilt_the_uid_that_it_had(tmp_path):
    def opened(folder, **attrs):
        return open_study(
            open_storage(tmp_path / folder),
            retire=retire,
            name="digits-mine",
            identity="a" * 64,
            direction="maximize",
            attrs=attrs,
        ).user_attrs["study_uid"]

    first = opened("first")
    assert len(first) == 32
    assert opened("first") == first
    assert opened("second") != first
    assert opened("third", study_uid=first) == first


def test_the_retry_of_a_queued_configuration_is_that_configuration(study):
    enqueue_missing(study, [{"x": 0.25}])
    ask(study)
    close_orphans(study, max_retries=2, reason="killed")
    first, again = study.trials
    assert again.user_attrs["enqueued"] == first.user_attrs["enqueued"]
