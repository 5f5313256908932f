"""The choice climbs from cheap to dear, takes what fits, and prefers the cheaper of equals."""

import pytest

from pipeline.planning.choose import Chooser
from pipeline.planning.limits import Limits
from pipeline.planning.probe import TooSlowError
from tests.planning.conftest import features, part

MODELS, SIZES = ["small", "large"], [64, 96, 128, 160, 192]
# Minutes for a few hundred images: nothing is too slow.
LIMITS = Limits(budget_seconds=600.0, gflops=100.0, max_bytes=10**9)


@pytest.fixture
def choose(labels, make_probe):
    """From the noise of each model at each size (None: too slow) to a choice and what was tried."""

    def choose(noises, *, own_size=28, clock=lambda: 0.0):
        tried = []

        def probe(model, size, most_seconds):
            tried.append((model, size))
            noise = noises.get((model, size), 9.0)
            if noise is None:
                raise TooSlowError(1.0)
            # The same images and directions: what differs between candidates is the noise alone.
            noise, seed = noise if isinstance(noise, tuple) else (noise, 0)
            made = make_probe({part(0): features(labels, noise=noise, seed=seed)})
            made.seconds_per_image = size**2 / 1e7
            return made

        chooser = Chooser(
            probe,
            LIMITS,
            num_rows=len(labels),
            num_train=len(labels),
            num_probed=len(labels),
            own_size=own_size,
            clock=clock,
        )
        return chooser.choose(dict.fromkeys(MODELS, SIZES), asks_views=False), tried

    return choose


def names(choice):
    return choice.chosen.model, choice.chosen.image_size


def test_every_other_size_is_tried_while_that_helps_then_those_beside_the_best(choose):
    noises = {
        ("small", size): noise for size, noise in zip(SIZES, [3, 2, 1.2, 0.8, 2], strict=True)
    }
    choice, tried = choose(noises)
    assert names(choice) == ("small", 160)
    assert [size for model, size in tried if model == "small"] == [64, 128, 192, 96, 160]


def test_a_loss_ends_a_climb(choose):
    noises = {("small", size): noise for size, noise in zip(SIZES, [1, 2, 2, 1, 1], strict=True)}
    _, tried = choose(noises)
    assert [size for model, size in tried if model == "small"] == [64, 128, 96]


def test_another_base_begins_where_the_first_was_best(choose):
    noises = {("small", 64): 2, ("small", 96): 1.5, ("large", 96): 1.0, ("large", 128): 0.8}
    choice, tried = choose(noises)
    assert [size for model, size in tried if model == "large"] == [96, 160, 64, 128]
    assert names(choice) == ("large", 128)


def test_the_first_size_is_that_of_the_images(choose):
    noises = {
        ("small", size): noise for size, noise in zip(SIZES, [3, 2, 1.2, 0.8, 2], strict=True)
    }
    choice, tried = choose(noises, own_size=140)
    assert [size for model, size in tried if model == "small"] == [128, 192, 96, 160]
    assert names(choice) == ("small", 160)


def test_below_one_that_is_too_slow_the_largest_that_may_fit_is_tried(choose):
    # 1 s an image at 192 pixels, where 2.5 s are too much for 240 images in 60 s of plan: 0.25 s.
    noises = {("small", 192): None, ("small", 96): 1.0, ("small", 64): 2.0}
    choice, tried = choose(noises, own_size=200)
    assert tried[:2] == [("small", 192), ("small", 96)]
    assert names(choice) == ("small", 96)


def test_the_smallest_is_taken_whatever_it_takes(labels, make_probe):
    asked = []

    def probe(model, size, most_seconds):
        asked.append((size, most_seconds))
        if most_seconds < 100:
            raise TooSlowError(50.0)
        return make_probe({part(0): features(labels, noise=1.0)})

    chooser = Chooser(
        probe, LIMITS, num_rows=240, num_train=240, num_probed=240, own_size=192, clock=lambda: 0.0
    )
    choice = chooser.choose({"small": SIZES}, asks_views=False)
    assert asked[:2] == [(192, pytest.approx(0.25)), (64, float("inf"))]
    assert names(choice) == ("small", 64)


def test_of_equals_the_cheaper_is_taken(choose):
    choice, _ = choose({("small", 64): (1.1, 0), ("small", 128): (1.1, 7)})
    assert names(choice) == ("small", 64)
    assert choice.runner_up.image_size == 128
    assert choice.runner_up.expected > choice.chosen.expected


def test_when_the_time_is_over_what_was_found_is_taken(choose):
    times = iter([0.0])  # When the plan begins; then it is long over.
    choice, tried = choose({("small", 64): 2.0, ("small", 96): 0.1}, clock=lambda: next(times, 1e9))
    assert tried == [("small", 64)]
    assert names(choice) == ("small", 64)


def test_the_runner_up_is_named(choose):
    choice, _ = choose({("small", 64): 2.0, ("small", 96): 0.7, ("large", 96): 1.5})
    assert (choice.runner_up.model, choice.runner_up.image_size) == ("large", 96)
