"""Views are what they say of each image, whatever the batches, and the same every time."""

import numpy as np
import pytest

from pipeline.config import parse_section
from pipeline.errors import ConfigError
from pipeline.features.view_params import ViewsParams
from pipeline.features.views import cropped, expand, mirrored, shifted

SHIFT = {"num_views": 2, "hflip": False, "seed": 1, "max_shift": 0.25}
CROP = {"num_views": 2, "hflip": False, "seed": 1, "min_scale": 0.5}


def parse(**section):
    return parse_section(ViewsParams, "embed.bases.one.views", section)


def random_images(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def seen(params, images, *, batch_size=None):
    """The rows of all views, made some images at a time."""
    size = batch_size or len(images)
    return np.concatenate(
        [
            view.make(images[start : start + size], np.arange(len(images))[start : start + size])
            for view in expand(params, len(images))
            for start in range(0, len(images), size)
        ]
    )


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3)])
def test_a_mirror_swaps_left_and_right_alone(shape):
    images = random_images(3, *shape)
    (row,) = (view.make(images, np.arange(3)) for view in expand(parse(hflip=True), 3))
    for y in range(4):
        for x in range(6):
            np.testing.assert_array_equal(row[:, y, x], images[:, y, 5 - x])
    np.testing.assert_array_equal(mirrored(row), images)


def test_a_shift_moves_pixels_and_repeats_the_edge():
    images = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    down_1_left_2 = shifted(images, np.array([1]), np.array([-2]))
    assert down_1_left_2[0].tolist() == [[2, 3, 3, 3], [2, 3, 3, 3], [6, 7, 7, 7]]


def test_shifts_go_as_far_as_the_share_and_no_farther():
    images = np.broadcast_to(np.arange(16, dtype=np.uint8), (500, 16, 16))
    rows = seen(parse(shift={**SHIFT, "num_views": 1}), images)
    moved = 8 - rows[:, 8, 8].astype(int)
    assert (moved.min(), moved.max()) == (-4, 4)


def test_the_whole_image_cropped_is_the_image():
    images, ones = random_images(2, 5, 7, 3), np.ones(2)
    np.testing.assert_array_equal(cropped(images, ones, 0.3 * ones, 0.9 * ones), images)


def test_a_crop_is_the_part_enlarged():
    """Against values worked out by hand: the right half of [0, 10, 20, 30], enlarged to four."""
    images = np.array([0, 10, 20, 30], np.uint8).reshape(1, 1, 4).repeat(4, axis=1)
    row = cropped(images, np.array([0.5]), np.array([0.0]), np.array([1.0]))
    # Centres of the new pixels lie at 1.75, 2.25, 2.75 and 3.25, the last beyond the last pixel's.
    assert row[0, 0].tolist() == [18, 22, 28, 30]


@pytest.mark.keras
def test_a_crop_equals_that_of_tensorflow():
    import tensorflow as tf

    images = random_images(20, 9, 8, 3)
    generator = np.random.default_rng(1)
    scale, (top, left) = generator.uniform(0.5, 0.9, 20), generator.uniform(0, 1, (2, 20))
    y, x = top * (1 - scale), left * (1 - scale)
    # Its boxes are from the centre of the first pixel to that of the last.
    first_y, first_x = y * 9 + scale / 2 - 0.5, x * 8 + scale / 2 - 0.5
    boxes = np.stack([first_y, first_x, first_y + 8 * scale, first_x + 7 * scale], axis=1)
    boxes = np.clip(boxes / [8, 7, 8, 7], 0, 1)
    inside = (np.stack([first_y, first_x], 1).min(1) >= 0) & (boxes.max(1) < 1)
    expected = tf.image.crop_and_resize(images, boxes, np.arange(20), (9, 8)).numpy()
    found = cropped(images, scale, top, left)
    assert inside.sum() > 5
    np.testing.assert_allclose(found[inside], expected[inside], atol=0.501)


@pytest.mark.parametrize("section", [{"shift": SHIFT}, {"crop": CROP}, {"hflip": True}])
@pytest.mark.parametrize("shape", [(6, 6), (6, 6, 3)])
def test_batches_of_any_size_see_the_same(section, shape):
    images = random_images(10, *shape)
    rows = seen(parse(**section), images)
    assert rows.dtype == np.uint8
    np.testing.assert_array_equal(rows, seen(parse(**section), images, batch_size=3))


@pytest.mark.parametrize("kind", ["shift", "crop"])
def test_a_seed_gives_the_same_views_and_another_gives_others(kind):
    images = random_images(10, 8, 8)
    settings = {"shift": SHIFT, "crop": CROP}[kind]
    first = seen(parse(**{kind: settings}), images)
    np.testing.assert_array_equal(first, seen(parse(**{kind: settings}), images))
    other = seen(parse(**{kind: {**settings, "seed": 2}}), images)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[:10], first[10:])


def test_half_of_the_random_views_are_mirrored_where_that_is_wanted():
    images = np.tile(np.array([0, 0, 0, 255], np.uint8), (2000, 4, 1))
    settings = {**SHIFT, "num_views": 1, "hflip": True, "max_shift": 0.01}
    rows = seen(parse(shift=settings), images)
    # 2,000 coins: five standard deviations of the share are 0.056, once in 1.7 million seeds.
    assert abs((rows[:, 0, 0] == 255).mean() - 0.5) < 0.056


def test_views_come_in_the_order_they_are_named_in():
    params = parse(hflip=True, shift=SHIFT, crop={**CROP, "num_views": 1})
    assert params.num_views == 4
    kinds = [view.settings["kind"] for view in expand(params, 5)]
    assert kinds == ["hflip", "shift", "shift", "crop"]
    assert expand(params, 5)[2].settings == {
        "kind": "shift",
        "hflip": False,
        "seed": 1,
        "max_shift": 0.25,
        "number": 1,
    }


def test_there_are_none_by_default():
    assert parse().num_views == 0
    assert expand(parse(), 5) == []


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"flip": True}, "views.flip: there is no such key. Did you mean 'hflip'"),
        ({"shift": {**SHIFT, "max_shift": 0.6}}, "shift.max_shift: .*less than or equal to 0.5"),
        ({"crop": {**CROP, "min_scale": 1.0}}, "crop.min_scale: .*less than 1. Received: 1.0"),
        ({"crop": {**CROP, "num_views": 0}}, "crop.num_views: .*greater than or equal to 1"),
        ({"shift": {"num_views": 1}}, "shift.max_shift: this key is missing"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(section, message):
    with pytest.raises(ConfigError, match=message):
        parse(**section)
