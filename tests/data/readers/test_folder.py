"""Folders of real image files, as people have them."""

import hashlib
import logging

import numpy as np
import pytest
from PIL import Image

from pipeline.data.images import load_image
from pipeline.data.labelled import check_labelled
from pipeline.errors import ConfigError, DataIntegrityError
from tests.data.readers.section import read_folder

CAT, DOG = (200, 0, 0), (0, 0, 200)


def put(path, colour=CAT, *, size=(20, 20), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, colour)
    image = image.quantize() if mode == "P" else image.convert(mode)
    image.save(path, **options)


def read(root, image_size=8, color="auto"):
    return read_folder(root, scratch=root.parent, image_size=image_size, color=color)


@pytest.fixture
def mixed(tmp_path):
    """JPEG and PNG files of several sizes and modes, some rotated by EXIF."""
    rotated = Image.Exif()
    rotated[0x0112] = 6
    put(tmp_path / "cat" / "a.jpg", CAT, size=(40, 30), quality=95)
    put(tmp_path / "cat" / "b.PNG", CAT, size=(9, 50))
    put(tmp_path / "cat" / "deep" / "c.jpeg", CAT, size=(64, 48), exif=rotated, quality=95)
    put(tmp_path / "dog" / "d.png", DOG, mode="RGBA")
    put(tmp_path / "dog" / "e.png", DOG, mode="P")
    put(tmp_path / "dog" / "f.jpg", DOG, mode="CMYK", quality=95)
    put(tmp_path / "dog" / "g.png", (90, 90, 90), mode="L", size=(3, 2))
    return tmp_path


def test_mixed_files_become_one_array_in_order_of_class_and_name(mixed):
    data = read(mixed)
    check_labelled(data)
    assert data.class_names == ("cat", "dog")
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert set(data.parts) == {"train"}
    assert data.images.shape == (7, 8, 8, 3)
    for image, colour in zip(data.images, [CAT] * 3 + [DOG] * 3 + [(90, 90, 90)], strict=True):
        assert np.abs(image.astype(int) - colour).max() <= 3


def test_all_four_parts_may_be_brought(tmp_path):
    parts = ("train", "val", "confirmation", "test")
    for part in parts:
        put(tmp_path / part / "cat" / "a.png", CAT)
        put(tmp_path / part / "dog" / "b.png", DOG)
    data = read(tmp_path)
    check_labelled(data)
    assert data.parts.tolist() == [part for part in parts for _ in range(2)]


def test_classes_that_differ_in_capitals_are_a_warning(tmp_path, caplog):
    put(tmp_path / "Cat" / "a.png", CAT)
    put(tmp_path / "dog" / "b.png", DOG)
    read(tmp_path)
    assert "capitals" not in caplog.text
    put(tmp_path / "cat" / "c.png", CAT)
    assert read(tmp_path).class_names == ("Cat", "cat", "dog")
    assert "differ in capitals only are different ones: Cat, cat. Give" in caplog.text


def test_further_pages_are_a_warning(tmp_path, caplog):
    put(tmp_path / "cat" / "a.tif", CAT)
    put(tmp_path / "dog" / "b.tif", DOG)
    read(tmp_path)
    assert "several pages" not in caplog.text
    pages = [Image.new("RGB", (20, 20), colour) for colour in (CAT, DOG)]
    pages[0].save(tmp_path / "cat" / "a.tif", save_all=True, append_images=pages[1:])
    assert (read(tmp_path).images[0] == CAT).all()
    assert "1 TIFF files have several pages, of which the first alone is read" in caplog.text


def test_each_image_is_what_load_image_makes_of_its_file(mixed):
    for color in ("rgb", "gray"):
        data = read(mixed, color=color)
        for image, name in zip(data.images, data.files, strict=True):
            alone = load_image(mixed / name, image_size=8, color=color)
            np.testing.assert_array_equal(image, alone)


def test_each_file_is_listed_with_its_hash(mixed):
    data = read(mixed)
    assert list(data.files)[:3] == ["cat/a.jpg", "cat/b.PNG", "cat/deep/c.jpeg"]
    content = (mixed / "cat" / "a.jpg").read_bytes()
    assert data.files["cat/a.jpg"] == hashlib.sha256(content).hexdigest()


def test_auto_is_gray_only_if_every_file_is(mixed, tmp_path):
    gray = tmp_path / "gray"
    for name, mode in (("x/a.png", "L"), ("x/b.png", "1"), ("y/c.jpg", "L"), ("y/d.png", "LA")):
        put(gray / name, (255, 255, 255), mode=mode)
    assert read(gray).images.shape == (4, 8, 8)
    assert read(gray, color="rgb").images.shape == (4, 8, 8, 3)
    put(gray / "y" / "e.png", (255, 255, 255))
    assert read(gray).images.shape == (5, 8, 8, 3)
    assert read(gray, color="gray").images.shape == (5, 8, 8)


