"""A search ends by its limit plus one epoch, and starts nothing that it could not judge."""

from pipeline.search.budget import GRACE_SECONDS, Deadline


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def running(limit_seconds, *, min_epochs=1, first=None, later=()):
    """A deadline that has seen a trial with these epoch durations; its clock starts at 0 again."""
    clock = Clock()
    deadline = Deadline(limit_seconds, min_epochs=min_epochs, clock=clock)
    deadline.trial_started("a")
    for epoch, seconds in enumerate([first, *later] if first else []):
        clock.now += seconds
        deadline.epoch_ended("a", epoch)
    return deadline, clock


def test_without_a_limit_nothing_is_ever_over():
    deadline, clock = running(None, first=5.0)
    clock.now += 1e9
    assert not deadline.is_over
    assert not deadline.is_overdue
    assert deadline.has_room()


def test_the_limit_counts_from_the_start():
    deadline, clock = running(60)
    clock.now += 59.9
    assert not deadline.is_over
    clock.now += 0.1
    assert deadline.is_over


def test_a_trial_is_started_only_if_it_reaches_its_min_epochs():
    deadline, clock = running(100, min_epochs=3, first=10.0, later=[5.0, 5.0])
    clock.now = 100.0 + 80.0
    assert deadline.has_room()
    clock.now += 0.1
    assert not deadline.has_room()


def test_as_long_as_no_epoch_was_seen_trials_are_started():
    deadline, clock = running(10, min_epochs=3)
    clock.now += 9.0
    assert deadline.has_room()


def test_a_trial_is_given_the_longest_epoch_to_stop():
    deadline, clock = running(50, first=1.0, later=[20.0, 2.0])
    clock.now = 100.0 + 50.0 + 19.9
    assert not deadline.is_overdue
    clock.now += 0.1
    assert deadline.is_overdue


def test_a_trial_that_hangs_before_any_epoch_is_given_a_short_grace():
    deadline, clock = running(50)
    clock.now += 50.0 + GRACE_SECONDS
    assert deadline.is_overdue


def test_the_start_of_a_worker_does_not_lengthen_the_time_to_stop():
    deadline, clock = running(100, first=60.0, later=[1.0])
    clock.now = 100.0 + 100.0 + GRACE_SECONDS
    assert deadline.is_overdue
