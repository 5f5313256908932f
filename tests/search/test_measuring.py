"""Measurements are trained in order, as long as there is time."""

from pipeline.search.executors.base import EpochDone, TrialDone, TrialLost, TrialRaised
from pipeline.search.measuring import Measurement, Measurements
from pipeline.training.data import DataReference
from pipeline.training.messages import EpochRecord, TrialResult, TrialSpec

DATA = DataReference(features="features", train_file="train.npz")


class OneWorker:
    """An executor in which time passes only while it is waited for, and nothing is trained."""

    def __init__(self, lasts=1.0, events=()):
        self.now, self.lasts = 0.0, lasts
        self.trained, self.answered, self.running = [], [], None
        self.events = list(events)

    @property
    def num_free(self):
        return 0 if self.running else 1

    def submit(self, spec, data):
        self.running = spec
        self.trained.append(spec.uid)

    def answer(self, uid, *, stop):
        self.answered.append((uid, stop))

    def wait(self, timeout_seconds):
        spec, self.running = self.running, None
        seconds = self.lasts * spec.epochs
        self.now += seconds
        if self.events:
            return [self.events.pop(0)(spec.uid)]
        result = TrialResult(
            outcome="complete", best_epoch=0, metrics={}, num_parameters=1, num_epochs=1,
            seconds=seconds,
        )  # fmt: skip
        return [EpochDone(spec.uid, EpochRecord(epoch=0, metrics={})), TrialDone(spec.uid, result)]


def wanted(**seconds):
    return [
        Measurement(
            spec=TrialSpec(uid=uid, hyperparameters={}, seed=1, epochs=length),
            data=DATA,
            seconds=float(length),
            told=uid,
        )
        for uid, length in seconds.items()
    ]


def measured(worker, *, ends, max_retries=1, **seconds):
    measurements = Measurements(worker, max_retries=max_retries, clock=lambda: worker.now)
    return measurements.run(wanted(**seconds), ends=ends)


def test_all_are_trained_in_order_where_there_is_time():
    worker = OneWorker()
    assert list(measured(worker, ends=100, a=10, b=20, c=5)) == ["a", "b", "c"]
    assert worker.answered == [("a", False), ("b", False), ("c", False)]


def test_what_does_not_fit_is_passed_over_for_shorter_ones():
    assert list(measured(OneWorker(), ends=30, a=10, b=50, c=10)) == ["a", "c"]


def test_a_slow_machine_trains_less():
    """After the first took three times what was expected, the second would come too late."""
    assert list(measured(OneWorker(lasts=3.0), ends=60, a=10, b=20, c=5)) == ["a", "c"]


def test_without_time_nothing_is_trained():
    assert measured(OneWorker(), ends=0, a=1) == {}


def test_what_cannot_be_trained_is_told_and_the_others_are():
    worker = OneWorker(events=[lambda uid: TrialRaised(uid, "too large", "", True)])
    found = measured(worker, ends=100, a=1, b=1)
    assert found["a"] is None
    assert found["b"].outcome == "complete"


def test_a_training_that_raises_is_told_and_the_others_go_on(caplog):
    worker = OneWorker(events=[lambda uid: TrialRaised(uid, "on fire", "", False)])
    found = measured(worker, ends=100, a=1, b=1)
    assert found["a"] is None
    assert found["b"].outcome == "complete"
    assert "a could not be trained: on fire" in caplog.text


def test_one_that_is_not_over_in_time_ends_with_its_epoch_and_does_not_count():
    worker = OneWorker(lasts=20.0)
    assert measured(worker, ends=30, a=10) == {}
    assert worker.answered == [("a", True)]


def test_a_lost_training_is_tried_again_as_often_as_it_may():
    lost = [lambda uid: TrialLost(uid, "killed")]
    worker = OneWorker(events=lost)
    assert list(measured(worker, ends=100, a=1, b=1)) == ["a", "b"]
    assert worker.trained == ["a", "a", "b"]
    assert measured(OneWorker(events=lost * 2), ends=100, a=1) == {"a": None}
