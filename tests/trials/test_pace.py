"""How long a search will take is said as a range, which holds the truth as often as it says."""

import numpy as np
import pytest

from pipeline.trials.pace import Work, time_left


def left(num_trainings, whole=None):
    return Work(num_trainings=num_trainings, whole=num_trainings if whole is None else whole)


def test_an_even_pace_leaves_no_doubt():
    assert time_left([10.0] * 5, [1.0] * 5, left=left(7)) == pytest.approx((70.0, 70.0))


def test_a_training_takes_time_for_itself_and_for_its_steps():
    # Two seconds each, and nine for a whole training's steps; twice as many of the same.
    seconds, shares = [3.0, 5.0, 11.0] * 4, [1 / 9, 1 / 3, 1.0] * 4
    low, high = time_left(seconds, shares, left=left(24, whole=104 / 9))
    assert low < 152
    assert high == pytest.approx(152)


def test_of_one_length_alone_longer_ones_may_take_as_long_or_in_proportion():
    low, high = time_left([10.0] * 9, [1 / 3] * 9, left=left(3))
    assert low < 60
    assert high == pytest.approx(90)


def test_nothing_is_said_of_two_trainings():
    assert time_left([10.0, 12.0], [1.0, 1.0], left=left(7)) is None


def test_no_time_is_left_of_a_target_that_is_passed():
    assert time_left([10.0, 12.0, 9.0], [1.0] * 3, left=left(-2)) == (0.0, 0.0)


@pytest.mark.parametrize(("num_ended", "num_left"), [(5, 5), (10, 20), (20, 5)])
def test_about_four_of_five_ranges_hold_the_truth(num_ended, num_left):
    random = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        shares = random.choice([1 / 9, 1 / 9, 1 / 9, 1 / 3], size=num_ended + num_left)
        seconds = (1 + 9 * shares) * random.lognormal(sigma=0.3, size=len(shares))
        rest = left(num_left, whole=shares[num_ended:].sum())
        low, high = time_left(seconds[:num_ended], shares[:num_ended], left=rest)
        held += low <= seconds[num_ended:].sum() <= high
    assert 700 <= held <= 950
