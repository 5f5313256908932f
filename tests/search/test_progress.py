"""What is shown of a search: what is done, running, pruned, failed, best, and how long it takes."""

import time
from dataclasses import replace

import pytest

from pipeline.search.progress import Progress, search_lines
from pipeline.trials.record import CUT_OFF
from testing.records import made_trial


def progress_of(target=14, **told):
    return Progress(target, direction="maximize", **told)


def clocked(monkeypatch, progress, ends, **told):
    """Ends a trial at each of some times; all are whole trainings unless told otherwise."""
    for at in ends:
        monkeypatch.setattr(time, "monotonic", lambda at=at: at)
        progress.trial_ended("COMPLETE", 0.5, **told)


@pytest.fixture(autouse=True)
def began(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)


def test_trials_are_counted_by_state():
    trials = [made_trial(0, value=0.5), made_trial(1, "PRUNED"), made_trial(2, "FAIL")]
    progress = progress_of(10, trials=trials)
    progress.running(2)
    progress.trial_ended("COMPLETE", 0.75)
    assert progress.line() == (
        "3/10 trials done, 1 running, 1 pruned, 1 failed; best 0.7500, time left unknown"
    )


def test_what_was_cut_off_by_nobodys_fault_has_not_failed():
    trials = [made_trial(0, "FAIL", retry="free"), made_trial(1, "FAIL", retry="counted")]
    progress = progress_of(10, trials=trials)
    progress.running(1)
    progress.trial_ended(CUT_OFF, None)
    assert "0 pruned, 1 failed, 2 cut off;" in progress.line()


def test_trials_are_counted_by_rung(monkeypatch):
    progress = progress_of(9, num_rungs=3)
    clocked(monkeypatch, progress, range(1, 7), rung=0)
    clocked(monkeypatch, progress, [10, 11], rung=1)
    progress.trial_ended("FAIL", None, rung=1)
    first, rungs, _ = progress.lines(12.0)
    assert first == "6/9 trials and 2 promoted done, 0 running, 0 pruned, 1 failed"
    assert rungs == "6 by 1/9, 2 by 1/3"


def test_the_time_that_is_left_is_a_range_about_the_pace(monkeypatch):
    progress = progress_of()
    clocked(monkeypatch, progress, [8.0, 20.0, 28.0, 40.0])
    # Ten more at 10 s each: 100 s, and 1.28 standard errors of 17.0 s to both sides: 13.7 s of the
    # scatter, 10 s of a pace that drifts.
    assert progress.line().endswith("1:15 to 2:05 left")


def test_an_even_pace_may_drift(monkeypatch):
    progress = progress_of()
    clocked(monkeypatch, progress, [10.0, 20.0, 30.0, 40.0])
    assert progress.line().endswith("1:25 to 1:55 left")


def test_the_rate_is_that_of_the_last_trainings(monkeypatch):
    progress = progress_of(100)
    clocked(monkeypatch, progress, [60.0, *(100.0 + 2 * count for count in range(1, 21))])
    assert "best 0.5000, 15.0 trainings a minute, " in progress.line()


def test_what_goes_on_from_a_rung_is_still_to_come(monkeypatch):
    progress = progress_of(9, num_rungs=2)
    clocked(monkeypatch, progress, [10.0 * at for at in range(1, 10)], rung=0)
    # Three whole trainings, each three times as long at most.
    assert progress.line().endswith("0:31 to 1:45 left")


def test_what_is_there_more_than_needed_takes_no_place_of_what_is_missing(monkeypatch):
    whole = [made_trial(n, value=0.5, rung=1, promoted_from=20 + n) for n in range(9)]
    progress = progress_of(9, trials=whole, num_rungs=2)
    clocked(monkeypatch, progress, [10.0, 20.0, 30.0], rung=0)
    assert progress.line().endswith("0:52 to 1:10 left")


def test_copies_say_nothing_of_the_pace(monkeypatch):
    progress = progress_of()
    clocked(monkeypatch, progress, [10.0, 20.0, 30.0, 40.0])
    progress.trial_ended("COMPLETE", 0.5, is_copy=True)
    # Nine more at 10 s each.
    assert progress.line().endswith("1:15 to 1:45 left")


def test_a_limit_ends_the_range(monkeypatch):
    progress = progress_of(limit_seconds=100.0)
    clocked(monkeypatch, progress, [10.0, 20.0, 30.0])
    assert progress.line().endswith("1:10 left")


def test_where_time_decides_it_is_told_until_it_is_up():
    progress = progress_of(None, limit_seconds=100.0)
    assert progress.lines(40.0)[-1].endswith("at most 1:00 left")
    assert progress.lines(101.0)[-1].endswith("its time is up")


def test_an_estimate_that_has_run_out_says_so(monkeypatch):
    progress = progress_of(5)
    clocked(monkeypatch, progress, [10.0, 20.0, 30.0, 40.0])
    assert progress.lines(49.0)[-1].endswith("up to 0:03 left")
    assert progress.lines(59.0)[-1].endswith("longer than estimated")


def test_the_best_of_a_loss_is_the_smallest():
    progress = Progress(3, direction="minimize")
    for value in (0.5, 0.25, 0.75):
        progress.trial_ended("COMPLETE", value)
    assert "best 0.2500" in progress.line()


def test_the_best_is_of_the_highest_rung():
    progress = progress_of(9, num_rungs=2)
    progress.trial_ended("COMPLETE", 0.9, rung=0)
    progress.trial_ended("COMPLETE", 0.7, rung=1)
    progress.trial_ended("COMPLETE", 0.8, rung=0)
    assert "best 0.7000 (whole)" in progress.line()


def test_the_value_of_a_pruned_trial_is_no_best():
    progress = progress_of(3)
    progress.trial_ended("PRUNED", 0.9)
    assert "best -" in progress.line()


def test_what_came_of_a_search_says_nothing_of_time():
    progress = progress_of(3)
    progress.trial_ended("COMPLETE", 0.9)
    assert progress.outcome() == ("1/3 trials done, 0 running, 0 pruned, 0 failed; best 0.9000")


def test_a_state_that_is_looked_at_does_not_change():
    """Whoever shows it is another thread."""
    progress = progress_of(3)
    before = progress.state
    kept = search_lines(before, 1.0)
    progress.trial_ended("COMPLETE", 0.9)
    assert search_lines(before, 1.0) == kept
    assert progress.state == replace(
        before, counts={"COMPLETE": 1}, finished=[1], best=0.9, ended_at=(0.0,), trained=(1.0,)
    )
