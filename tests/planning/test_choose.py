"""The choice climbs sizes, then bases, takes what fits, and pays for time with accuracy."""

import dataclasses

import numpy as np
import pytest

from pipeline.planning.choose import Chooser
from pipeline.planning.limits import Limits
from pipeline.planning.probe import TooSlowError
from tests.planning.conftest import features, part

MODELS, SIZES = ["small", "large"], [64, 96, 128, 160, 192]
# Minutes for a few hundred images: nothing is too slow.
LIMITS = Limits(budget_seconds=600.0, gflops=100.0, max_bytes=10**9)
MOST = 4096


@pytest.fixture
def choose(labels, make_probe):
    """From the noise of each model at each size to a choice and what was tried.

    Of a pair, the second is a seed, or how long an image takes that is too slow (None).
    """

    def choose(
        noises,
        *,
        own_size=28,
        clock=lambda: 0.0,
        seconds_per_image=lambda size: size**2 / 1e7,
    ):
        tried = []

        def probe(model, size, *, num_images, most_seconds, seconds, is_converted=False):
            tried.append((model, size))
            noise = noises.get((model, size), 9.0)
            # The same images and directions: what differs between candidates is the noise alone.
            noise, seed = noise if isinstance(noise, tuple) else (noise, 0)
            if noise is None:
                raise TooSlowError(seed or 1.0)
            made = make_probe({part(0): features(labels, noise=noise, seed=seed)})
            made.seconds_per_image = seconds_per_image(size)
            return made

        chooser = Chooser(
            probe,
            LIMITS,
            num_rows=len(labels),
            num_train=len(labels),
            num_probed=len(labels),
            most_features=MOST,
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
    assert tried == [
        *[("small", 64), ("small", 128), ("small", 192), ("large", 128)],
        *[("small", 160), ("small", 96)],
    ]


def test_a_loss_ends_a_climb(choose):
    noises = {("small", size): noise for size, noise in zip(SIZES, [1, 2, 2, 1, 1], strict=True)}
    _, tried = choose(noises)
    assert [size for model, size in tried if model == "small"] == [64, 128, 96]


def test_the_sizes_beside_are_those_of_the_better_base(choose):
    noises = {("small", 64): 2, ("small", 128): 1.5, ("large", 128): 1.0, ("large", 160): 0.7}
    choice, tried = choose(noises)
    assert [size for model, size in tried if model == "large"] == [128, 160, 96]
    assert [size for model, size in tried if model == "small"] == [64, 128, 192]
    assert names(choice) == ("large", 160)


def test_the_first_size_is_that_of_the_images(choose):
    noises = {
        ("small", size): noise for size, noise in zip(SIZES, [3, 2, 1.2, 0.8, 2], strict=True)
    }
    choice, tried = choose(noises, own_size=140)
    assert [size for model, size in tried if model == "small"] == [128, 192, 160, 96]
    assert names(choice) == ("small", 160)


def test_below_one_that_is_too_slow_the_largest_that_may_fit_is_tried(choose):
    # 0.2 s an image at 192 pixels; a fifth of 60 s of plan allows each of 240 images 0.05 s.
    noises = {("small", 192): (None, 0.2), ("small", 96): 1.0, ("small", 64): 2.0}
    choice, tried = choose(noises, own_size=200)
    assert tried[:2] == [("small", 192), ("small", 96)]
    assert names(choice) == ("small", 96)


def test_the_smallest_is_taken_whatever_it_takes(labels, make_probe):
    asked = []

    def probe(model, size, *, num_images, most_seconds, seconds, is_converted=False):
        asked.append((size, most_seconds))
        if most_seconds < 100:
            raise TooSlowError(50.0)
        return make_probe({part(0): features(labels, noise=1.0)})

    chooser = Chooser(
        probe,
        LIMITS,
        num_rows=240,
        num_train=240,
        num_probed=240,
        most_features=MOST,
        own_size=192,
        clock=lambda: 0.0,
    )
    choice = chooser.choose({"small": SIZES}, asks_views=False)
    assert asked[:2] == [(192, pytest.approx(0.05)), (64, float("inf"))]
    assert names(choice) == ("small", 64)


def test_what_is_hardly_better_is_not_worth_all_the_time_there_is(choose):
    noises = {("small", 64): (1.1, 0), ("small", 128): (1.09, 0)}
    # 64 and 128 pixels take 1% and 98% of what embedding may take: 0.97 points of accuracy.
    choice, _ = choose(noises, seconds_per_image=lambda size: {64: 0.01}.get(size, 0.98))
    assert names(choice) == ("small", 64)
    gain = choice.runner_up.expected - choice.chosen.expected
    assert 0 < gain < 0.0097
    choice, _ = choose(noises, seconds_per_image=lambda size: 0.01)
    assert names(choice) == ("small", 128)


@pytest.fixture
def choose_slow(labels, make_probe):
    """From seconds in TensorFlow and as converted, by size, to a choice and what was converted.

    There are 240 s for 2,400 images: 0.1 s each.
    """

    def choose(seconds, converted, *, clock=lambda: 0.0):
        tried = []

        def probe(model, size, *, num_images, most_seconds, is_converted, **limits):
            tried.extend([size] if is_converted else [])
            needed = converted[size] if is_converted else seconds[size]
            if needed > most_seconds:
                raise TooSlowError(needed)
            made = make_probe({part(0): features(labels, noise=200 / size)})
            made.seconds_per_image = needed
            return made

        chooser = Chooser(
            probe,
            LIMITS,
            num_rows=2400,
            num_train=240,
            num_probed=240,
            most_features=MOST,
            own_size=28,
            clock=clock,
        )
        return chooser.choose({"small": [*seconds]}, asks_views=False), tried

    return choose


@pytest.mark.parametrize(("converted", "size"), [(0.15, 64), (0.11, 64), (0.09, 128)])
def test_what_is_too_slow_in_tensorflow_is_tried_as_it_will_be_embedded(
    choose_slow, converted, size
):
    choice, tried = choose_slow({64: 0.01, 128: 0.15}, {128: converted})
    assert (names(choice), tried) == (("small", size), [128])
    found = choice.candidates[1]
    assert found.seconds_per_image == converted
    assert (found.part is not None, found.is_converted) == (
        (True, True) if size == 128 else (False, False)
    )


def test_no_conversion_is_made_for_what_fits_or_never_will(choose_slow):
    choice, tried = choose_slow({64: 0.01, 128: 0.09, 192: 0.21}, {})
    assert (names(choice), tried) == (("small", 128), [])


def test_without_time_for_a_conversion_none_is_made(choose_slow):
    # Of the plan's 60 s 51 are over when the first size has been looked at.
    times = iter([0.0, 0.0])
    choice, tried = choose_slow({64: 0.01, 128: 0.15}, {}, clock=lambda: next(times, 51.0))
    assert (names(choice), tried) == (("small", 64), [])


def test_when_the_time_is_over_what_was_found_is_taken(choose):
    times = iter([0.0])  # When the plan begins; then it is long over.
    choice, tried = choose({("small", 64): 2.0, ("small", 96): 0.1}, clock=lambda: next(times, 1e9))
    assert tried == [("small", 64)]
    assert names(choice) == ("small", 64)


def test_the_runner_up_is_named(choose):
    choice, _ = choose({("small", 64): 1.0, ("small", 128): 2.0, ("large", 64): 1.5})
    assert (choice.runner_up.model, choice.runner_up.image_size) == ("large", 64)


def test_what_was_expected_to_fit_and_does_not_is_left_for_a_smaller_one(choose):
    noises = {("small", 192): (None, 0.2), ("small", 96): None, ("small", 64): 1.0}
    choice, tried = choose(noises, own_size=200)
    assert tried[:3] == [("small", 192), ("small", 96), ("small", 64)]
    assert names(choice) == ("small", 64)


def test_the_first_probe_is_given_a_share_of_the_time_and_the_others_its_images(labels, make_probe):
    asked = []

    def probe(model, size, *, num_images, most_seconds, seconds, is_converted=False):
        asked.append((num_images, seconds, most_seconds))
        made = make_probe({part(0): features(labels, noise=1.0)})
        made.seconds_per_image = 0.001
        return made

    chooser = Chooser(
        probe,
        LIMITS,
        num_rows=240,
        num_train=240,
        num_probed=900,
        most_features=MOST,
        own_size=96,
        clock=lambda: 0.0,
    )
    chooser.choose({"small": SIZES}, asks_views=False)
    # 12 s for 300 images at least, then 60 s for all that the first had the time for.
    assert asked[0] == (900, pytest.approx(12.0), pytest.approx(0.04))
    assert set(asked[1:]) == {(240, float("inf"), 0.25)}


def test_a_climb_goes_to_the_last_size(choose):
    noises = {("small", 160): 2.0, ("small", 192): 1.0}
    choice, tried = choose(noises, own_size=160)
    assert tried[:3] == [("small", 160), ("small", 192), ("large", 192)]
    assert names(choice) == ("small", 192)


@pytest.fixture
def choose_mirrored(labels, make_probe):
    """From bytes for arrays and seconds an image to a choice among two cuts.

    Mirrored images help: they are further draws from the same classes. Embedding has 240 s for 240
    images and as many mirrored ones.
    """

    def choose(
        max_bytes=10**9,
        *,
        sizes=(60, 60),
        num_rows=240,
        seconds_per_image=0.01,
        asks_views=True,
        is_room=None,
        is_new=True,
    ):
        random = np.random.default_rng(3)
        centres = random.normal(size=(4, 60))
        parts = [part(depth, size) for depth, size in enumerate(sizes)]
        # Each cut tells two of the four classes apart.
        known = [centres[labels] * np.isin(labels, told)[:, None] for told in ((0, 1), (2, 3))]
        plain, further = (
            {
                each: told + 3 * random.normal(size=(240, 60))
                for each, told in zip(parts, known, strict=True)
            }
            for _ in range(2)
        )

        def probe(model, size, **limits):
            made = make_probe(plain, mirrored=further if is_new else plain)
            made.seconds_per_image = seconds_per_image
            return made

        limits = dataclasses.replace(LIMITS, max_bytes=max_bytes, gflops=1e4)
        chooser = Chooser(
            probe,
            limits,
            num_rows=num_rows,
            num_train=240,
            num_probed=240,
            most_features=limits.num_features(240, num_rows=num_rows),
            own_size=64,
            clock=lambda: 0.0,
        )
        return chooser.choose({"small": [64]}, asks_views=asks_views, is_room=is_room)

    return choose


def test_mirrored_images_that_help_are_taken(choose_mirrored):
    choice = choose_mirrored()
    assert choice.is_mirrored
    assert choice.mirror_gain[0] > 0
    assert {each.cut for head in choice.heads for each in head.parts} == {"cut0", "cut1"}


def test_mirrored_images_come_with_the_heads_that_then_have_room(choose_mirrored):
    # 400 numbers of two bytes for each of 240 rows, 133 for a head; 200 for each of 480.
    choice = choose_mirrored(2 * 240 * 400)
    assert choice.is_mirrored
    assert [head.num_features for head in choice.heads] == [120, 60]
    without = choose_mirrored(2 * 240 * 400, asks_views=False)
    assert not without.is_mirrored
    assert without.mirror_gain is None
    assert [head.num_features for head in without.heads] == [120, 60, 60]
    # A head that is too large is left out, and what comes after it may fit.
    uneven = choose_mirrored(2 * 240 * 600, sizes=(190, 10))
    assert [head.num_features for head in uneven.heads] == [200, 10]


def test_beside_cuts_that_are_given_mirrored_images_have_the_room_that_these_leave(choose_mirrored):
    asked = []

    def is_room(model, image_size, num_rows):
        asked.append((model, image_size, num_rows))
        return answer

    for answer in (True, False):
        # However little there is for the heads that were looked at.
        choice = choose_mirrored(2 * 240 * 200, is_room=is_room)
        assert choice.is_mirrored == answer
        assert choice.heads
    assert asked == 2 * [("small", 64, 480)]


@pytest.mark.parametrize(
    "told",
    [
        # Of 18,000 numbers a head may have 9,808, of 9,000 not the best one.
        {"max_bytes": 2 * 240 * 18_000, "sizes": (9500, 60)},
        # 240 s are 0.1 s for each of 2,400 images, and 0.09 s with those that are mirrored.
        {"num_rows": 2400, "seconds_per_image": 0.095},
        # The plan has 60 s.
        {"seconds_per_image": 0.3},
    ],
)
def test_for_mirrored_images_there_must_be_room_and_time(choose_mirrored, told):
    choice = choose_mirrored(**told)
    assert not choice.is_mirrored
    assert choice.mirror_gain is None
    assert choice.heads


def test_mirrored_images_that_do_not_help_take_no_room_from_heads(choose_mirrored):
    choice = choose_mirrored(2 * 240 * 400, is_new=False)
    assert not choice.is_mirrored
    assert choice.mirror_gain is not None
    assert len(choice.heads) == 3
