"""The size at which the pictures keep what they have, and what is said of the others."""

import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from pipeline.data.images import shorter_side
from pipeline.data.readers.folder import read_folder
from pipeline.errors import DataIntegrityError


def put(path, size, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 90, 0)).save(path, **options)


def put_all(root, sizes):
    """Writes the pictures into two classes by turns."""
    for index, size in enumerate(sizes):
        put(root / "ab"[index % 2] / f"{index}.png", size)


def side_of(root):
    images = read_folder(root, scratch=root.parent, image_size="auto", color="auto").images
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
        read_folder(tmp_path / name, scratch=tmp_path, image_size="auto", color="auto").images
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
