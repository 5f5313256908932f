"""A model registered from one data set is the base for another, through the whole graph."""

import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from pipeline.config import read_document
from testing.checkout import Checkout

pytestmark = [pytest.mark.slow, pytest.mark.keras]

CHAMPION = "models:/digits-classifier@champion"
COLORS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 210)}
PER_CLASS = 40


def read(checkout, name):
    return json.loads((checkout.folder / name).read_text())


def write_pictures(folder):
    """Noisy coloured images of 20 pixels, in a folder for each class."""
    rng = np.random.default_rng(3)
    for name, color in COLORS.items():
        (folder / name).mkdir(parents=True)
        for index in range(PER_CLASS):
            pixels = np.clip(np.array(color) + rng.normal(0, 25, (20, 20, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{index}.png")


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
    document["fetch"].update(dataset="folder", name="folder", image_size=20)
    document["split"].update(val_size=0.2, confirmation_size=0.2, test_size=0.2)
    cuts = ["block0_bn2", "hidden_0_activation"]
    document["embed"]["bases"] = {"digits": {"model": CHAMPION, "image_size": 32, "cuts": cuts}}
    document["studies"]["transfer"]["base"] = "digits"
    # Colours are told apart below; 72 images are a step an epoch.
    document["studies"]["transfer"]["space"]["cut"] = "block0_bn2"
    document["search"]["epochs"] = 20


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout that has learned gray digits, then coloured images from what it learned."""
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    change(made, learn_digits)
    made.repro()
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
    file = checkout.folder / "data/own/red/0.png"
    assert "red (red " in checkout.pipeline("predict", str(file))


def test_the_command_cuts_shows_it_by_its_address(checkout):
    shown = checkout.pipeline("cuts", CHAMPION)
    assert f"base ({CHAMPION}: version 1 of digits-classifier, sha256 " in shown
    assert " at 32 pixels" in shown


def test_after_embed_nobody_asks_the_registry_for_the_base(checkout):
    """Last: the old model is gone, and the study is confirmed again all the same."""
    checkout.set({"confirm": {"seeds": 2}})
    for file in (checkout.folder / "mlruns").rglob("model.keras"):
        file.unlink()
    before = read(checkout, "results/transfer/confirm.json")
    assert "Running stage 'confirm@transfer'" in checkout.repro("--single-item", "confirm@transfer")
    assert read(checkout, "results/transfer/confirm.json")["seeds"] != before["seeds"]
