"""Links, litter, and files whose names do not say what they are."""

import os

import pytest
from PIL import Image

from pipeline.data import formats
from pipeline.data.images import decode_image
from pipeline.data.readers import tree as trees
from pipeline.data.readers.tree import read_tree
from pipeline.errors import DataIntegrityError


def put(path, kind="PNG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (9, 9)).save(path, format=kind)


def counts(root):
    return read_tree(root).left_out.counts()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("a.jfif", "JPEG"), ("a.jpe", "JPEG"), ("a.JPG", "JPEG"), ("noname", "JPEG")),
        *(("a.jpg_large", "JPEG"), ("a.heic", "JPEG"), ("a.jpg", "PNG"), ("noname", "TIFF")),
        *(("a.pnm", "PPM"), ("a.avif", "AVIF"), ("a", "WEBP")),
    ],
)
def test_an_image_is_known_by_its_name_or_its_content_and_is_read(tmp_path, name, kind):
    put(tmp_path / name, kind)
    tree = read_tree(tmp_path)
    assert [image.name for image in tree.top.images] == [name]
    decode_image(tmp_path / name, image_size=8)


def test_a_camera_s_raw_file_is_no_tiff(tmp_path):
    put(tmp_path / "a.nef", "TIFF")
    put(tmp_path / "a.newraw", "TIFF")
    assert counts(tmp_path) == {"format that is not read": 1, "no picture": 1}


def test_heic_without_its_decoder_is_left_out_for_that_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "decoders", lambda: formats.FORMATS)
    for name in ("a.HEIC", "b.hif", "phone"):
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic" + bytes(9))
    (tmp_path / "c.avif").write_bytes(b"\0\0\0\x18ftypavif" + bytes(9))
    assert counts(tmp_path) == {
        "HEIC or HEIF, which needs pillow-heif": 3,
        "AVIF, which this build of Pillow lacks": 1,
    }


def test_heic_named_as_jpeg_is_refused_with_the_cure(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.data.images.decoders", lambda: formats.FORMATS)
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(9))
    with pytest.raises(DataIntegrityError, match=r"it is HEIC, .*pip install -e \"\.\[heif\]\""):
        decode_image(tmp_path / "a.jpg", image_size=8)


def test_heic_is_read_where_its_decoder_is_installed(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), (200, 0, 0))).save(tmp_path / "a.heic")
    assert [image.name for image in read_tree(tmp_path).top.images] == ["a.heic"]
    pixels, picture = decode_image(tmp_path / "a.heic", image_size=8)
    assert picture.size == (64, 48)
    assert abs(int(pixels[4, 4, 0]) - 200) < 5


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert counts(tmp_path) == {"no regular file": 1}


def test_links_that_multiply_without_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(trees, "_MOST_FOLDERS", 100)
    for name in "abcde":
        (tmp_path / name).mkdir()
    for name in "abcde":
        for other in "abcde":
            (tmp_path / name / other).symlink_to(tmp_path / other)
    with pytest.raises(DataIntegrityError, match=r"at most 100 folders.*Do links lead"):
        read_tree(tmp_path)


def test_two_links_to_one_another_end(tmp_path):
    (tmp_path / "a.png").symlink_to("b.png")
    (tmp_path / "b.png").symlink_to("a.png")
    assert counts(tmp_path) == {"link that leads nowhere": 2}
