"""Confirmation trainings are all done, judged on their own part, and lost ones done again.

Trainings are doubles; processes and pipes are real.
"""

import json
import math
import signal
import time
from dataclasses import asdict, replace

import numpy as np
import pytest

from pipeline import processes as interrupts
from pipeline.errors import StudyError
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.search.candidates import candidates
from pipeline.search.confirmation import Confirmation
from pipeline.search.executors.base import TrialDone, TrialLost
from pipeline.search.executors.local import LocalExecutor
from pipeline.search.judging import in_order, judge, placed, sound, winner_of
from pipeline.search.kept_trainings import KeptTraining
from pipeline.training.data import DataReference
from pipeline.training.messages import TrialResult
from testing.records import made_study, made_trial
from tests.search.training_double import train

ACCURACY, LOSS = OBJECTIVES["val_accuracy"], OBJECTIVES["val_log_loss"]


class RecordingRecorder:
    """Keeps what it was told, in order."""

    def __init__(self):
        self.started, self.epochs, self.ended = [], [], []

    def start_trial(self, uid, **told):
        self.started.append((uid, told["tags"]["attempt"]))

    def log_epoch(self, uid, record, *, at_ms):
        self.epochs.append((uid, record.epoch))

    def end_trial(self, uid, state, **told):
        self.ended.append((uid, state, told))


def study(*values, **hyperparameters):
    """A study with a complete trial for each value."""
    trials = [
        made_trial(number, value=value, hyperparameters={"top": value, **hyperparameters})
        for number, value in enumerate(values)
    ]
    return made_study(*trials)


def plan(exported, *, top=1, seeds=2, root_seed=1, is_diverse=False):
    return candidates(
        exported,
        top=top,
        seeds=seeds,
        epochs=2,
        root_seed=root_seed,
        folder="models",
        is_diverse=is_diverse,
    )


class Confirming:
    """Runs a confirmation with two workers; keeps the last one and what it recorded."""

    def __init__(self, folder):
        self.folder = folder
        self.confirmation = None
        self.recorder = RecordingRecorder()
        self.num_done = 0

    def __call__(self, planned, max_retries=1, kept=None, ends=None):
        data = DataReference(features=str(self.folder), train_file=str(self.folder / "log"))
        with LocalExecutor(2, train=train) as executor:
            self.confirmation = Confirmation(
                executor,
                self.recorder,
                data,
                max_retries=max_retries,
                ends=ends,
                on_done=self._on_done,
            )
            return self.confirmation.run(planned, kept=kept or {})

    def _on_done(self, spec, result, record):
        assert record.uid == spec.uid
        assert (spec.uid, "COMPLETE") not in [ended[:2] for ended in self.recorder.ended]
        self.num_done += 1


@pytest.fixture
def confirm(tmp_path):
    return Confirming(tmp_path)


def test_every_training_is_done_once_and_told_of_in_order(confirm):
    planned = plan(study(0.5, 0.75), top=2, seeds=2)
    uids = [spec.uid for candidate in planned for spec in candidate.specs]
    results = confirm(planned)
    assert sorted(results) == sorted(uids)
    assert confirm.num_done == 4
    trainings = confirm.confirmation.trainings()
    assert [training.uid for training in trainings] == uids
    assert [training.number for training in trainings] == [1, 1, 0, 0]
    assert [training.value for training in trainings] == [0.75, 0.75, 0.5, 0.5]
    assert {state for _, state, _ in confirm.recorder.ended} == {"COMPLETE"}
    assert all(len(training.epochs) == 2 for training in trainings)


def test_one_that_was_kept_is_not_done_again(confirm):
    planned = plan(study(0.5, 0.75), top=2, seeds=1)
    first = planned[0].specs[0].uid
    before = confirm(planned)
    record = confirm.confirmation.trainings()[0]
    again = Confirming(confirm.folder)
    results = again(planned, kept={first: KeptTraining(result=before[first], record=record)})
    assert results.keys() == before.keys()
    assert results[first] == before[first]
    assert [uid for uid, _ in again.recorder.started] == [planned[1].specs[0].uid]
    told = again.confirmation.trainings()
    assert told[0] == record
    assert [training.uid for training in told] == [c.specs[0].uid for c in planned]


def test_a_lost_training_is_done_again_and_keeps_only_its_own_epochs(confirm):
    planned = plan(study(0.5, behaviour="die_once_late"), seeds=1)
    (uid,) = confirm(planned)
    assert confirm.recorder.started == [(uid, "0"), (uid, "1")]
    assert confirm.recorder.epochs == [(uid, 0), (uid, 0), (uid, 1)]
    assert [state for _, state, _ in confirm.recorder.ended] == ["FAIL", "COMPLETE"]
    (training,) = confirm.confirmation.trainings()
    assert training.attempt == 1
    assert [epoch.epoch for epoch in training.epochs] == [0, 1]


