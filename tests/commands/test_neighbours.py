"""Two checkouts with everything alike but their images, on one real tracking server."""

import json
import logging

import numpy as np
import pytest
from PIL import Image

from pipeline.data.fetch_params import FetchParams
from pipeline.data.split_params import SplitParams
from pipeline.errors import ConfigError
from pipeline.files import sha256_file
from pipeline.stages import fetch, register, split
from pipeline.trials.confirmation import write_confirmation
from testing.chain import write_missing
from testing.records import made_confirmation
from testing.tracking_server import TrackingServer
from tests.commands.repository import run

pytestmark = [pytest.mark.slow, pytest.mark.keras]
SIZES = {"val_size": 0.25, "confirmation_size": 0.25, "test_size": 0.25}
WINNER = {
    **{"number": 0, "hyperparameters": {}, "mean": 1.0, "std": 0.0, "low": 0.9, "high": 1.0},
    **{"n": 4, "num_seeds": 1, "metrics": {}},
}


class Checkout:
    """A checkout called project with images in data/own; its model is made, not searched.

    Args:
        folder: Of its owner.
        document: The project's own params.yaml.
        classes: Names of its two classes; images of the first are dark.
        shade: Added to every image, so that equal classes have other data.
    """

    def __init__(self, folder, document, *, classes, shade):
        self.root = folder / "project"
        for index, name in enumerate(classes):
            (self.root / "data/own" / name).mkdir(parents=True)
            for number in range(8):
                gray = np.full((8, 8), 180 * index + shade + number, np.uint8)
                Image.fromarray(gray).save(self.root / f"data/own/{name}/{number}.png")
        section = {**document["fetch"], "dataset": "folder", "image_size": 8}
        self.write("params.yaml", {"fetch": section})
        self.fetch = FetchParams.model_validate(section)
        self.split = SplitParams.model_validate({**document["split"], **SIZES})

    def write(self, name, content):
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(json.dumps(content))

    def repro(self, monkeypatch):
        """Runs the stages around the search; returns the registered model and whether champion."""
        monkeypatch.chdir(self.root)
        data = self.root / "data"
        fetch.run(self.fetch, raw=data / "raw", cache=data / "cache", root=self.root)
        split.run(
            self.split,
            raw=data / "raw",
            train_file=data / "train.npz",
            rows_file=data / "train_rows.npy",
            test_file=data / "test.npz",
            summary_file=data / "split.json",
        )
        self.export()
        file_sha256 = sha256_file(self.root / "models/transfer.keras")
        record = made_confirmation(
            **{"study": "transfer", "base": "efficientnet_lite0", "members": [(0, 1)]},
            exported={"file_sha256": file_sha256, "verified": {"n": 2}},
        )
        write_confirmation(self.root, record)
        self.write("results/metrics.json", {})
        write_missing(self.root)
        register.run(register.RegisterParams(study="auto"), studies=["transfer"], root=self.root)
        report = json.loads((self.root / "results/registration.json").read_text())
        return report["registered_model"], report["champion"]

    def export(self):
        """Bright images are the second class; no two checkouts have the same weights."""
        import keras

        images = keras.Input((8, 8), dtype="uint8")
        dense = keras.layers.Dense(2, activation="softmax")
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 64, offset=-2)(images))
        model = keras.Model(images, dense(x))
        slope = np.random.default_rng().uniform(1, 2) / 64
        kernel = np.stack([-np.full(64, slope), np.full(64, slope)], axis=1)
        dense.set_weights([kernel, np.zeros(2)])
        (self.root / "models").mkdir(exist_ok=True)
        model.save(self.root / "models/transfer.keras")

    def predict(self, monkeypatch, capsys, *arguments):
        """Returns the model that answered, and the class of the first class's first image."""
        monkeypatch.chdir(self.root)
        image = min((self.root / "data/own").glob("*/0.png"))
        capsys.readouterr()
        assert run("predict", image, *arguments) == 0
        model, answer = capsys.readouterr().out.splitlines()
        return model.removeprefix("model: "), answer.removeprefix(f"{image}: ").split(" (")[0]


def test_neither_of_two_checkouts_sees_the_others_champion(
    tmp_path, monkeypatch, params_document, capsys, caplog
):
    """Equal names of checkouts and folders: ann and bob have the same classes, cem has others."""
    kinds = {"ann": (("cat", "dog"), 0), "bob": (("cat", "dog"), 20), "cem": (("rose", "yew"), 20)}
    own = {
        name: Checkout(tmp_path / name, params_document, classes=classes, shade=shade)
        for name, (classes, shade) in kinds.items()
    }
    with TrackingServer(tmp_path / "server") as server, caplog.at_level(logging.WARNING):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        made = {name: checkout.repro(monkeypatch) for name, checkout in own.items()}
        names = {name: registered for name, (registered, _) in made.items()}
        assert all(is_champion for _, is_champion in made.values())
        assert names["ann"] == "project-classifier"
        assert len(set(names.values())) == 3
        assert f"registered as {names['bob']}, since project-classifier holds" in caplog.text
        for name, checkout in own.items():
            answer = checkout.predict(monkeypatch, capsys)
            assert answer == (f"{names[name]} version 1", kinds[name][0][0])
        # With a new image ann goes on where she was: no better, and the champion answers on.
        Image.new("L", (8, 8), 3).save(own["ann"].root / "data/own/cat/new.png")
        assert own["ann"].repro(monkeypatch) == (names["ann"], False)
        answer = own["ann"].predict(monkeypatch, capsys)
        assert answer == ("project-classifier version 1", "cat")
        # Without its own registration bob would be given her champion.
        (own["bob"].root / "results/registration.json").unlink()
        with pytest.raises(ConfigError, match=rf"in \S+{own['ann'].root}; the data of this check"):
            own["bob"].predict(monkeypatch, capsys)
        asked = own["bob"].predict(
            monkeypatch, capsys, "--model", "models:/project-classifier@champion"
        )
        assert asked[0] == "project-classifier version 1"
