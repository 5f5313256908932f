"""Model files as bases: what is asked of them, and that they see what they learned from."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.bases.cuts import find_cuts
from pipeline.bases.load import load_base
from pipeline.bases.table import preprocessing
from pipeline.bases.user_models import (
    check_own_base,
    input_dtype,
    load_own_base,
    own_image_size,
)
from pipeline.errors import ConfigError, SourceError
from tests.bases.damage import flip_bit

pytestmark = pytest.mark.keras


def save(path, *, shape, dtype="float32", flat=True, lambdas=False):
    """A small network on images of a shape, as a user would build one."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    inputs = keras.Input(shape, dtype=dtype)
    x = layers.Rescaling(1.0)(inputs)
    if len(shape) == 2:
        x = layers.Reshape((*shape, 1))(x)
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv")(x)
    x = layers.Flatten()(x) if flat else layers.GlobalAveragePooling2D()(x)
    if lambdas:
        x = layers.Lambda(lambda value: value)(x)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax", name="classes")(x))
    model.save(path)
    return model


def raw(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def answers(base, images, image_size):
    return np.asarray(base(preprocessing(images.shape[1:], image_size)(images)))


@pytest.fixture
def exported(tmp_path, hyperparameters):
    """A file as `confirm` writes it: gray images of 8 pixels, resized to 32, base and head."""
    from pipeline.training.export import Member, export
    from pipeline.training.head import build_head

    base = load_base("efficientnet_lite0", image_size=32, weights="random")
    head = build_head(
        (4, 4, 40),
        3,
        hyperparameters(num_layers=2, units=8, dropout="all"),
        mean=[0.0] * 40,
        variance=[1e-8] * 40,
        seed=1,
    )
    export(
        tmp_path / "digits.keras",
        [Member(trained=head, cut="block4_add")],
        image_shape=(8, 8),
        image_size=32,
        base=base,
    )
    return tmp_path / "digits.keras"


def load(path, *, image_size, input_range=None):
    return load_own_base(path, image_size=image_size, input_range=input_range, name="mine")


def test_an_exported_model_answers_images_of_its_own_kind_as_before(exported):
    import keras

    images = raw(5, 8, 8)
    expected = keras.models.load_model(exported)(images)
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(answers(load(exported, image_size=32), images, 32), expected)


def test_an_exported_model_takes_images_of_other_kinds(exported):
    base = load(exported, image_size=32)
    assert base.input.shape == (None, 32, 32, 3)
    assert base.input.dtype == "float32"
    assert answers(base, raw(2, 20, 24, 3), 32).shape == (2, 3)


def test_its_own_preprocessing_is_gone_and_its_layers_are_cut_points(exported):
    base = load(exported, image_size=32)
    names = [layer.name for layer in base.layers]
    assert names[:2] == ["images", "rescaling"]
    assert not {"to_float", "add_channel", "resize", "gray_to_rgb"} & set(names)
    cuts = [cut.name for cut in find_cuts(base)]
    assert {"block2_add", "block4_add", "hidden_0", "hidden_1"} < set(cuts)
    assert cuts[-1] == names[-1]


def test_a_registered_model_can_be_the_base_of_a_registered_model(exported, tmp_path):
    import keras

    from pipeline.training.export import Member, export

    inputs = keras.Input((8,))
    head = keras.Model(inputs, keras.layers.Dense(2, name="hidden_0")(inputs))
    base = load(exported, image_size=32)
    export(
        tmp_path / "second.keras",
        [Member(trained=head, cut="hidden_1")],
        image_shape=(12, 12, 3),
        image_size=32,
        base=base,
    )
    third = load(tmp_path / "second.keras", image_size=32)
    names = [layer.name for layer in third.layers]
    assert "hidden_0_2" in names
    images = raw(3, 12, 12, 3)
    expected = keras.models.load_model(tmp_path / "second.keras")(images)
    np.testing.assert_allclose(answers(third, images, 32), expected, rtol=1e-5)


def test_of_an_averaged_model_the_first_member_is_the_base_with_all_its_cuts(tmp_path):
    import keras

    from pipeline.training.export import Member, join

    def member(units):
        inputs = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(4, 3, padding="same", name=f"conv_{units}")(inputs)
        x = keras.layers.Flatten()(x)
        x = keras.layers.Dense(units, name=f"hidden_{units}")(x)
        return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))

    members = [Member(trained=member(units)) for units in (5, 6)]
    join(members, image_shape=(8, 8, 3)).save(tmp_path / "averaged.keras")
    join(members[:1], image_shape=(8, 8, 3)).save(tmp_path / "first.keras")
    base = load(tmp_path / "averaged.keras", image_size=8)
    assert {"conv_5", "hidden_5"} < {cut.name for cut in find_cuts(base)}
    images = raw(6, 8, 8, 3)
    expected = keras.models.load_model(tmp_path / "first.keras")(images)
    np.testing.assert_allclose(answers(base, images, 8), expected, rtol=1e-5)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0, 255)])
