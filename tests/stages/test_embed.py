"""The stage `embed`, on a few images and the real base."""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.models.params import EmbedParams

pytestmark = pytest.mark.keras

ROOT = Path(__file__).parents[2]
NUM_IMAGES = 30


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with data/train.npz of gray images."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    order = generator.permutation(NUM_IMAGES)
    Path("data").mkdir()
    np.savez(
        "data/train.npz",
        images=generator.integers(0, 256, (NUM_IMAGES, 12, 12), dtype=np.uint8),
        labels=np.arange(NUM_IMAGES) % 3,
        train=np.sort(order[:20]),
        val=np.sort(order[20:25]),
        confirmation=np.sort(order[25:]),
    )
    return tmp_path


def params(*, cuts=("block2_add", "block4_add"), max_bytes=10**9, bases=None):
    one = {"efficientnet_lite0": {"image_size": 32, "cuts": cuts}}
    section = {"bases": one if bases is None else bases, "batch_size": 8, "max_bytes": max_bytes}
    if isinstance(cuts, tuple) and bases is None:
        one["efficientnet_lite0"]["cuts"] = list(cuts)
    return EmbedParams.model_validate(section)


def run(section):
    from pipeline.stages import embed

    embed.run(section, train_file=Path("data/train.npz"), features=Path("data/features"))


def manifest(base):
    return json.loads(Path(f"data/features/{base}/manifest.json").read_text())


def test_every_cut_is_there_for_every_image(here):
    run(params())
    found = manifest("efficientnet_lite0")
    assert list(found["cuts"]) == ["block2_add", "block4_add"]
    assert (found["num_images"], found["num_classes"], found["image_size"]) == (30, 3, 32)
    assert found["image_shape"] == [12, 12]
    for entry in found["cuts"].values():
        features = np.load(f"data/features/efficientnet_lite0/{entry['file']}", mmap_mode="r")
        assert features.shape == (NUM_IMAGES, *entry["shape"])
        assert features.dtype == entry["dtype"] == "float16"
        assert len(entry["mean"]) == len(entry["variance"]) == entry["shape"][-1]


def test_the_manifest_names_the_weights_of_the_base(here):
    from pipeline.models.bases import load_base
    from pipeline.models.weights import weights_sha256

    run(params(cuts=("block2_add",)))
    base = load_base("efficientnet_lite0", image_size=64)
    assert manifest("efficientnet_lite0")["weights_sha256"] == weights_sha256(base)


def test_pixels_are_always_there(here):
    run(params(bases={}))
    with np.load("data/train.npz") as archive:
        images, train = archive["images"], archive["train"]
    pixels = np.load("data/features/none/pixels.npy", mmap_mode="r")
    np.testing.assert_array_equal(pixels[..., 0], images)
    entry = manifest("none")["cuts"]["pixels"]
    assert entry["mean"] == pytest.approx([images[train].mean()])
    assert entry["variance"] == pytest.approx([images[train].astype(float).var()])
    assert [path.name for path in Path("data/features").iterdir()] == ["none"]


def test_what_a_former_run_left_is_gone(here):
    old = Path("data/features/old_base")
    old.mkdir(parents=True)
    (old / "manifest.json").write_text("{}")
    run(params(bases={}))
    assert not old.exists()


def test_auto_takes_what_fits_and_says_what_does_not(here, caplog):
    budget = NUM_IMAGES * 8000
    with caplog.at_level(logging.INFO):
        run(params(cuts="auto", max_bytes=budget))
    found = manifest("efficientnet_lite0")
    assert {"avg_pool", "block10_add", "block4_add"} <= set(found["cuts"])
    assert {"cut": "block0_bn2", "bytes": NUM_IMAGES * 8192} in found["left_out"]
    sizes = [np.prod(entry["shape"]) * 2 * NUM_IMAGES for entry in found["cuts"].values()]
    assert sum(sizes) <= budget
    assert "left out, beyond embed.max_bytes: block0_bn2 16x16x16 (0.2 MB)" in caplog.text


def test_the_disk_it_takes_is_said_before_it_starts(here, caplog):
    with caplog.at_level(logging.INFO):
        run(params(cuts=("block2_add",)))
    # 30 images of 12x12 bytes and of 8x8x24 halves.
    assert f"will take {(30 * 144 + 30 * 8 * 8 * 24 * 2) / 1e6:.1f} MB of " in caplog.text


def test_a_disk_too_small_is_refused_before_anything_is_written(here, monkeypatch):
    class Small:
        free = 1000

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Small)
    with pytest.raises(ConfigError, match=r"needs 0\.1 MB of disk, and 0\.0 MB are free"):
        run(params(cuts=("block2_add",)))
    assert list(Path("data/features").iterdir()) == []


def test_the_test_part_is_never_opened(here):
    Path("data/test.npz").mkdir()
    run(params(cuts=("block2_add",)))
    assert manifest("efficientnet_lite0")["num_images"] == NUM_IMAGES


def test_an_unknown_cut_is_refused_by_its_key(here):
    with pytest.raises(ConfigError, match=r"embed\.bases\.efficientnet_lite0\.cuts: Unknown cut"):
        run(params(cuts=("block44_add",)))


def test_a_budget_below_every_cut_is_refused(here):
    with pytest.raises(ConfigError, match="room for one cut of efficientnet_lite0; its top takes"):
        run(params(cuts="auto", max_bytes=1))


def test_without_split_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"No data/train\.npz here. Run the stage `split` first"):
        run(params(bases={}))


def test_an_interrupted_run_leaves_no_manifest(here, monkeypatch):
    from pipeline.models import embedding

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(embedding, "_check_range", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(params(cuts=("block2_add",)))
    assert list(Path("data/features/efficientnet_lite0").iterdir()) == []


def test_a_cut_file_is_refused(here):
    file = Path("data/train.npz")
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(DataIntegrityError, match="must hold a whole array 'images'"):
        run(params(bases={}))


def test_the_command_reads_the_section_of_params_yaml(here):
    # In a process of its own: it sets TensorFlow's threads, which only a fresh one can.
    Path("params.yaml").write_text("embed: {bases: {}, batch_size: 8, max_bytes: 1}\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pipeline", "embed"]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    assert Path("data/features/none/manifest.json").exists()
