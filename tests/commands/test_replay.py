"""A trial trained again alone, compared with what the study holds.

That TensorFlow gives the same bits again is shown in tests/test_end_to_end.py.
"""

import sqlite3
from contextlib import closing

import pytest

from pipeline.commands.replay import compare, replay
from pipeline.errors import ConfigError, StudyError
from pipeline.studies.described import load_current
from pipeline.training.messages import EpochRecord
from testing import faults
from testing.records import made_trial
from tests.commands.repository import Repository, read_trials, run


@pytest.fixture(scope="module")
def searched(tmp_path_factory, params_document):
    """A study with complete and pruned trials, by the real stage with trainings of no time."""
    made = Repository(tmp_path_factory.mktemp("searched"), params_document)
    pruner = {"name": "median", "startup_trials": 1, "warmup_epochs": 0}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(made.folder)
        made.set(trials=8, epochs=4, workers=2, pruner=pruner)
        made.search()
    return made


@pytest.fixture
def repository(searched, monkeypatch):
    """The same, where a training takes no time in this process too."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(searched.folder)
    monkeypatch.setattr("pipeline.training.worker.run_trial", faults.train)
    monkeypatch.setattr("pipeline.training.devices.configure_tensorflow", lambda num_threads: None)
    return searched


def numbers(repository, state):
    trials = read_trials(repository.folder, "digits-tiny")
    return [trial.number for trial in trials if trial.state == state]


@pytest.mark.parametrize("state", ["COMPLETE", "PRUNED"])
def test_a_trial_of_two_workers_comes_out_the_same_alone(repository, capsys, state):
    assert numbers(repository, state)
    for number in numbers(repository, state):
        assert run("replay", "tiny", number) == 0
        out = capsys.readouterr().out
        epochs = len(read_trials(repository.folder, "digits-tiny")[number].curve)
        assert f"tiny, trial {number} ({state}):" in out
        assert f"equal: to the last bit, over {epochs} epochs" in out


def test_a_trial_that_comes_out_otherwise_fails(repository, capsys, monkeypatch):
    def train(spec, data, report):
        return faults.train(spec.__class__(**{**vars(spec), "seed": spec.seed + 1}), data, report)

    monkeypatch.setattr("pipeline.training.worker.run_trial", train)
    number = numbers(repository, "COMPLETE")[0]
    assert run("replay", "tiny", number) == 1
    assert "not equal: largest difference 0." in capsys.readouterr().out
    assert run("replay", "tiny", number, "--tolerance", "1") == 0


def test_neither_study_nor_mlflow_is_touched(repository):
    def stored():
        with closing(sqlite3.connect(repository.folder / "mlflow.db")) as connection:
            runs = connection.execute("select * from runs order by 1").fetchall()
        return read_trials(repository.folder, "digits-tiny"), runs

    before = stored()
    run("replay", "tiny", 0)
    assert stored() == before


def test_a_reused_result_is_replayed_from_the_trial_that_was_trained(repository, capsys):
    study = repository.study()
    trials = read_trials(repository.folder, "digits-tiny")
    study.enqueue_trial(dict(trials[0].params), user_attrs={"duplicate_of": 0})
    number = repository.ask(study).trial.number
    assert run("replay", "tiny", number) == 0
    assert f"trial {number} has the result of trial 0" in capsys.readouterr().out


@pytest.mark.parametrize("number", [-1, 4242])
def test_a_number_without_a_trial_is_refused(repository, number):
    with pytest.raises(ConfigError, match=rf"of tiny, 0 to \d+. Received: {number}"):
        run("replay", "tiny", number)


def test_a_trial_that_was_cut_off_before_its_first_epoch_is_refused(repository):
    study = repository.study()
    number = repository.ask(study).trial.number
    with pytest.raises(StudyError, match=f"Trial {number} of tiny .RUNNING. holds no epoch"):
        run("replay", "tiny", number)


def test_a_study_of_other_params_is_refused(repository):
    repository.set(epochs=5)
    try:
        with pytest.raises(StudyError, match=r"not the study that params\.yaml describes"):
            run("replay", "tiny", 0)
    finally:
        repository.set(epochs=4)


@pytest.mark.parametrize(
    ("replayed", "is_equal"),
    [
        ({0: 0.5, 1: 0.75}, True),
        ({0: 0.5, 1: 0.75 + 5e-7}, True),
        ({0: 0.5, 1: 0.75 + 5e-6}, False),
        ({0: 0.5}, False),
        ({0: 0.5, 1: 0.75, 2: 0.8}, False),
    ],
)
def test_every_epoch_counts_and_none_may_be_missing(replayed, is_equal):
    recorded = {0: 0.5, 1: 0.75}
    assert compare(recorded, replayed, metric="val_accuracy", tolerance=1e-6) is is_equal


def test_it_trains_as_a_worker_does_and_compares_what_a_driver_reports(repository, monkeypatch):
    told = {"hyperparameters": {"num_layers": 1}, "intermediate_values": {0: 0.5, 2: 0.75}}
    threads, trial = [], made_trial(seed=1, **told)

    def train(spec, data, report):
        for epoch, value in enumerate((0.5, float("nan"), 0.75)):
            report(EpochRecord(epoch=epoch, metrics={"val_accuracy": value}))

    monkeypatch.setattr("pipeline.training.worker.run_trial", train)
    monkeypatch.setattr(
        "pipeline.training.devices.configure_tensorflow",
        lambda num_threads: threads.append(num_threads),
    )
    current = load_current("tiny", root=repository.folder)
    found = replay(trial, current, metric="val_accuracy", root=repository.folder)
    assert found == {0: 0.5, 2: 0.75}
    # More of them sum in another order.
    assert threads == [1]