def test_pixels_come_in_the_range_that_was_declared(tmp_path, low, high):
    model = save(tmp_path / "own.keras", shape=(16, 16, 3))
    images = raw(4, 16, 16, 3)
    base = load(tmp_path / "own.keras", image_size=16, input_range=[low, high])
    scaled = images.astype(np.float32) / 255 * (high - low) + low
    np.testing.assert_allclose(answers(base, images, 16), model(scaled), atol=1e-5)


@pytest.mark.parametrize("shape", [(16, 16, 1), (16, 16)])
def test_a_model_of_gray_images_sees_gray(tmp_path, shape):
    model = save(tmp_path / "gray.keras", shape=shape)
    base = load(tmp_path / "gray.keras", image_size=16, input_range=[0, 1])
    gray = raw(4, 16, 16)
    own = (gray.astype(np.float32) / 255).reshape(4, *shape)
    np.testing.assert_allclose(answers(base, gray, 16), model(own), atol=1e-5)
    red = np.zeros((1, 16, 16, 3), np.uint8)
    red[..., 0] = 200
    weighted = np.full((1, *shape), 0.299 * 200 / 255, np.float32)
    np.testing.assert_allclose(answers(base, red, 16), model(weighted), atol=1e-5)


def test_mixing_the_colours_ends_no_block(tmp_path):
    save(tmp_path / "gray.keras", shape=(16, 16, 1))
    base = load(tmp_path / "gray.keras", image_size=16, input_range=[0, 1])
    ends = [cut.name for cut in find_cuts(base) if cut.ends_block]
    assert "to_gray" not in ends


def test_a_users_own_model_of_raw_images_needs_no_range(tmp_path):
    model = save(tmp_path / "own.keras", shape=(16, 16, 3), dtype="uint8")
    images = raw(4, 16, 16, 3)
    base = load(tmp_path / "own.keras", image_size=16)
    np.testing.assert_allclose(answers(base, images, 16), model(images), atol=1e-5)


def test_a_convolutional_model_takes_other_sizes(tmp_path):
    save(tmp_path / "own.keras", shape=(16, 16, 3), flat=False)
    base = load(tmp_path / "own.keras", image_size=40, input_range=[0, 1])
    assert base.get_layer("conv").output.shape == (None, 40, 40, 6)


def test_a_model_bound_to_its_size_names_it(tmp_path):
    save(tmp_path / "own.keras", shape=(16, 16, 3))
    with pytest.raises(
        ConfigError, match=r"takes images of 16 pixels.*image_size=40. Set it to 16"
    ):
        load(tmp_path / "own.keras", image_size=40, input_range=[0, 1])


def test_a_sequential_model_of_models_is_one_graph(tmp_path):
    import keras
    from keras import layers

    inner = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Conv2D(4, 3, name="inner"), layers.Dropout(0.5)]
    )
    model = keras.Sequential([keras.Input((16, 16, 3)), inner, layers.Flatten(name="top")])
    model.save(tmp_path / "own.keras")
    base = load(tmp_path / "own.keras", image_size=16, input_range=[0, 255])
    assert "inner" in [cut.name for cut in find_cuts(base)]
    images = raw(2, 16, 16, 3)
    np.testing.assert_allclose(
        answers(base, images, 16), model(images.astype(np.float32)), rtol=1e-4, atol=1e-3
    )


@pytest.mark.parametrize(
    ("shape", "message"),
    [((16, 12, 3), r"square images.*\(16, 12, 3\)"), ((16, 16, 4), "one or three channels")],
)
def test_a_model_of_something_else_is_refused(tmp_path, shape, message):
    save(tmp_path / "own.keras", shape=shape)
    with pytest.raises(ConfigError, match=message):
        load(tmp_path / "own.keras", image_size=16, input_range=[0, 1])


