"""The live line says what is done, running, pruned, failed, best, and how long it takes."""

import io
import time

from pipeline.search.progress import Progress
from testing.records import made_trial


class Terminal(io.StringIO):
    """A stream that says a person is looking."""

    def isatty(self):
        return True


def test_the_line_counts_trials_by_state():
    trials = [made_trial(0, value=0.5), made_trial(1, "PRUNED"), made_trial(2, "FAIL")]
    progress = Progress(10, direction="maximize", trials=trials)
    progress.trial_ended("COMPLETE", 0.75)
    assert progress.line() == (
        "3/10 trials done, 0 running, 1 pruned, 1 failed, best 0.7500, time left unknown"
    )


def clocked(monkeypatch, progress, ends):
    """Ends a trial at each of some times; all are whole trainings."""
    for at in ends:
        monkeypatch.setattr(time, "monotonic", lambda at=at: at)
        progress.trial_ended("COMPLETE", 0.5)


def test_the_time_that_is_left_is_a_range_about_the_pace(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    progress = Progress(14, direction="maximize")
    clocked(monkeypatch, progress, [8.0, 20.0, 28.0, 40.0])
    # Ten more at 10 s each: 100 s, and 1.28 standard errors of 13.7 s to both sides.
    assert progress.line().endswith("1:23 to 1:57 left")


def test_an_even_pace_has_one_end(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    progress = Progress(14, direction="maximize")
    clocked(monkeypatch, progress, [10.0, 20.0, 30.0, 40.0])
    assert progress.line().endswith("best 0.5000, 1:40 left")


def test_what_goes_on_from_a_rung_is_still_to_come(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    progress = Progress(9, direction="maximize", num_rungs=2)
    for at in range(1, 10):
        monkeypatch.setattr(time, "monotonic", lambda at=at: 10.0 * at)
        progress.trial_ended("COMPLETE", 0.5, rung=0)
    # Three whole trainings, each three times as long.
    assert progress.line().endswith("0:36 to 1:30 left")


def test_what_is_there_more_than_needed_takes_no_place_of_what_is_missing(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    whole = [made_trial(n, value=0.5, rung=1, promoted_from=20 + n) for n in range(9)]
    progress = Progress(9, direction="maximize", trials=whole, num_rungs=2)
    for at in (10.0, 20.0, 30.0):
        monkeypatch.setattr(time, "monotonic", lambda at=at: at)
        progress.trial_ended("COMPLETE", 0.5, rung=0)
    assert progress.line().endswith("1:00 left")


def test_copies_say_nothing_of_the_pace(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    progress = Progress(14, direction="maximize")
    clocked(monkeypatch, progress, [10.0, 20.0, 30.0, 40.0])
    progress.trial_ended("COMPLETE", 0.5, is_copy=True)
    assert progress.line().endswith("1:30 left")


def test_a_limit_ends_the_range(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    progress = Progress(14, direction="maximize", limit_seconds=100.0)
    clocked(monkeypatch, progress, [10.0, 20.0, 30.0])
    assert progress.line().endswith("1:10 left")
    without = Progress(None, direction="maximize", limit_seconds=100.0)
    assert without.line().endswith("at most 1:40 left")


def test_the_best_of_a_loss_is_the_smallest():
    progress = Progress(3, direction="minimize")
    for value in (0.5, 0.25, 0.75):
        progress.trial_ended("COMPLETE", value)
    assert "best 0.2500" in progress.line()


def test_the_value_of_a_pruned_trial_is_no_best():
    progress = Progress(3, direction="maximize")
    progress.trial_ended("PRUNED", 0.9)
    assert "best -" in progress.line()


def test_a_terminal_sees_one_line_that_is_rewritten():
    stream = Terminal()
    progress = Progress(3, direction="maximize", stream=stream)
    progress.show(num_running=2)
    progress.show(num_running=1)
    assert stream.getvalue().count("\r") == 2
    assert "\n" not in stream.getvalue()
