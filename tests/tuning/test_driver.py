"""The driver keeps the budget exact, the study true and every attempt accounted for.

Trainings are doubles; processes, pipes and the study's store are real.
"""

import optuna
import pytest

from pipeline.errors import StudyError
from pipeline.evaluation.metrics import OBJECTIVES
from pipeline.tuning.driver import Driver, SearchPlan
from pipeline.tuning.executors.local import LocalExecutor
from pipeline.tuning.progress import Progress
from pipeline.tuning.records import DataReference
from pipeline.tuning.space import Choice, FloatRange
from pipeline.tuning.storage import open_storage
from pipeline.tuning.study import open_study
from tests.tuning.training_double import train

STATES = {"COMPLETE", "PRUNED", "FAIL"}


class RecordingRecorder:
    """Keeps what it was told, in order, by trial."""

    def __init__(self):
        self.calls = {}

    def start_trial(self, uid, **told):
        self.calls.setdefault(uid, []).append(("start", told))

    def log_epoch(self, uid, record, *, at_ms):
        self.calls[uid].append(("epoch", record.epoch))

    def end_trial(self, uid, state, **told):
        self.calls[uid].append(("end", state))


@pytest.fixture(autouse=True)
def table(monkeypatch):
    """A table of hyperparameters that the double understands."""
    from pipeline.tuning import hyperparameters, space

    entry = hyperparameters.Hyperparameter
    names = {
        "top": entry(kind="float", help="value after the last epoch"),
        "behaviour": entry(kind="name", help="what goes wrong"),
        "epoch_seconds": entry(kind="float", help="time of an epoch"),
    }
    monkeypatch.setattr(space, "HYPERPARAMETERS", names)


@pytest.fixture
def search(tmp_path):
    """Runs a search and returns its study and what was recorded."""

    def run(target=4, behaviour="well", workers=2, pruner=None, **plan):
        study = open_study(
            open_storage(tmp_path), name="digits-mine", identity="a" * 64, direction="maximize"
        )
        study.pruner = pruner or optuna.pruners.NopPruner()
        recorder = RecordingRecorder()
        defaults = {"behaviour": behaviour, "epoch_seconds": 0.0}
        settings = {"top": FloatRange(type="float", low=0.0, high=1.0)}
        if isinstance(behaviour, list):
            settings["behaviour"] = Choice(type="choice", choices=behaviour)
        told = {"seed": 1, "sampler": "random", "max_retries": 2, "max_failures": 3, **plan}
        with LocalExecutor(workers, train=train) as executor:
            Driver(
                study,
                SearchPlan(
                    settings=settings,
                    defaults=defaults,
                    objective="val_accuracy",
                    target=target,
                    epochs=3,
                    **told,
                ),
                OBJECTIVES["val_accuracy"],
                executor=executor,
                recorder=recorder,
                data=DataReference(features=str(tmp_path), train_file=str(tmp_path / "log")),
                progress=Progress(target, maximize=True, states=[], best=None),
            ).run()
        return study, recorder

    return run


def states(study):
    return [trial.state.name for trial in study.trials]


def test_a_search_ends_with_exactly_its_target(search):
    study, _ = search(target=5)
    assert states(study) == ["COMPLETE"] * 5


def test_a_search_that_has_its_target_does_nothing(search):
    search(target=3)
    study, recorder = search(target=3)
    assert len(study.trials) == 3
    assert recorder.calls == {}


def test_raising_the_target_runs_exactly_the_difference(search):
    search(target=3)
    study, recorder = search(target=5)
    assert len(study.trials) == 5
    assert len(recorder.calls) == 2


def test_the_value_of_a_trial_is_its_best_epochs(search):
    study, _ = search(target=1)
    trial = study.trials[0]
    assert trial.value == pytest.approx(trial.params["top"])
    assert list(trial.intermediate_values) == [0, 1, 2]


