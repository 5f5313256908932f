"""What is said of sizes and values, and what becomes of deep pixels."""

import logging
import re

import numpy as np
import pytest
from PIL import Image

from pipeline.data.images import load_image
from pipeline.data.readers.folder import read_folder
from pipeline.errors import DataIntegrityError


@pytest.fixture
def xrays(tmp_path):
    """12-bit values in 16-bit PNG: 300 to 3600, in train and test; the test part's go to 4000."""
    for part, top in (("train", 3600), ("test", 4000)):
        for name in ("well", "ill"):
            (tmp_path / part / name).mkdir(parents=True)
            deep = np.linspace(300, top, 64).astype(np.uint16).reshape(8, 8)
            Image.fromarray(deep).save(tmp_path / part / name / "0.png")
    return tmp_path


def read(root, value_range="format", image_size=8):
    return read_folder(
        root, scratch=root.parent, image_size=image_size, color="auto", value_range=value_range
    )


def test_few_gray_levels_are_a_warning_with_the_cure(xrays, caplog):
    data = read(xrays)
    assert data.images.max() == 16
    assert data.value_range == (0, 65535)
    assert "WARNING" in caplog.text
    assert "4 images have more than 8 bits, values 300 to 4000: with 0 as black" in caplog.text
    assert "15 of 256 gray levels" in caplog.text
    assert "Set fetch.value_range: data, or [0, 4095]" in caplog.text


def test_the_data_s_own_range_is_that_of_all_but_the_test_part(xrays, caplog):
    caplog.set_level(logging.INFO)
    data = read(xrays, "data")
    assert data.value_range == (300, 3600)
    assert (data.images[0].min(), data.images[0].max()) == (0, 255)
    assert "14 pixels of 2 images lie outside and are clipped" in caplog.text
    assert "WARNING" not in caplog.text


def test_two_numbers_are_black_and_white(xrays):
    expected = np.round(np.linspace(300, 3600, 64).astype(np.uint16) * (255 / 4095)).reshape(8, 8)
    np.testing.assert_array_equal(read(xrays, (0, 4095)).images[0], expected)


def test_predict_s_loader_gives_the_same_pixels(xrays):
    file = xrays / "train" / "ill" / "0.png"
    image = load_image(file, image_size=8, color="gray", value_range=(0, 4095))
    np.testing.assert_array_equal(image, read(xrays, (0, 4095)).images[0])


def test_pixels_of_8_bits_are_never_rescaled(tmp_path, caplog):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("L", (9, 9), 40).save(tmp_path / name / "0.png")
    data = read(tmp_path, (0, 50))
    assert data.images.max() == 40
    assert data.value_range is None
    assert "fetch.value_range changes nothing" in caplog.text


def test_floats_need_two_numbers(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(tmp_path / name / "0.tif")
    for value_range in ("format", "data"):
        with pytest.raises(
            DataIntegrityError, match=r"a/0\.tif cannot .*floating.*value_range to two"
        ):
            read(tmp_path, value_range)
    assert read(tmp_path, (0, 1)).images.max() == 128


def test_values_that_do_not_differ_have_no_range(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((8, 8), 900, np.uint16)).save(tmp_path / name / "0.png")
    with pytest.raises(
        DataIntegrityError, match=r"values that differ. Received: 900 in all pixels"
    ):
        read(tmp_path, "data")


@pytest.mark.parametrize(
    ("image_size", "message"),
    [
        (
            16,
            "WARNING: .*images are shrunk 2.5 times.*size: auto, or raise it, at most to 40",
        ),
        (
            100,
            "WARNING: .*images are enlarged 2.5 times.*fetch.image_size: auto, or lower it, to 40",
        ),
        (
            40,
            "images are 80x40 pixels .median; 60x40 to 100x50.: .*40x40; 1 of 4 are shrunk; 50%",
        ),
    ],
)
def test_what_resizing_loses_is_said(tmp_path, caplog, image_size, message):
    caplog.set_level(logging.INFO)
    for name, sizes in (("a", [(60, 40), (80, 40)]), ("b", [(80, 40), (100, 50)])):
        (tmp_path / name).mkdir()
        for index, size in enumerate(sizes):
            Image.new("RGB", size).save(tmp_path / name / f"{index}.png")
    read(tmp_path, image_size=image_size)
    assert re.search(message, caplog.text)
    assert ("WARNING:" in caplog.text) == ("WARNING" in message)
