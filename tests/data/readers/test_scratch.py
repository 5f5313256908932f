"""Pixels lie on the disk while a folder is read, and nothing of them stays."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from pipeline.data.labelled import save_raw
from pipeline.data.readers.folder import read_folder
from pipeline.data.readers.scratch import pixels_on_disk
from pipeline.errors import ConfigError

SIDE, NUM_IMAGES = 256, 80


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_folder_is_read_and_saved_in_bounded_memory(tmp_path, mode):
    for index in range(NUM_IMAGES):
        (tmp_path / "own" / "ab"[index % 2]).mkdir(parents=True, exist_ok=True)
        image = Image.new(mode, (4, 4), index if mode == "L" else (index, 0, 0))
        image.save(tmp_path / "own" / "ab"[index % 2] / f"{index:02d}.png")
    raw = tmp_path / "raw"
    tracemalloc.start()
    data = read_folder(tmp_path / "own", scratch=raw, image_size=SIDE, color="auto")
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
