"""How long a search will take is said as a range, which holds the truth as often as it says."""

import numpy as np
import pytest

from pipeline.trials.pace import Work, time_left


def left(num_trainings, whole=None):
    return Work(num_trainings=num_trainings, whole=num_trainings if whole is None else whole)


def told(seconds, shares, *, left, waited=0.0, began=0.0):
    """The range after trainings that ended one after another."""
    ends = [sum(seconds[: count + 1]) for count in range(len(seconds))]
    return time_left(ends, shares, began=began, now=ends[-1] + waited, left=left)


# Of what is left, that a range has to both sides where every training took as long: 1.28 standard
# deviations of a pace that drifts.
DRIFT = 0.128


def test_an_even_pace_may_drift():
    found = told([10.0] * 5, [1.0] * 5, left=left(7))
    assert found == pytest.approx((70.0 * (1 - DRIFT), 70.0 * (1 + DRIFT)))


def test_what_has_passed_since_the_last_end_is_over():
    found = told([10.0] * 5, [1.0] * 5, left=left(7), waited=8.0)
    assert found == pytest.approx((62.0 - 70 * DRIFT, 62.0 + 70 * DRIFT))


def test_a_range_that_is_over_lies_below_zero():
    found = told([10.0] * 5, [1.0] * 5, left=left(1), waited=18.0)
    assert found == pytest.approx((-8.0 - 10 * DRIFT, -8.0 + 10 * DRIFT))


def test_a_training_takes_time_for_itself_and_for_its_steps():
    # Two seconds each, and nine for a whole training's steps; twice as many of the same.
    seconds, shares = [3.0, 5.0, 11.0] * 4, [1 / 9, 1 / 3, 1.0] * 4
    low, high = told(seconds, shares, left=left(24, whole=104 / 9))
    assert low < 152 * (1 - DRIFT)
    assert high == pytest.approx(152 * (1 + DRIFT))


def test_of_one_length_alone_longer_ones_may_take_as_long_or_in_proportion():
    low, high = told([10.0] * 9, [1 / 3] * 9, left=left(3))
    assert low < 60
    assert high == pytest.approx(90 * (1 + DRIFT))


def test_without_a_beginning_the_first_end_is_one():
    # An hour of something else lies before.
    found = told([3600.0, 10.0, 10.0, 10.0], [1.0] * 4, left=left(7), began=None)
    assert found == pytest.approx((70.0 * (1 - DRIFT), 70.0 * (1 + DRIFT)))


@pytest.mark.parametrize(("count", "num_left"), [(2, 7), (9, 0), (9, -2)])
def test_nothing_is_said_of_two_trainings_or_of_none_that_is_left(count, num_left):
    assert told([10.0] * count, [1.0] * count, left=left(num_left)) is None


@pytest.mark.parametrize(("num_ended", "num_left"), [(5, 5), (10, 20), (20, 5)])
def test_about_four_of_five_ranges_hold_the_truth(num_ended, num_left):
    random = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        shares = random.choice([1 / 9, 1 / 9, 1 / 9, 1 / 3], size=num_ended + num_left)
        seconds = (1 + 9 * shares) * random.lognormal(sigma=0.3, size=len(shares))
        rest = left(num_left, whole=shares[num_ended:].sum())
        low, high = told(list(seconds[:num_ended]), list(shares[:num_ended]), left=rest)
        held += low <= seconds[num_ended:].sum() <= high
    assert 700 <= held <= 950