def test_a_model_of_two_inputs_is_refused(tmp_path):
    import keras

    inputs = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))]
    keras.Model(inputs, keras.layers.Add()(inputs)).save(tmp_path / "own.keras")
    with pytest.raises(ConfigError, match="one input and one output"):
        load(tmp_path / "own.keras", image_size=8, input_range=[0, 1])


def test_a_file_that_would_run_code_is_refused(tmp_path):
    save(tmp_path / "own.keras", shape=(16, 16, 3), lambdas=True)
    with pytest.raises(ConfigError, match="a model with Lambda, a layer that is code"):
        load(tmp_path / "own.keras", image_size=16, input_range=[0, 1])


def test_a_missing_range_is_said_with_what_to_write(tmp_path):
    save(tmp_path / "own.keras", shape=(16, 16, 3))
    with pytest.raises(ConfigError, match=r"input_range must say .*Write input_range: \[0, 1\]"):
        check_own_base(tmp_path / "own.keras", input_range=None)


def test_a_range_for_raw_images_is_refused(exported):
    with pytest.raises(
        ConfigError, match=r"takes raw uint8 images. Received: input_range=\[0, 1\]"
    ):
        check_own_base(exported, input_range=[0, 1])


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"must be a file that is there. Received: model=.*no\.k"):
        check_own_base(tmp_path / "no.keras", input_range=None)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04 cut"])
def test_what_is_no_model_file_is_said(tmp_path, content):
    (tmp_path / "own.keras").write_bytes(content)
    with pytest.raises(ConfigError, match=r"must be a \.keras or \.h5 file of"):
        check_own_base(tmp_path / "own.keras", input_range=[0, 1])


def test_another_archive_is_no_model_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "own.keras", "w") as archive:
        archive.writestr("config.json", '{"class_name": "Own", "config": {}}')
    with pytest.raises(ConfigError, match="which is a model of a class of its own, Own"):
        check_own_base(tmp_path / "own.keras", input_range=[0, 1])


@pytest.mark.parametrize("layers", ['[{"config": "x"}]', '[{"config": null}]', "[5]"])
def test_layers_without_a_configuration_are_no_model(tmp_path, layers):
    with zipfile.ZipFile(tmp_path / "own.keras", "w") as archive:
        archive.writestr(
            "config.json", f'{{"class_name": "Own", "config": {{"layers": {layers}}}}}'
        )
    with pytest.raises(ConfigError, match=r"must be a \.keras or \.h5 file of"):
        check_own_base(tmp_path / "own.keras", input_range=[0, 1])


def test_a_layer_of_the_users_that_is_called_resize_names_no_size(tmp_path):
    import keras

    inputs = keras.Input((16, 16, 3))
    outputs = keras.layers.UpSampling2D(name="resize")(inputs)
    keras.Model(inputs, outputs).save(tmp_path / "own.keras")
    assert own_image_size(tmp_path / "own.keras") == 16


def test_a_model_that_never_saw_an_input_is_refused(tmp_path):
    import keras

    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.warns(UserWarning, match="not yet been built"):
        model.save(tmp_path / "own.keras")
    with pytest.raises(ConfigError, match=r"with one input and one output.*a Sequential"):
        load(tmp_path / "own.keras", image_size=16, input_range=[0, 1])


@pytest.mark.parametrize("deflated", [False, True])
def test_a_damaged_file_is_said(tmp_path, deflated):
    save(tmp_path / "own.keras", shape=(16, 16, 3))
    flip_bit(tmp_path / "own.keras", deflated=deflated)
    with pytest.raises(SourceError, match=r"own\.keras cannot be loaded"):
        load(tmp_path / "own.keras", image_size=16, input_range=[0, 1])


def test_the_file_tells_its_type_and_size(exported, tmp_path):
    assert (input_dtype(exported), own_image_size(exported)) == ("uint8", 32)
    save(tmp_path / "own.keras", shape=(16, 16, 1))
    assert input_dtype(tmp_path / "own.keras") == "float32"
    assert own_image_size(tmp_path / "own.keras") == 16


def test_a_file_is_checked_without_keras(exported):
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from pipeline.bases.user_models import check_own_base\n"
        "check_own_base(Path(sys.argv[1]), input_range=None)\nprint('keras' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(exported)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "False"
