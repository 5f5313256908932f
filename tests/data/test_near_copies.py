"""Near copies are found, other images are not."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.data import near_copies
from pipeline.data.near_copies import _close_pairs, near_pairs

NUMBER = 40


def pictures(number=NUMBER, *, size=48, seed=0, gray=False):
    """Pictures of coarse and fine structure, as photographs have."""
    random = np.random.default_rng(seed)
    layers = []
    for cells, contrast in ((4, 0.6), (12, 0.25), (size, 0.15)):
        coarse = random.integers(0, 256, (number, cells, cells, 3), np.uint8)
        large = [np.asarray(Image.fromarray(c).resize((size, size))) for c in coarse]
        layers.append(contrast * np.stack(large))
    images = np.clip(sum(layers), 20, 235).astype(np.uint8)
    return images[..., 0] if gray else images


def changed(images, change):
    return np.stack([np.asarray(change(Image.fromarray(image))) for image in images])


def resized(scale, method=Image.Resampling.BICUBIC):
    def change(image):
        other = image.resize([round(scale * length) for length in image.size], method)
        return ImageOps.fit(other, image.size, method=Image.Resampling.BILINEAR)

    return change


def compressed(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=60)
    return Image.open(file)


def cut(image):
    width, height = image.size
    margin = 0.01 * width
    return image.resize(image.size, box=(margin, margin, width - margin, height - margin))


CHANGES = {
    "three quarters": resized(0.75),
    "half": resized(0.5, Image.Resampling.BILINEAR),
    "larger": resized(1.25),
    "JPEG": compressed,
    "brighter": lambda image: image.point(lambda value: min(255, round(1.05 * value))),
    "darker": lambda image: image.point(lambda value: round(0.95 * value)),
    "cut": cut,
}


def pairs_among(images):
    return [tuple(pair) for pair in near_pairs(images, np.arange(len(images))).tolist()]


@pytest.mark.parametrize("gray", [False, True], ids=["colour", "gray"])
@pytest.mark.parametrize("kind", CHANGES)
def test_copies_are_found_and_nothing_else(kind, gray):
    images = pictures(gray=gray)
    copies = changed(images[::3], CHANGES[kind])
    pairs = pairs_among(np.concatenate([images, copies]))
    assert pairs == [(3 * row, NUMBER + row) for row in range(len(copies))]


def test_positions_say_what_is_compared_and_results_count_them():
    images = pictures()
    images[[5, 9]] = changed(images[[2, 2]], compressed)
    assert near_pairs(images, np.array([30, 2, 7, 9, 31, 32, 33, 34, 35, 36])).tolist() == [[1, 3]]


def test_many_images_are_compared_across_blocks():
    images = pictures(2200, size=16)
    copies = changed(images[::55], CHANGES["darker"])
    pairs = pairs_among(np.concatenate([images, copies]))
    assert pairs == [(55 * row, 2200 + row) for row in range(40)]


@pytest.mark.parametrize("spread", [1, 9, 200])
def test_every_close_pair_is_found_once_however_many_blocks_lie_between(spread):
    # The first feature decides what blocks are compared. Whole numbers leave nothing to rounding.
    points = np.random.default_rng(4).integers(0, (spread, 9, 9), (300, 3)).astype(np.float32)
    squares = ((points[:, None] - points) ** 2).sum(axis=-1)
    expected = np.argwhere(np.triu(squares < 2.5, k=1)).tolist()
    pairs = np.sort(np.concatenate(list(_close_pairs(points, 2.5**0.5, block=4))), axis=1)
    assert sorted(pairs.tolist()) == expected


def test_images_that_are_all_alike_are_told_apart():
    # One outline with another pattern inside, as clothes on white are.
    images = pictures() // 8 + pictures(1, seed=9) // 8 * 7
    assert pairs_among(images) == []
    images[7] = changed(images[3:4], compressed)[0]
    assert pairs_among(images) == [(3, 7)]


def test_images_that_are_all_alike_among_others_are_told_apart():
    alike = pictures(seed=2) // 24 + pictures(1, seed=9) // 24 * 23
    assert pairs_among(np.concatenate([pictures(80, seed=1), alike])) == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda image: image[..., ::-1], id="recoloured"),
        pytest.param(lambda image: image // 2 + 60, id="half the contrast"),
        pytest.param(lambda image: np.minimum(image, 215) + 40, id="much brighter"),
        pytest.param(lambda image: 255 - image, id="negative"),
        pytest.param(lambda image: np.roll(image, 6, axis=1), id="moved"),
    ],
)
def test_what_is_another_picture_is_no_copy(change):
    images = pictures()
    images[5] = change(images[4])
    assert pairs_among(images) == []


def test_a_picture_with_another_object_in_it_is_no_copy():
    images = pictures()
    images[5] = images[4]
    images[5, 18:30, 18:30] = 255 - images[4, 18:30, 18:30]
    assert pairs_among(images) == []


def test_the_same_shapes_with_other_detail_are_no_copies():
    # Waves of nearly the same phase under noise of their own.
    random = np.random.default_rng(0)
    waves = np.sin(np.arange(64) / 6 + np.repeat(np.arange(30), 2)[:, None])
    images = 128 + 60 * waves[:, None, :] + random.normal(0, 25, (60, 64, 64))
    assert pairs_among(images.astype(np.uint8)) == []


@pytest.mark.parametrize(
    "images",
    [
        pytest.param(np.random.default_rng(0).integers(99, 101, (20, 32, 32)), id="flat"),
        pytest.param(np.arange(20 * 16).reshape(20, 4, 4) // 2, id="tiny"),
        pytest.param(pictures(1), id="one"),
        pytest.param(pictures(1)[:0], id="none"),
        pytest.param(np.zeros((20, 32, 32, 3)), id="black"),
    ],
)
def test_what_cannot_be_told_has_no_near_copies(images):
    assert pairs_among(images.astype(np.uint8)) == []


def test_copies_of_copies_need_not_be_copies():
    images = pictures() // 2
    images[6] = 1.2 * images[5]
    images[7] = 1.2 * images[6]
    assert pairs_among(images) == [(5, 6), (6, 7)]


def test_the_same_images_give_the_same_pairs():
    images = pictures()
    images[20:] = changed(images[:20], compressed)
    assert pairs_among(images) == pairs_among(images) == [(row, row + 20) for row in range(20)]


def frames(images, number):
    """Images as a film shows them: a little other light and noise in each frame."""
    random = np.random.default_rng(3)
    light = random.normal(1, 0.03, (len(images), number, 1, 1, 1))
    shot = images[:, None] * light + random.normal(0, 3, (len(images), number, *images.shape[1:]))
    return np.clip(shot, 0, 255).astype(np.uint8).reshape(-1, *images.shape[1:])


def test_the_frames_of_many_scenes_are_near_copies_of_their_scene_alone():
    pairs = np.array(pairs_among(frames(pictures(), 12)))
    assert np.all(pairs[:, 0] // 12 == pairs[:, 1] // 12)
    assert len(pairs) >= 0.9 * NUMBER * (12 * 11 / 2)


def test_many_frames_of_one_scene_among_other_images_are_near_copies():
    images = pictures(120)
    found = {
        index
        for pair in pairs_among(np.concatenate([images, frames(images[:1], 60)]))
        for index in pair
    }
    assert found == {0, *range(120, 180)}


def test_an_image_of_many_pairs_is_looked_at_once(monkeypatch):
    seen, thumbnails = [], near_copies._thumbnails

    def counted(images):
        seen.append(len(images))
        return thumbnails(images)

    monkeypatch.setattr(near_copies, "_thumbnails", counted)
    images = frames(pictures(), 12)
    assert len(pairs_among(images)) > 2 * len(images)
    assert sum(seen) <= len(images)