def test_a_training_that_is_lost_too_often_ends_the_stage(confirm):
    with pytest.raises(StudyError, match="A confirmation training failed: its worker process"):
        confirm(plan(study(0.5, behaviour="die"), seeds=1), max_retries=2)
    assert len(confirm.recorder.started) == 3
    assert [state for _, state, _ in confirm.recorder.ended] == ["FAIL"] * 3


def test_one_that_was_lost_with_its_machine_is_no_suspect():
    class Machines:
        """Two go away with what runs on them; the third trains."""

        num_free, num_lost, events = 1, 0, ()

        def submit(self, spec, data):
            self.num_free, self.events = 0, [TrialLost(spec.uid, "its machine", with_machine=True)]
            if self.num_lost == 2:
                self.events = [TrialDone(spec.uid, result(val_accuracy=0.5))]

        def wait(self, timeout_seconds):
            self.num_free, self.num_lost = 1, self.num_lost + 1
            return self.events

    recorder, machines = RecordingRecorder(), Machines()
    confirmation = Confirmation(machines, recorder, None, max_retries=0, on_done=lambda *told: None)
    confirmation.run(plan(study(0.5), seeds=1), kept={})
    assert [state for _, state, _ in recorder.ended] == ["FAIL", "FAIL", "COMPLETE"]


def test_an_error_in_training_is_not_tried_again_and_keeps_its_traceback(confirm):
    with pytest.raises(StudyError, match="RuntimeError: the weights are on fire"):
        confirm(plan(study(0.5, behaviour="raise"), seeds=1))
    ((_, state, told),) = confirm.recorder.ended
    assert state == "FAIL"
    assert "training_double.py" in told["traceback"]


def test_where_time_decides_one_that_fails_is_left_out(confirm, caplog):
    bad, (_, good) = (
        plan(study(0.5, behaviour="raise"), seeds=1),
        plan(study(0.4, 0.3), top=2, seeds=1),
    )
    found = confirm([*bad, good], ends=time.time() + 3600)
    assert list(found) == [good.specs[0].uid]
    assert "trial 0 has no further seed: RuntimeError: the weights are on fire" in caplog.text


def test_where_time_decides_it_is_an_error_if_nothing_else_is_left(confirm):
    with pytest.raises(StudyError, match="RuntimeError: the weights are on fire"):
        confirm(plan(study(0.5, behaviour="raise"), seeds=1), ends=time.time() + 3600)


@pytest.mark.parametrize("behaviour", ["nan_epoch", "nan_result"])
def test_what_is_no_number_stays_out_of_the_report(confirm, behaviour):
    confirm(plan(study(0.5, behaviour=behaviour), seeds=1))
    (training,) = confirm.confirmation.trainings()
    json.dumps(asdict(training), allow_nan=False)
    assert (training.value is None) is (behaviour == "nan_result")


def test_a_signal_whose_exception_got_lost_ends_it_all_the_same(confirm, monkeypatch):
    monkeypatch.setattr(interrupts, "_received", [])

    def log_epoch(self, uid, record, *, at_ms):
        interrupts._received.append(signal.SIGINT)

    monkeypatch.setattr(RecordingRecorder, "log_epoch", log_epoch)
    with pytest.raises(KeyboardInterrupt):
        confirm(plan(study(0.5, epoch_seconds=0.5), seeds=8))
    assert confirm.num_done < 8


def result(**metrics):
    return TrialResult(
        outcome="complete",
        best_epoch=0,
        metrics=metrics,
        num_parameters=1,
        num_epochs=1,
        seconds=1.0,
    )


def outcomes(planned, *rows):
    """Results from (validation, confirmation) accuracies, one row for each candidate."""
    return {
        spec.uid: result(
            val_accuracy=val,
            val_loss=1 - val,
            confirmation_accuracy=confirmed,
            confirmation_loss=1 - confirmed,
            confirmation_macro_f1=confirmed,
        )
        for candidate, row in zip(planned, rows, strict=True)
        for spec, (val, confirmed) in zip(candidate.specs, row, strict=True)
    }


@pytest.mark.parametrize("objective", [ACCURACY, LOSS])
def test_the_winner_is_the_best_on_the_part_that_no_search_has_seen(objective):
    planned = plan(study(0.9, 0.8), top=2)
    results = outcomes(planned, [(0.99, 0.5), (0.98, 0.5)], [(0.7, 0.6), (0.6, 0.8)])
    judged = judge(planned, results, objective)
    winner = winner_of(judged, objective)
    assert judged[winner].number == 1
    assert judged[winner].mean == pytest.approx(0.7 if objective is ACCURACY else 0.3)


