"""From what trainings on fewer images answer to what more images would bring."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.studies.learning_curve import curve_sizes, more_data_of
from pipeline.trials.diagnosis import SizeRecord

N = 5000


def made(law, sizes=(3125, 6250, 12500, 25000, 50000)):
    """Sizes whose errors follow a law, and on which of the images each but the last errs.

    Images differ in how hard they are, so that what fewer images get right, more do, too.
    """
    generator = np.random.default_rng(0)
    hard, records, losses = generator.random(N), [], []
    for size in sizes:
        wrong = [hard + 0.01 * generator.standard_normal(N) < law(size) for _ in range(2)]
        errors = [float(one.mean()) for one in wrong]
        records.append(SizeRecord(num_images=size, errors=errors, train_errors=None))
        losses.append(np.mean(wrong, axis=0))
    return records, losses[:-1]


def test_where_all_sizes_are_alike_more_data_are_not_worth_it():
    found = more_data_of(*made(lambda n: 0.06))
    assert found.answer == "no"
    assert found.needed.value is None
    assert found.was_right


def test_where_nothing_is_wrong_nothing_is_said():
    records, losses = made(lambda n: 0.06)
    for place in (1, -1):
        none = replace(records[place], errors=[0.0, 0.0])
        own = [none if one is records[place] else one for one in records]
        assert more_data_of(own, losses) is None


def test_where_the_error_falls_as_fast_as_ever_more_data_are_worth_it():
    found = more_data_of(*made(lambda n: 20 * n**-0.5))
    assert found.answer == "yes"
    # At the edge of the laws that are tried, with no floor, it leans to the careful side.
    assert found.gain.low <= 1 - 2**-0.5 <= found.gain.high + 0.02
    assert found.needed.low <= 50_000 * 16 / 9 * 1.05
    assert found.was_right


def test_two_sizes_say_nothing():
    assert more_data_of(*made(lambda n: 0.06, sizes=(25000, 50000))) is None


def test_three_sizes_are_not_checked():
    assert more_data_of(*made(lambda n: 0.06, sizes=(12500, 25000, 50000))).was_right is None


@pytest.mark.parametrize(
    ("num_images", "num_classes", "sizes"),
    [(1600, 10, [100, 200, 400, 800]), (300, 10, [75, 150]), (40, 10, [])],
)
def test_the_smallest_part_has_a_few_images_of_each_class(num_images, num_classes, sizes):
    assert curve_sizes(num_images, num_classes) == sizes
