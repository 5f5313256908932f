"""The live line says what is done, running, pruned, failed, best, and how long it takes."""

import io

from pipeline.search.progress import Progress


class Terminal(io.StringIO):
    """A stream that says a person is looking."""

    def isatty(self):
        return True


def test_the_line_counts_trials_by_state():
    progress = Progress(10, maximize=True, states=["COMPLETE", "PRUNED", "FAIL"], best=0.5)
    progress.trial_ended("COMPLETE", 0.75)
    assert progress.line().startswith(
        "3/10 trials done, 0 running, 1 pruned, 1 failed, best 0.7500, "
    )
    assert progress.line().endswith("left")


def test_the_best_of_a_loss_is_the_smallest():
    progress = Progress(3, maximize=False, states=[], best=None)
    for value in (0.5, 0.25, 0.75):
        progress.trial_ended("COMPLETE", value)
    assert "best 0.2500" in progress.line()


def test_the_value_of_a_pruned_trial_is_no_best():
    progress = Progress(3, maximize=True, states=[], best=None)
    progress.trial_ended("PRUNED", 0.9)
    assert "best -" in progress.line()


def test_a_terminal_sees_one_line_that_is_rewritten():
    stream = Terminal()
    progress = Progress(3, maximize=True, states=[], best=None, stream=stream)
    progress.show(num_running=2)
    progress.show(num_running=1)
    assert stream.getvalue().count("\r") == 2
    assert "\n" not in stream.getvalue()
