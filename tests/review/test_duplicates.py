"""Copies are found, shifted and mirrored too; images that are merely alike are not."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.review.duplicates import find_duplicates, gray_details

SIZE = 24


def made_images(number=60, *, seed=0):
    """Smooth patterns of their own, with a little grain, shape (n, 24, 24)."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (number, 8, 8), dtype=np.uint8)
    return np.stack(
        [
            np.asarray(Image.fromarray(one).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
            for one in small
        ]
    )


def shifted(image):
    return np.concatenate([image[:, :1], image[:, :-1]], axis=1)


def compressed(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=75)
    return np.asarray(Image.open(file))


def brighter(image):
    return np.minimum(image * 1.2, 255).astype(np.uint8)


def found_among(images):
    vectors = images.reshape(len(images), -1).astype(np.float32)
    return find_duplicates(vectors, gray_details([images]))


@pytest.mark.parametrize("change", [shifted, compressed, brighter, np.copy])
def test_a_changed_copy_is_found_and_nothing_else(change):
    images = made_images()
    found = found_among(np.concatenate([images, change(images[7])[None]]))
    assert found.pairs.tolist() == [[7, 60]]
    assert found.similarity[0] > 0.9
    assert not found.is_mirrored[0]


@pytest.mark.parametrize("number", [2, 3, 4])
def test_several_copies_of_one_image_are_all_found(number):
    """Where each stands out from all but the others."""
    rng, images = np.random.default_rng(1), made_images()
    grain = 5 * rng.normal(size=(number, SIZE, SIZE))
    copies = np.clip(images[7] + grain, 0, 255).astype(np.uint8)
    found = found_among(np.concatenate([images, copies]))
    group = [7, *range(60, 60 + number)]
    expected = [[one, other] for one in group for other in group if one < other]
    assert found.pairs.tolist() == expected
    assert found.similarity.max() < 0.99


def test_a_mirrored_copy_is_found_where_the_features_are_alike():
    images = made_images()
    both = np.concatenate([images, images[7, :, ::-1][None]])
    # As those of a network, they do not change much where the image is mirrored.
    vectors = (both.astype(np.float32) + both[:, :, ::-1]).reshape(len(both), -1)
    found = find_duplicates(vectors, gray_details([both]))
    assert found.pairs.tolist() == [[7, 60]]
    assert found.is_mirrored[0]


def test_images_that_are_all_alike_are_no_duplicates():
    """The same shape with grain of its own each: 0.9 alike, and none more than others."""
    rng = np.random.default_rng(0)
    images = made_images(1).astype(float) + 12 * rng.normal(size=(40, SIZE, SIZE))
    assert not len(found_among(np.clip(images, 0, 255).astype(np.uint8)).pairs)


def test_images_without_contrast_resemble_nothing():
    assert not len(found_among(np.full((5, SIZE, SIZE), 7, np.uint8)).pairs)


def test_colour_and_large_images_are_compared_too():
    images = made_images(30)
    large = np.stack([np.asarray(Image.fromarray(one).resize((100, 100))) for one in images])
    coloured = np.repeat(large[..., None], 3, axis=3)
    vectors = np.concatenate([images, images[3:4]]).reshape(31, -1).astype(np.float32)
    grays = gray_details([coloured, coloured[3:4]])
    assert grays.shape == (31, 32, 32)
    found = find_duplicates(vectors, grays)
    assert found.pairs.tolist() == [[3, 30]]


def test_pairs_connect_groups():
    images = made_images(20)
    found = found_among(np.concatenate([images, images[[2, 2, 5]]]))
    groups = found.groups(23)
    assert len({groups[2], groups[20], groups[21]}) == 1
    assert groups[5] == groups[22] != groups[2]
    assert len(np.unique(groups)) == 20


@pytest.mark.parametrize("number", [1, 2, 3])
def test_so_few_images_have_no_duplicates(number):
    assert not len(found_among(made_images(number)).pairs)
