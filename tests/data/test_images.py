"""One way from a file to pixels: modes, sizes, rotation, and what is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.data.images import decode_image, load_image, to_gray
from pipeline.errors import DataIntegrityError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def save(path, image, **options):
    image.save(path, **options)
    return path


def as_file(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    buffer.seek(0)
    return buffer


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGB", (20, 20), RED), RED),
        (Image.new("L", (20, 20), 77), (77, 77, 77)),
        (Image.new("1", (20, 20), 1), WHITE),
        (Image.new("RGBA", (20, 20), (*RED, 255)), RED),
        (Image.new("RGBA", (20, 20), (*RED, 0)), WHITE),
        (Image.new("RGBA", (20, 20), (0, 0, 0, 128)), (127, 127, 127)),
        (Image.new("LA", (20, 20), (0, 0)), WHITE),
        (Image.new("RGB", (20, 20), BLUE).quantize(), BLUE),
        (Image.fromarray(np.full((20, 20), 65_535, np.uint16)), WHITE),
        (Image.fromarray(np.full((20, 20), 257 * 99, np.uint16)), (99, 99, 99)),
    ],
    ids=[
        "RGB",
        "L",
        "1",
        "opaque",
        "transparent",
        "half",
        "LA",
        "palette",
        "16-bit-white",
        "16-bit",
    ],
)
def test_every_mode_becomes_rgb(image, expected):
    pixels = load_image(as_file(image, "PNG"), image_size=8, color="rgb")
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.broadcast_to(expected, (8, 8, 3)))


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_whose_zero_is_white_is_read_as_it_looks(bits):
    kind = np.uint8 if bits == 8 else np.uint16
    dark = Image.fromarray(np.full((20, 20), np.iinfo(kind).max // 5, kind))
    content = as_file(dark, "TIFF").getvalue()
    # Tag 262, one number of 16 bits: 1, black is zero.
    says = struct.pack("<HHIHH", 262, 3, 1, 1, 0)
    assert says in content
    turned = io.BytesIO(content.replace(says, struct.pack("<HHIHH", 262, 3, 1, 0, 0)))
    assert set(load_image(turned, image_size=8, color="gray").flat) == {204}


def test_a_palette_with_a_transparent_colour_is_laid_on_white():
    image = Image.new("P", (20, 20), 0)
    image.putpalette([*BLUE, *RED])
    file = as_file(image, "PNG", transparency=0)
    np.testing.assert_array_equal(load_image(file, image_size=8, color="rgb"), 255)


def test_cmyk_becomes_rgb():
    file = as_file(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "JPEG", quality=95)
    pixels = load_image(file, image_size=8, color="rgb")
    assert np.abs(pixels.astype(int) - RED).max() <= 3


def test_gray_weighs_colours_as_itu_601_does():
    for colour, luma in ((RED, 76), (GREEN, 150), (BLUE, 29)):
        file = as_file(Image.new("RGB", (9, 9), colour), "PNG")
        np.testing.assert_array_equal(load_image(file, image_size=8, color="gray"), luma)


def test_gray_pixels_survive_the_way_through_rgb():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(to_gray(np.stack([ramp] * 3, axis=-1)), ramp)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(tmp_path, orientation):
    # A white band above red and blue; stored as the camera was held.
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:, :8] = RED
    upright[:, 8:] = BLUE
    upright[:4] = WHITE
    undo = {
        **{2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180},
        **{4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE},
        **{6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE},
        **{8: Image.Transpose.ROTATE_270},
    }
    stored = Image.fromarray(upright)
    if orientation in undo:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", stored, exif=exif)
    np.testing.assert_array_equal(load_image(path, image_size=16, color="rgb"), upright)


@pytest.mark.parametrize("size", [(40, 20), (20, 40)], ids=["wide", "tall"])
def test_the_centre_is_cut_out_not_squashed(size):
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    left, top = (size[0] - 20) // 2, (size[1] - 20) // 2
    pixels[top : top + 20, left : left + 20] = GREEN
    file = as_file(Image.fromarray(pixels), "PNG")
    result = load_image(file, image_size=20, color="rgb")
    np.testing.assert_array_equal(result, np.broadcast_to(GREEN, (20, 20, 3)))


def test_shrinking_averages_over_all_pixels():
    # A fine checkerboard: without antialiasing 64 -> 8 would give pure black or white.
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    pixels = load_image(as_file(Image.fromarray(board), "PNG"), image_size=8, color="gray")
    assert np.abs(pixels.astype(int) - 127).max() <= 1


def test_the_filter_is_bilinear():
    small = np.array([[0, 200], [0, 200]], np.uint8)
    pixels = load_image(as_file(Image.fromarray(small), "PNG"), image_size=4, color="gray")
    # Half-pixel centres: at -1/4, 1/4, 3/4 and 5/4 of the way from the left value to the right.
    np.testing.assert_array_equal(pixels, [[0, 50, 150, 200]] * 4)


def test_a_large_jpeg_decoded_small_is_close_to_one_decoded_whole():
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (60, 80, 3), np.uint8)
    image = Image.fromarray(coarse).resize((1600, 1200), Image.Resampling.BICUBIC)
    jpeg = as_file(image, "JPEG", quality=95)
    whole = (
        Image.open(jpeg).crop((200, 0, 1400, 1200)).resize((200, 200), Image.Resampling.BILINEAR)
    )
    jpeg.seek(0)
    pixels = load_image(jpeg, image_size=200, color="rgb")
    assert np.abs(pixels.astype(int) - np.asarray(whole)).mean() < 1.5


def test_path_and_open_file_give_the_same(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    path = save(tmp_path / "a.jpg", Image.fromarray(noise))
    by_path = load_image(path, image_size=16, color="rgb")
    with path.open("rb") as file:
        np.testing.assert_array_equal(load_image(file, image_size=16, color="rgb"), by_path)


def test_says_whether_a_file_is_stored_as_gray():
    assert decode_image(as_file(Image.new("L", (9, 9)), "JPEG"), image_size=8)[1].is_gray
    assert not decode_image(as_file(Image.new("RGB", (9, 9)), "JPEG"), image_size=8)[1].is_gray


def png_header(width, height):
    """A PNG that promises so many pixels and holds a few bytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = b""
    for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(9))), (b"IEND", b"")):
        check = struct.pack(">I", zlib.crc32(kind + body))
        chunks += struct.pack(">I", len(body)) + kind + body + check
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("side", [10_000, 14_000, 60_000])
def test_a_decompression_bomb_is_refused(tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(png_header(side, side))
    with pytest.raises(DataIntegrityError, match=r"bomb\.png is too large to be opened safely"):
        load_image(tmp_path / "bomb.png", image_size=8, color="rgb")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no image of a known format"),
        (b"hello", "no image of a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image of a known format"),
        (as_file(Image.new("RGB", (99, 99), RED), "JPEG").getvalue()[:-400], "[Tt]runcated"),
        (as_file(Image.effect_noise((99, 99), 9), "PNG").getvalue()[:-400], "truncated"),
        (as_file(Image.fromarray(np.zeros((9, 9), np.float32)), "TIFF").getvalue(), "floating"),
        (as_file(Image.fromarray(np.full((9, 9), -5, np.int32)), "TIFF").getvalue(), "-5 to -5,"),
    ],
    ids=["empty", "text", "postscript", "cut-jpeg", "cut-png", "float", "int32"],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, content, reason):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataIntegrityError, match=rf"a\.jpg cannot be read as an image: .*{reason}"):
        load_image(tmp_path / "a.jpg", image_size=8, color="rgb")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM"])
def test_damage_is_refused_or_read_but_never_a_crash(kind):
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 256, (24, 24, 3), np.uint8))
    good = as_file(noise, kind).getvalue()
    num_refused = 0
    for _ in range(150):
        bad = bytearray(good)
        for position in random.integers(0, min(len(bad), 400), 3):
            bad[position] = random.integers(256)
        try:
            load_image(io.BytesIO(bytes(bad)), image_size=8, color="rgb")
        except DataIntegrityError:
            num_refused += 1
    assert num_refused > 0


def test_a_path_that_is_no_file_is_refused_by_name(tmp_path):
    with pytest.raises(DataIntegrityError, match=r"a\.png cannot be read as an image: .*No such"):
        load_image(tmp_path / "a.png", image_size=8, color="rgb")
