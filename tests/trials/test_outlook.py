"""What more time would be good for follows from what the last of it brought."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from pipeline.trials.outlook import Outlook, outlook
from testing.records import made_trial

BEGAN = datetime(2026, 11, 29, 12, 0, 0)


def trials(values, *, seconds=10.0, share=1.0, first=0):
    """Returns trials one after another, each as long."""
    return [
        made_trial(
            first + number,
            value=value,
            share=share,
            started=BEGAN + timedelta(seconds=seconds * number),
            ended=BEGAN + timedelta(seconds=seconds * (number + 1)),
        )
        for number, value in enumerate(values)
    ]


def test_as_many_more_as_fit_at_the_same_pace():
    found = outlook(trials(np.linspace(0.5, 0.6, 12)), "maximize", seconds=60.0)
    assert found.num_more == [6]


def test_trainings_side_by_side_take_their_time_once():
    values = np.linspace(0.5, 0.6, 12)
    both = [*trials(values), *trials(values, first=12)]
    assert outlook(both, "maximize", seconds=60.0).num_more == [12]


def test_each_rung_has_its_own_number():
    lowest = trials(np.linspace(0.5, 0.6, 9), share=1 / 3)
    whole = trials([0.7, 0.8, 0.9], first=9)
    found = outlook([*lowest, *whole], "maximize", seconds=90.0)
    assert (found.num_more, found.rung) == ([9, 3], "1/3 of a training")
    assert found.gain < 0.1  # Of the lowest rung: values of different rungs do not compare.


def test_equal_values_promise_nothing():
    assert outlook(trials([0.1] * 49), "maximize", seconds=60.0).gain == pytest.approx(0.0)


def test_a_loss_gets_better_by_getting_smaller():
    found = outlook(trials([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), "minimize", seconds=60.0)
    # Of six the mean best of three: 0.4 of 10 draws, 0.5 of 6, 0.6 of 3, 0.7 of 1, of 20.
    assert found.gain == pytest.approx(0.075)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_it_is_what_as_many_more_bring_or_somewhat_more(direction):
    random = np.random.default_rng(0)
    sign = 1 if direction == "maximize" else -1
    promised, brought = [], []
    for _ in range(300):
        values = random.normal(size=40)
        found = outlook(trials(sign * values[:20]), direction, seconds=200.0)
        promised.append(found.gain)
        brought.append(values.max() - values[:20].max())
    assert np.mean(brought) <= np.mean(promised) <= 1.5 * np.mean(brought)


def test_the_best_of_thousands_is_no_number_that_is_too_large():
    found = outlook(trials(np.linspace(0.5, 0.6, 3000)), "maximize", seconds=15_000.0)
    assert 0 < found.gain < 0.001


def test_what_was_found_dead_took_no_time_until_then():
    lost = made_trial(12, "FAIL", started=BEGAN, ended=BEGAN + timedelta(hours=14))
    found = outlook([*trials(np.linspace(0.5, 0.6, 12)), lost], "maximize", seconds=60.0)
    assert found.num_more == [6]


def test_copies_are_no_further_configurations():
    copies = [
        made_trial(12 + n, value=0.6, duplicate_of=11, started=BEGAN, ended=BEGAN) for n in range(9)
    ]
    own = trials(np.linspace(0.5, 0.6, 12))
    alone = outlook(own, "maximize", seconds=60.0)
    assert outlook([*own, *copies], "maximize", seconds=60.0) == alone


def test_it_is_said_in_a_sentence():
    one = Outlook(num_more=[31, 10, 3], rung="1/9 of a training", gain=0.00123)
    assert one.sentence("val_accuracy", "0.0012") == (
        "about 31 more configurations, of which 10 and 3 would go on; the best val_accuracy on 1/9 "
        "of a training is expected to improve by 0.0012"
    )


def test_nothing_is_said_where_there_is_time_for_none():
    assert outlook(trials([0.5] * 8, seconds=60.0), "maximize", seconds=20.0) is None


def test_nothing_is_said_of_a_few():
    assert outlook(trials([0.5, 0.6, 0.7]), "maximize", seconds=60.0) is None
    assert outlook([], "maximize", seconds=60.0) is None
