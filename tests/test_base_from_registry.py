"""A user's own images, as they come, learned through the whole graph from a registered model.

They are JPEG and PNG of any size and mode; the model was registered from another data set.
"""

import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from pipeline.config import read_document

pytestmark = [pytest.mark.slow, pytest.mark.keras]

CHAMPION = "models:/digits-classifier@champion"
COLORS = {"red things": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 210)}
KINDS = [("jpg", "RGB"), ("png", "RGBA"), ("png", "P"), ("jpeg", "CMYK")]
PER_CLASS = 40


def read(checkout, name):
    return json.loads((checkout.folder / name).read_text())


def picture(color, rng, mode="RGB"):
    """A noisy image of one colour, of a random size, so that a classifier can be perfect."""
    height, width = rng.integers(24, 90, size=2)
    noise = rng.normal(0, 25, size=(height, width, 3))
    image = Image.fromarray(np.clip(np.array(color) + noise, 0, 255).astype(np.uint8))
    return image.convert(mode)


def write_pictures(folder):
    """Images in a folder for each class, a quarter of them of each kind."""
    rng = np.random.default_rng(3)
    for name, color in COLORS.items():
        (folder / name).mkdir(parents=True)
        for index in range(PER_CLASS):
            suffix, mode = KINDS[index % len(KINDS)]
            picture(color, rng, mode).save(folder / name / f"{index:03d}.{suffix}")


def change(checkout, edit):
    """Changes `params.yaml`, also what `Checkout.set` cannot remove; its comments are lost."""
    file = checkout.folder / "params.yaml"
    document = read_document(file)
    edit(document)
    with file.open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(document, stream)


def learn_digits(document):
    """One small study: what is searched is not the point."""
    study = document["studies"]["transfer"]
    document["studies"] = {"transfer": study}
    study["space"] = {"units": {"type": "int", "low": 8, "high": 64, "log": True}}
    study["enqueue"] = []
    document["search"].update(trials=1, workers=1)
    document["confirm"].update(top=1, seeds=1)


def learn_colors(document):
    """The same study on other images, from what was registered."""
    document["fetch"].update(dataset="folder", name="folder", image_size="auto")
    document["split"].update(val_size="auto", confirmation_size="auto", test_size="auto")
    cuts = ["block0_bn2", "hidden_0_activation"]
    document["embed"]["bases"] = {"digits": {"model": CHAMPION, "image_size": 32, "cuts": cuts}}
    document["studies"]["transfer"]["base"] = "digits"
    # Colours are told apart below; so few images are a step an epoch.
    document["studies"]["transfer"]["space"]["cut"] = "block0_bn2"
    document["search"]["epochs"] = 20


@pytest.fixture(scope="module")
def checkout(embedded, tmp_path_factory):
    """A checkout that has learned gray digits, then coloured images from what it learned."""
    made = embedded.copy(tmp_path_factory.mktemp("checkout"))
    change(made, learn_digits)
    made.repro("register")
    write_pictures(made.folder / "data/own")
    change(made, learn_colors)
    made.repro()
    return made


def test_the_manifest_tells_which_version_the_alias_was(checkout):
    source = read(checkout, "data/features/digits/manifest.json")["source"]
    assert source["model"] == CHAMPION
    assert (source["registered_model"], source["version"]) == ("digits-classifier", "1")


def test_the_version_made_of_it_leads_to_the_version_that_it_was(checkout):
    query = (
        "select key, value from model_version_tags "
        "where name = 'folder-classifier' and version = 1 and key like 'base.%'"
    )
    with closing(sqlite3.connect(checkout.folder / "mlflow.db")) as connection:
        tags = dict(connection.execute(query).fetchall())
    source = read(checkout, "data/features/digits/manifest.json")["source"]
    assert (tags["base.registered_model"], tags["base.version"]) == ("digits-classifier", "1")
    assert tags["base.file_sha256"] == source["file_sha256"]


def test_the_layers_of_both_parts_of_the_old_model_are_cuts(checkout):
    cuts = read(checkout, "data/features/digits/manifest.json")["cuts"]
    assert any(name.startswith("block") for name in cuts)
    assert any(not name.startswith("block") for name in cuts)


def test_what_was_learned_from_it_is_registered_and_right(checkout):
    registration = read(checkout, "results/registration.json")
    assert registration["registered_model"] == "folder-classifier"
    metrics = read(checkout, "results/metrics.json")
    assert metrics["transfer"]["accuracy"]["value"] > 0.9


def test_predict_names_the_class_of_an_image_file(checkout):
    file = checkout.folder / "new.png"
    picture(COLORS["red things"], np.random.default_rng(9)).save(file)
    assert "red things (red things " in checkout.new_pipeline("predict", "new.png")


def test_every_image_is_in_one_part(checkout):
    counts = read(checkout, "data/split.json")["counts"]
    assert sum(part["images"] for part in counts.values()) == PER_CLASS * len(COLORS)


def test_images_are_stored_as_large_as_most_are(checkout):
    files = [file for file in (checkout.folder / "data/own").rglob("*.*") if file.suffix]
    sides = sorted(min(Image.open(file).size) for file in files)
    stored = read(checkout, "data/split.json")["image_shape"]
    assert stored == [sides[(len(sides) - 1) // 2]] * 2 + [3]


def test_the_command_cuts_shows_it_by_its_address(checkout):
    shown = checkout.new_pipeline("cuts", CHAMPION)
    assert f"base ({CHAMPION}: version 1 of digits-classifier, sha256 " in shown
    assert " at 32 pixels" in shown


def test_after_embed_nobody_asks_the_registry_for_the_base(checkout):
    """The old model is gone, and the study is confirmed again all the same."""
    checkout.set({"confirm": {"seeds": 2}})
    for file in (checkout.folder / "mlruns").rglob("model.keras"):
        file.unlink()
    before = read(checkout, "results/transfer/confirm.json")
    assert "Running stage 'confirm@transfer'" in checkout.repro("--single-item", "confirm@transfer")
    assert read(checkout, "results/transfer/confirm.json")["seeds"] != before["seeds"]


def test_a_new_image_makes_fetch_run_again(checkout):
    """Last, since it changes what was learned from."""
    rng = np.random.default_rng(11)
    picture(COLORS["green"], rng).save(checkout.folder / "data/own/green/new.jpg")
    assert "Running stage 'fetch'" in checkout.repro("fetch")
