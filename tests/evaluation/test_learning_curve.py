"""What a learning curve says of more images, on curves whose law is known."""

import numpy as np
import pytest

from pipeline.evaluation.learning_curve import CurvePoint, foretold, power_laws

SIZES = (3125, 6250, 12500, 25000, 50000)


def made_curve(law, sizes=SIZES, *, seed=0, noise=0.01):
    generator = np.random.default_rng(seed)
    return [
        CurvePoint(
            num_images=size,
            errors=[law(size) * (1 + noise * generator.standard_normal()) for _ in range(2)],
            image_error=noise * law(size),
        )
        for size in sizes
    ]


def saturated(num_images):
    return 0.05


def starved(num_images):
    return 20.0 * num_images**-0.5


def test_a_saturated_curve_gains_nothing_from_twice_the_images():
    laws = power_laws(made_curve(saturated))
    assert laws.probability(0.1, num_images=100_000) < 0.01
    assert laws.gain(100_000).high < 0.05
    assert laws.needed(0.25).value > 10 * 50_000


def test_a_starved_curve_gains_what_its_law_says():
    laws = power_laws(made_curve(starved))
    gain, needed = laws.gain(100_000), laws.needed(0.25)
    assert gain.low <= 1 - 2**-0.5 <= gain.high
    assert laws.probability(0.1, num_images=100_000) > 0.99
    # With exponent -1/2 a quarter less takes (4 / 3)^2 times the images.
    assert needed.low <= 50_000 * 16 / 9 <= needed.high


def test_intervals_hold_the_truth_as_often_as_they_say():
    generator, held = np.random.default_rng(1), []
    for draw in range(40):
        floor, exponent, last = generator.uniform([0, 0.1, 0.02], [0.04, 0.8, 0.1])

        def law(n, floor=floor, exponent=exponent, last=last):
            return floor + last * (n / SIZES[-1]) ** -exponent

        expected = power_laws(made_curve(law, seed=draw)).error(100_000)
        held.append(expected.low <= law(100_000) <= expected.high)
    assert np.mean(held) >= 0.9


def test_half_of_the_images_foretell_all_of_them():
    points = made_curve(lambda n: 0.03 + 5 * n**-0.6)
    told = foretold(points)
    assert told.low <= points[-1].mean <= told.high
    assert told.high - told.low < 0.5 * points[-1].mean


def test_a_curve_that_breaks_off_is_not_where_its_beginning_foretold():
    points = [*made_curve(saturated, SIZES[:-1]), *made_curve(lambda n: 0.03, SIZES[-1:])]
    told = foretold(points)
    assert points[-1].mean < told.low


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_sizes_are_refused(count):
    with pytest.raises(ValueError, match=f"Received: {count}"):
        power_laws(made_curve(saturated, SIZES[:count]))


def test_one_seed_of_each_size_says_less():
    several = made_curve(starved)
    single = [
        CurvePoint(num_images=p.num_images, errors=p.errors[:1], image_error=p.image_error)
        for p in several
    ]
    widths = [power_laws(points).error(100_000) for points in (several, single)]
    assert widths[1].high - widths[1].low > widths[0].high - widths[0].low