def test_of_those_tied_with_the_best_mean_the_smallest_wins():
    planned = plan(study(0.9, 0.8, 0.7), top=3, seeds=1)
    results = outcomes(planned, [(0.9, 0.75)], [(0.9, 0.745)], [(0.9, 0.5)])
    labels, images = np.zeros(400, np.int64), np.arange(400)
    answers = [
        [np.eye(2, dtype=np.float32)[np.where((images >= first) & (images < end), 0, 1)]]
        for first, end in ((0, 300), (4, 302), (0, 200))
    ]
    judged = placed(judge(planned, results, ACCURACY), [9, 5, 1], answers, labels, ACCURACY)
    assert [one.is_tied for one in judged] == [True, True, False]
    assert winner_of(judged, ACCURACY) == 1
    sizes = [5, 9, 1]
    judged = placed(judge(planned, results, ACCURACY), sizes, answers, labels, ACCURACY)
    assert winner_of(judged, ACCURACY) == 0
    assert [one.standing.num_parameters for one in judged] == sizes
    assert judged[2].standing.behind == 0.25


@pytest.mark.parametrize("objective", [ACCURACY, LOSS])
def test_no_training_is_exported_for_its_confirmation_value(objective):
    planned = plan(study(0.9, 0.8), top=2)
    results = outcomes(planned, [(0.99, 0.5), (0.97, 0.9)], [(0.7, 0.6), (0.98, 0.1)])
    (best, second), (worst, third) = (candidate.specs for candidate in planned)
    found = in_order(planned, results, objective, winner=0)
    assert found == [best, third, second, worst]


def test_the_first_that_is_exported_is_of_the_winner_whatever_is_better_on_validation():
    planned = plan(study(0.9, 0.8), top=2)
    results = outcomes(planned, [(0.99, 0.5), (0.97, 0.5)], [(0.7, 0.6), (0.6, 0.8)])
    found = in_order(planned, results, ACCURACY, winner=1)
    assert found == [planned[1].specs[0], *planned[0].specs, planned[1].specs[1]]


class TestOneThatDiverges:
    def test_is_left_out_and_named(self, caplog):
        planned = plan(study(0.9, 0.8), top=2)
        results = outcomes(planned, [(0.9, 0.9), (0.9, 0.9)], [(0.8, 0.8), (0.8, 0.8)])
        results[planned[0].specs[1].uid] = result(loss=math.inf)
        assert sound(planned, results, ACCURACY) == planned[1:]
        assert "since it diverged with a seed that is not the search's: trial 0" in caplog.text

    def test_is_no_winner_of_none(self):
        planned = plan(study(0.9))
        results = outcomes(planned, [(0.9, 0.9), (0.9, 0.9)])
        results[planned[0].specs[1].uid] = result(loss=math.inf)
        with pytest.raises(StudyError, match=r"diverged with another seed \(trial 0\)"):
            sound(planned, results, ACCURACY)


class TestCandidates:
    def test_each_configuration_is_one_candidate(self):
        first, *others = study(0.5, 0.9, 0.9).trials
        first = replace(first, hyperparameters=others[0].hyperparameters)
        assert [c.trial.number for c in plan(made_study(first, *others), top=3)] == [1]

    def test_only_complete_trials_are_candidates(self):
        first, second = study(0.5, 0.9).trials
        pruned = replace(second, state="PRUNED")
        assert [c.trial.number for c in plan(made_study(first, pruned), top=2)] == [0]

    def test_for_an_ensemble_the_best_of_each_cut_goes_before_the_second_of_any(self):
        exported = study(0.9, 0.8, 0.7, 0.6)
        for trial, cut in zip(exported.trials, ["low", "low", "low", "high"], strict=True):
            trial.hyperparameters["cut"] = cut
        assert [c.trial.number for c in plan(exported, top=2)] == [0, 1]
        for top, numbers in [(1, [0]), (2, [0, 3]), (3, [0, 1, 3])]:
            found = plan(exported, top=top, is_diverse=True)
            assert [c.trial.number for c in found] == numbers

    @pytest.mark.parametrize(("direction", "best"), [("maximize", 1), ("minimize", 0)])
    def test_the_best_come_first(self, direction, best):
        (found,) = plan(replace(study(0.5, 0.9), direction=direction))
        assert found.trial.number == best

    def test_the_seeds_are_the_same_for_each_and_of_no_trial_of_the_search(self):
        from pipeline.seeds import derive_seed

        first, second = plan(study(0.5, 0.9), top=2, seeds=3, root_seed=7)
        seeds = [spec.seed for spec in first.specs]
        assert [spec.seed for spec in second.specs] == seeds
        assert len(set(seeds)) == 3
        assert not set(seeds) & {derive_seed(7, "training", index) for index in range(1000)}

    def test_a_candidate_is_trained_for_its_own_file_and_judged_once(self):
        (candidate,) = plan(study(0.5))
        files = {spec.model_file for spec in candidate.specs}
        assert len(files) == 2
        assert {spec.judge for spec in candidate.specs} == {"confirmation"}