def test_a_divided_folder_keeps_its_division(tmp_path):
    for part, number in (("train", 3), ("val", 2), ("test", 1)):
        for class_name in ("cat", "dog"):
            for index in range(number):
                put(tmp_path / part / class_name / f"{index}.png")
    data = read(tmp_path)
    assert data.class_names == ("cat", "dog")
    assert data.parts.tolist() == ["train"] * 6 + ["val"] * 4 + ["test"] * 2
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 0, 1]


def test_val_and_test_are_optional(tmp_path):
    for name in ("train/cat/a.png", "train/dog/a.png", "test/cat/a.png", "test/dog/a.png"):
        put(tmp_path / name)
    assert read(tmp_path).parts.tolist() == ["train"] * 2 + ["test"] * 2


def test_a_class_may_be_called_train(tmp_path):
    put(tmp_path / "train" / "a.png")
    put(tmp_path / "plane" / "a.png")
    assert read(tmp_path).class_names == ("plane", "train")


def test_hidden_files_and_files_of_other_kinds_are_left_out_and_counted(mixed, caplog):
    caplog.set_level(logging.INFO)
    for name in (".DS_Store", "cat/.hidden.png", "cat/notes.txt", "dog/Thumbs.db", "README"):
        (mixed / name).write_text("x")
    put(mixed / ".git" / "a.png")
    put(mixed / "cat" / ".thumbnails" / "a.png")
    assert len(read(mixed).images) == 7
    assert (
        "left out 7 files: 4 litter of systems and programs (first: .DS_Store); "
        "2 no picture (first: README); 1 hidden (first: cat/.hidden.png)"
    ) in caplog.text


def test_images_behind_links_are_used_and_dvc_s_blindness_is_said(mixed, tmp_path_factory, caplog):
    caplog.set_level(logging.INFO)
    far = tmp_path_factory.mktemp("far")
    put(far / "z.png")
    (mixed / "cat" / "more").symlink_to(far)
    assert "cat/more/z.png" in read(mixed).files
    assert "1 images are reached by links. DVC does not see changes behind them" in caplog.text


def test_every_unreadable_file_is_named(mixed):
    (mixed / "cat" / "b.PNG").write_bytes(b"")
    content = (mixed / "dog" / "f.jpg").read_bytes()
    (mixed / "dog" / "f.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataIntegrityError) as caught:
        read(mixed)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("must be readable. Received: 2 of 7 that are not:")
    assert lines[1] == "  cat/b.PNG cannot be read as an image: no image of a known format."
    assert lines[2].startswith("  dog/f.jpg cannot be read as an image: ")
    assert lines[3] == "Repair or remove them."


def test_an_empty_folder_is_one_clear_line(tmp_path):
    (tmp_path / ".gitkeep").touch()
    with pytest.raises(DataIntegrityError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        "fetch.path must hold one sub-folder of images per class, or train/ (and val/, test/) with "
        "these inside. Received: no folders. "
        "Put your images there, or set fetch.path to where they are. "
        "If a table says each image's class, set fetch.labels to that CSV or TSV file."
    )


def test_no_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"fetch\.path='.*nowhere', which is not there"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat/a.png"], "at least two classes: .*Received: cat"),
        (["cat/a.png", "dog/"], "Every class needs images .*Received: none in dog/"),
        (["train/cat/a.png", "train/dog/a.png", "val/dog/"], r"none in val/dog/"),
        (["train/cat/a.png", "train/dog/a.png", "test/cow/a.png"], "Received: cow in test only"),
        (["train/a.png", "test1/a.png"], r"Received: images in train/ without .*set fetch\.labels"),
        (["Train/cat/a.png", "Test/cat/a.png"], "at least two classes.*Received: cat"),
        (["val/cat/a.png", "test/cat/a.png"], r"must be train. Received: test, val in fetch\.path"),
        (
            ["A/x/a.png", "A/y/a.png", "B/x/a.png", "B/y/a.png"],
            r"Received: x, y .*fetch\.parts: {t",
        ),
        (["cat/a.png", "d\x1bog/a.png"], r"printable characters. Received: 'd\\x1bog'. Rename"),
    ],
)
def test_a_layout_that_says_no_classes_is_refused(tmp_path, names, message):
    for name in names:
        if name.endswith("/"):
            (tmp_path / name).mkdir(parents=True)
        else:
            put(tmp_path / name)
    with pytest.raises(DataIntegrityError, match=message):
        check_labelled(read(tmp_path))
