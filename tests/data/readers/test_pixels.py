"""What pixels are brought to, what is said of it, and that they lie on the disk meanwhile."""

import logging
import re
import shutil
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from pipeline.data.images import load_image, shorter_side
from pipeline.data.labelled import save_raw
from pipeline.data.readers.pixels import pixels_on_disk
from pipeline.errors import ConfigError, DataIntegrityError
from tests.data.readers.section import read_folder


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
    return read_folder(root, scratch=root.parent, image_size=image_size, value_range=value_range)


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


def put(path, size, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 90, 0)).save(path, **options)


def put_all(root, sizes):
    """Writes the pictures into two classes by turns."""
    for index, size in enumerate(sizes):
        put(root / "ab"[index % 2] / f"{index}.png", size)


def side_of(root):
    images = read_folder(root, scratch=root.parent, image_size="auto").images
    assert images.shape[1] == images.shape[2]
    return images.shape[1]


@pytest.mark.parametrize(
    ("sizes", "side"),
    [
        ([(320, 240)] * 4, 240),
        ([(240, 320), (320, 240)], 240),
        ([(8, 8)] * 4, 8),
        ([(5, 6)] * 4, 8),
        ([(1000, 1000)] * 2, 256),
        ([(20, 90), (30, 40), (41, 50), (900, 700)], 30),
        ([(20, 90), (30, 40), (41, 50)], 30),
    ],
)
def test_it_is_the_median_of_the_shorter_sides_within_8_to_256(tmp_path, sizes, side):
    put_all(tmp_path, sizes)
    assert side_of(tmp_path) == side


def test_exif_turns_a_picture_and_changes_nothing(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    for name in "ab":
        put(tmp_path / name / "0.jpg", (60, 40), exif=turned)
    assert side_of(tmp_path) == 40


def test_the_same_folder_gives_the_same_images(tmp_path):
    put_all(tmp_path / "one", [(20 + 7 * at, 90 - 3 * at) for at in range(9)])
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    one, other = (
        read_folder(tmp_path / name, scratch=tmp_path, image_size="auto").images
        for name in ("one", "other")
    )
    np.testing.assert_array_equal(one, other)


def test_the_test_part_has_no_say(tmp_path):
    put_all(tmp_path / "train", [(30, 30)] * 2)
    put_all(tmp_path / "test", [(90, 90)] * 6)
    assert side_of(tmp_path) == 30


def test_headers_alone_are_read(tmp_path):
    put(tmp_path / "a.jpg", (640, 480), quality=95)
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) // 2])
    assert shorter_side(tmp_path / "a.jpg") == 480


def test_files_that_cannot_be_read_are_named_as_ever(tmp_path):
    put_all(tmp_path, [(30, 30)] * 4)
    for name in ("a/0.png", "b/3.png"):
        (tmp_path / name).write_bytes(b"no picture")
    with pytest.raises(DataIntegrityError, match=r"(?s)2 of 4 .*a/0\.png cannot .*b/3\.png cannot"):
        side_of(tmp_path)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (
            [(20, 40), (30, 40), (30, 40), (40, 40)],
            "images are 30x40 pixels (median; 20x40 to 40x40): their middle square is brought to "
            "30x30, the median of their shorter sides; 1 of 4 are shrunk; 1 of 4 are enlarged; 25% "
            "of the median image's pixels are cut off; fetch.image_size sets another size",
        ),
        (
            [(1000, 1000)] * 2,
            "brought to 256x256, the most that auto chooses; 2 of 2 are shrunk; fetch.image_size",
        ),
        ([(5, 5)] * 2, "brought to 8x8, the least that auto chooses; 2 of 2 are enlarged; fetch."),
        ([(9, 9)] * 2, "brought to 9x9, the median of their shorter sides; fetch.image_size sets"),
    ],
)
def test_what_is_lost_is_said_in_one_line_and_is_no_warning(tmp_path, caplog, sizes, message):
    caplog.set_level(logging.INFO)
    put_all(tmp_path, sizes)
    side_of(tmp_path)
    assert message in caplog.text
    assert "WARNING" not in caplog.text


SIDE, NUM_IMAGES = 256, 80


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_folder_is_read_and_saved_in_bounded_memory(tmp_path, mode):
    for index in range(NUM_IMAGES):
        (tmp_path / "own" / "ab"[index % 2]).mkdir(parents=True, exist_ok=True)
        image = Image.new(mode, (4, 4), index if mode == "L" else (index, 0, 0))
        image.save(tmp_path / "own" / "ab"[index % 2] / f"{index:02d}.png")
    raw = tmp_path / "raw"
    tracemalloc.start()
    data = read_folder(tmp_path / "own", scratch=raw, image_size=SIDE)
    save_raw(data, raw, dataset="own")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < NUM_IMAGES * SIDE**2 / 2
    values = data.images.reshape(NUM_IMAGES, -1).max(axis=1)
    assert values.tolist() == [*range(0, NUM_IMAGES, 2), *range(1, NUM_IMAGES, 2)]
    del data
    assert len(list(raw.iterdir())) == 4


def test_a_disk_that_is_too_small_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(
        ConfigError, match=r"needs 3,0\d\d,\d.* of free disk .*lower fetch.image_size"
    ):
        pixels_on_disk((10**10, 224, 224, 3), tmp_path)


def test_it_is_an_array_like_any_other(tmp_path):
    pixels = pixels_on_disk((3, 2, 2), tmp_path)
    assert not pixels.any()
    pixels[1] = 7
    np.testing.assert_array_equal(pixels.sum(axis=(1, 2)), [0, 28, 0])