def test_every_epoch_is_recorded_with_its_metrics_and_time(search):
    study, recorder = search(target=1)
    (calls,) = recorder.calls.values()
    assert [name for name, _ in calls] == ["start", "epoch", "epoch", "epoch", "end"]
    epochs = study.trials[0].user_attrs["epochs"]
    assert [entry["epoch"] for entry in epochs] == [0, 1, 2]
    assert set(epochs[0]["metrics"]) == {"val_accuracy", "loss"}


def test_a_pruned_trial_is_pruned_in_the_study_and_in_the_record(search):
    pruner = optuna.pruners.ThresholdPruner(lower=2.0)
    study, recorder = search(target=3, pruner=pruner)
    assert states(study) == ["PRUNED"] * 3
    assert {calls[-1] for calls in recorder.calls.values()} == {("end", "PRUNED")}
    assert study.trials[0].user_attrs["outcome"] == "pruned"


def test_a_diverged_trial_counts_as_pruned_and_says_so(search):
    study, _ = search(target=2, behaviour="diverge")
    assert states(study) == ["PRUNED"] * 2
    assert study.trials[0].user_attrs["outcome"] == "diverged"


def test_a_killed_worker_costs_one_attempt_and_its_hyperparameters_are_tried_again(search):
    study, recorder = search(target=3, behaviour="die_once", workers=1)
    assert sorted(states(study)) == ["COMPLETE", "COMPLETE", "COMPLETE", "FAIL"]
    failed = study.trials[0]
    (retry,) = [trial for trial in study.trials if trial.user_attrs.get("retry_of") == 0]
    assert retry.params == failed.params
    assert retry.user_attrs["seed"] == failed.user_attrs["seed"]
    assert retry.user_attrs["attempt"] == 1
    assert len(recorder.calls) == 4


def test_a_configuration_that_always_kills_its_worker_ends_the_search(search, tmp_path):
    with pytest.raises(StudyError, match="3 trials failed in a row, the last with: its worker"):
        search(target=3, behaviour="die", workers=1)
    study = optuna.load_study(study_name="digits-mine", storage=open_storage(tmp_path))
    assert set(states(study)) <= STATES
    assert [trial.user_attrs.get("retry_of") for trial in study.trials] == [None, 0, 1]


def test_an_error_in_training_is_kept_with_its_traceback_and_not_retried(search, tmp_path):
    with pytest.raises(StudyError, match="RuntimeError: the weights are on fire"):
        search(target=3, behaviour="raise", workers=1)
    study = optuna.load_study(study_name="digits-mine", storage=open_storage(tmp_path))
    assert states(study) == ["FAIL"] * 3
    assert "training_double.py" in study.trials[0].user_attrs["traceback"]


def test_single_failures_between_good_trials_do_not_end_the_search(search):
    study, _ = search(target=6, behaviour=["well", "infeasible"], workers=1, max_failures=20)
    assert states(study).count("COMPLETE") == 6
    assert "FAIL" in states(study)


def test_an_interrupted_search_closes_its_trials_and_tries_them_again(search, monkeypatch):
    original = Driver._on_epoch

    def interrupt(self, uid, record):
        raise KeyboardInterrupt

    monkeypatch.setattr(Driver, "_on_epoch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        search(target=4)
    monkeypatch.setattr(Driver, "_on_epoch", original)
    study, _ = search(target=4)
    assert "RUNNING" not in states(study)
    assert states(study).count("COMPLETE") == 4
    failed = [trial for trial in study.trials if trial.state.name == "FAIL"]
    again = [trial for trial in study.trials if "retry_of" in trial.user_attrs]
    assert [trial.params for trial in again] == [trial.params for trial in failed]


def test_one_worker_and_a_seed_give_the_same_trials_also_when_resumed(search, tmp_path):
    study, _ = search(target=6, workers=1, sampler="tpe")
    straight = [trial.params for trial in study.trials]
    optuna.delete_study(study_name="digits-mine", storage=open_storage(tmp_path))
    for target in (2, 5, 6):
        study, _ = search(target=target, workers=1, sampler="tpe")
    assert len(straight) == 6
    assert [trial.params for trial in study.trials][:2] == straight[:2]
