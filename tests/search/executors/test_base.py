"""What ends a training in a worker reaches the driver, and then ends the worker."""

import pytest

from pipeline.search.executors.base import FatalErrors


class Gone(Exception):
    """Nobody listens any more."""


def end_with(error, told):
    with FatalErrors("a", told.append, driver_gone=(Gone,)):
        if error is not None:
            raise error


def test_an_error_is_told_with_its_traceback_and_ends_the_process():
    told = []
    with pytest.raises(SystemExit) as ended:
        end_with(RuntimeError("the weights are on fire"), told)
    assert ended.value.code == 1
    (event,) = told
    assert (event.uid, event.message) == ("a", "RuntimeError: the weights are on fire")
    assert "test_base.py" in event.traceback
    assert not event.is_infeasible


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError("no room")])
def test_nothing_is_caught_whatever_it_is(error):
    told = []
    with pytest.raises(SystemExit):
        end_with(error, told)
    assert len(told) == 1


def test_a_driver_that_is_gone_is_told_nothing():
    told = []
    with pytest.raises(SystemExit) as ended:
        end_with(Gone(), told)
    assert (ended.value.code, told) == (1, [])


def test_a_process_that_is_asked_to_end_ends_as_it_was_asked():
    told = []
    with pytest.raises(SystemExit) as ended:
        end_with(SystemExit(143), told)
    assert (ended.value.code, told) == (143, [])


def test_a_training_that_ends_well_says_nothing_here():
    told = []
    end_with(None, told)
    assert told == []
