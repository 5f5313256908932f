"""A user's own images, as they come: JPEG and PNG of any size and mode, through the whole graph."""

import json

import numpy as np
import pytest
from PIL import Image

from testing.checkout import Checkout

pytestmark = [pytest.mark.slow, pytest.mark.keras]
COLORS = {"red things": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 210)}
PER_CLASS = 40


def picture(color, rng, mode):
    """A noisy image of one colour, of a random size, so that a classifier can be perfect."""
    height, width = rng.integers(24, 90, size=2)
    noise = rng.normal(0, 25, size=(height, width, 3))
    image = Image.fromarray(np.clip(np.array(color) + noise, 0, 255).astype(np.uint8))
    return image.convert(mode)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    rng = np.random.default_rng(3)
    kinds = [("jpg", "RGB"), ("png", "RGBA"), ("png", "P"), ("jpeg", "CMYK")]
    for name, color in COLORS.items():
        folder = made.folder / "data/own" / name
        folder.mkdir(parents=True)
        for index in range(PER_CLASS):
            suffix, mode = kinds[index % len(kinds)]
            picture(color, rng, mode).save(folder / f"{index:03d}.{suffix}")
    sizes = dict.fromkeys(("val_size", "confirmation_size", "test_size"), "auto")
    made.set({"fetch": {"dataset": "folder", "image_size": "auto"}, "split": sizes})
    made.set({"search": {"trials": 2}})
    made.repro()
    return made


def test_every_image_is_in_one_part(checkout):
    counts = json.loads((checkout.folder / "data/split.json").read_text())["counts"]
    assert sum(part["images"] for part in counts.values()) == PER_CLASS * len(COLORS)


def test_images_are_stored_as_large_as_most_are(checkout):
    files = [file for file in (checkout.folder / "data/own").rglob("*.*") if file.suffix]
    sides = sorted(min(Image.open(file).size) for file in files)
    stored = json.loads((checkout.folder / "data/split.json").read_text())["image_shape"]
    assert stored == [sides[(len(sides) - 1) // 2]] * 2 + [3]


def test_separable_classes_are_learned(checkout):
    metrics = json.loads((checkout.folder / "results/metrics.json").read_text())
    assert metrics["transfer"]["accuracy"]["value"] > 0.9


def test_predict_names_the_class_of_an_image_file(checkout):
    file = checkout.folder / "new.png"
    picture(COLORS["red things"], np.random.default_rng(9), "RGB").save(file)
    assert "red things" in checkout.pipeline("predict", "new.png")


def test_a_new_image_makes_fetch_run_again(checkout):
    rng = np.random.default_rng(11)
    picture(COLORS["green"], rng, "RGB").save(checkout.folder / "data/own/green/new.jpg")
    assert "Running stage 'fetch'" in checkout.repro("fetch")
