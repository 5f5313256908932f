"""What an entry of embed.bases means, and what is said of where a base came from."""

import hashlib
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.bases.choice import BaseChoice, check_choice, open_base
from pipeline.bases.table import BaseSource
from pipeline.errors import ConfigError

pytestmark = pytest.mark.keras

CHAMPION = "models:/digits-classifier@champion"


@dataclass(frozen=True)
class Registered:
    path: Path
    name: str = "digits-classifier"
    version: str = "3"


def choice(model="mobilenet", **changes):
    return BaseChoice(**{"name": "mine", "model": model, "image_size": 32, **changes})


def no_registry(uri):
    raise AssertionError(f"nobody has to ask for {uri}")


@pytest.fixture
def model_file(tmp_path):
    """A classifier of raw images of 8 pixels."""
    import keras

    inputs = keras.Input((8, 8, 3), dtype="uint8")
    x = keras.layers.Flatten(name="flat")(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, name="classes")(x))
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def test_a_base_of_the_table_may_have_any_name():
    opened = open_base(choice(weights="random", alpha=0.25), fetch=no_registry)
    assert opened.model.output.shape == (None, 256)
    assert opened.source == BaseSource(model="mobilenet", weights="random", alpha=0.25)


def test_a_model_file_tells_its_hash(model_file):
    opened = open_base(choice(str(model_file), image_size=8), fetch=no_registry)
    digest = hashlib.sha256(model_file.read_bytes()).hexdigest()
    assert opened.source == BaseSource(model=str(model_file), file_sha256=digest)
    assert opened.model.name == "mine"
    assert opened.model.trainable_weights == []


def test_an_alias_is_resolved_to_its_version(model_file):
    asked = []

    def fetch(uri):
        asked.append(uri)
        return nullcontext(Registered(model_file))

    opened = open_base(choice(CHAMPION, image_size=8), fetch=fetch)
    assert asked == [CHAMPION]
    assert (opened.source.registered_model, opened.source.version) == ("digits-classifier", "3")
    said = f"{CHAMPION}: version 3 of digits-classifier, sha256 "
    assert str(opened.source).startswith(said)
    images = np.zeros((1, 8, 8, 3), np.float32)
    assert opened.model(images).shape == (1, 3)


def test_the_range_of_a_users_own_model_is_part_of_its_source(tmp_path):
    import keras

    inputs = keras.Input((8, 8, 3))
    keras.Model(inputs, keras.layers.Flatten()(inputs)).save(tmp_path / "own.keras")
    own = choice(str(tmp_path / "own.keras"), image_size=8, input_range=[0.0, 1.0])
    opened = open_base(own, fetch=no_registry)
    assert opened.source.input_range == [0.0, 1.0]
    np.testing.assert_allclose(opened.model(np.full((1, 8, 8, 3), 255.0)), 1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "none"}, "is not none. Received: 'none'"),
        ({"name": "../up"}, "letters, digits, _ and -"),
        ({"name": "a" * 65}, "up to 64 letters"),
        ({"model": "mobilenett"}, "Unknown base: 'mobilenett'. Did you mean 'mobilenet'"),
        (
            {"model": "weights/mobilenet.h5"},
            r"a file that is there. Received: model=weights/mobilenet\.h5",
        ),
        ({"model": "models:/digits"}, "must be models:/NAME@ALIAS or models:/NAME/VERSION"),
        ({"model": "models:/digits/latest"}, "Received: model=models:/digits/latest"),
        ({"model": CHAMPION, "input_range": [0, 1]}, "a registered model takes raw images"),
        ({"model": CHAMPION, "weights": "imagenet"}, "weights must not be given .* its own"),
        ({"model": CHAMPION, "alpha": 0.5}, "alpha must not be given"),
        ({"model": "gone.keras"}, r"a file that is there. Received: model=gone\.keras"),
        ({"input_range": [0, 1]}, "input_range must not be given for mobilenet: mobilenet is scal"),
        ({"image_size": 16}, "mobilenet takes images of 32 pixels or more"),
    ],
)
def test_what_cannot_be_a_base_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        check_choice(replace(choice(), **changes))


@pytest.mark.parametrize("uri", [CHAMPION, "models:/digits-classifier/12"])
def test_addresses_of_the_registry_are_taken(uri):
    check_choice(choice(uri))
