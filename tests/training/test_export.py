"""The exported file: raw images in, the search's own probabilities out, no project needed."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from pipeline.bases.cuts import PooledCut, find_cuts
from pipeline.bases.load import load_base
from pipeline.bases.table import BASES, SOFT_VOTE, preprocessing
from pipeline.errors import DataIntegrityError
from pipeline.training.export import (
    Member,
    export,
    for_inference,
    join,
    load_exported,
    predict_probabilities,
)
from pipeline.training.head import build_head
from tests.bases.damage import flip_bit
from tests.bases.small_base import IMAGE_SIZE, digits, from_cache, small_base, whole

pytestmark = pytest.mark.keras

FAMILIES = [
    "mobilenet",
    "vgg16",
    pytest.param("densenet121", marks=pytest.mark.families),
    pytest.param("inception_v3", marks=pytest.mark.families),
    pytest.param("efficientnet_b0", marks=pytest.mark.families),
    pytest.param("resnet50", marks=pytest.mark.families),
]

# Loads and predicts where any import of this project fails.
STRANGER = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pipeline", "tests"):
            raise ImportError(f"{name} is not here")
sys.meta_path.insert(0, Refuse())
import keras, numpy as np
images = np.load("images.npy")
for name in sys.argv[1:]:
    model = keras.models.load_model(f"{name}.keras", safe_mode=True)
    assert not model.compiled
    np.save(f"{name}.npy", model.predict(images, verbose=0))
"""


def random_images(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def head(hyperparameters):
    """Builds a head whose statistics fit the features, as after training."""

    def build(features, **changes):
        axes = tuple(range(features.ndim - 1))
        wide = features.astype(np.float64)
        return build_head(
            features.shape[1:],
            10,
            hyperparameters(**{"num_layers": 2, "units": 32, **changes}),
            mean=wide.mean(axis=axes).tolist(),
            variance=wide.var(axis=axes).tolist(),
            seed=5,
        )

    return build


def features_of(base, cut, images, image_size):
    from pipeline.bases.graph import truncate

    colours = preprocessing(images.shape[1:], image_size)(images)
    return np.asarray(truncate(base, [cut])(colours, training=False))


def cached(base, cut, images, image_size):
    """The features that a trial would train on: what `embed` keeps of them."""
    return from_cache(features_of(base, cut, images, image_size))


def check_equal(found, expected):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-3
    # A tie within the tolerance may fall either way.
    top_two = np.sort(expected, axis=1)[:, -2:]
    clear = top_two[:, 1] - top_two[:, 0] > 2e-3
    np.testing.assert_array_equal(found.argmax(1)[clear], expected.argmax(1)[clear])


@pytest.mark.parametrize(
    ("image_shape", "cut"), [((28, 28), "block4_add"), ((32, 32, 3), "avg_pool")]
)
def test_exported_answers_are_those_of_the_cached_path(tmp_path, head, image_shape, cut):
    images = random_images(64, *image_shape)
    base = load_base("efficientnet_lite0", image_size=32)
    features = cached(base, cut, images, 32)
    trained = head(features)
    export(
        tmp_path / "study.keras",
        [Member(trained=trained, cut=cut)],
        image_shape=image_shape,
        base=base,
        image_size=32,
    )
    model = load_exported(tmp_path / "study.keras")
    expected = np.asarray(trained(features.astype(np.float32)))
    check_equal(predict_probabilities(model, images), expected)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_kind_of_base_joins(tmp_path, head, name):
    size = BASES[name].min_image_size
    images = random_images(32, 28, 28)
    base = load_base(name, image_size=size, weights="random")
    ends = [cut.name for cut in find_cuts(base) if cut.ends_block]
    # Not in float16: activations of random weights fade with depth below what it resolves.
    features = features_of(base, ends[len(ends) // 2], images, size)
    trained = head(features)
    member = Member(trained=trained, cut=ends[len(ends) // 2])
    model = join([member], image_shape=(28, 28), image_size=size, base=base)
    model.save(tmp_path / "joined.keras")
    found = predict_probabilities(load_exported(tmp_path / "joined.keras"), images)
    np.testing.assert_allclose(found, trained(features), atol=1e-5)


def fine_tuned(base, lower, upper, trained):
    """A segment and a head in one, as a worker keeps them, with other weights than the base's."""
    from pipeline.training.fine_tuned import FineTuned
    from pipeline.training.segments import cut_segment

    model = FineTuned(cut_segment(base, lower, whole(upper)), trained)
    for weight in model.segment.trainable_weights:
        weight.assign(1.01 * weight)
    return model


def test_what_phase_2_trained_answers_on_images_as_on_the_cache(tmp_path, head):
    from pipeline.bases.graph import truncate

    images = random_images(256, 28, 28)
    base = load_base("efficientnet_lite0", image_size=32)
    features = cached(base, "block2_add", images, 32).astype(np.float32)
    model = fine_tuned(
        base, "block2_add", "block4_add", head(cached(base, "block4_add", images, 32))
    )
    export(
        tmp_path / "study.keras",
        [Member(trained=model.flat(), cut="block2_add")],
        image_shape=(28, 28),
        base=base,
        image_size=32,
    )
    loaded = load_exported(tmp_path / "study.keras")
    expected = np.asarray(model(features, training=False))
    found = predict_probabilities(loaded, images)
    check_equal(found, expected)
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.99
    # Below the lower cut the base is as it was, above it as it was trained.
    below, between = truncate(base, ["block2_add"]), model.segment.layers
    for layer in below.layers:
        if layer.get_weights():
            for weight, kept in zip(
                layer.get_weights(), loaded.get_layer(layer.name).get_weights(), strict=True
            ):
                np.testing.assert_array_equal(weight, kept)
    assert {layer.name for layer in between if layer.weights} <= {one.name for one in loaded.layers}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_trained_segment_of_every_kind_of_base_joins(tmp_path, head, name):
    size = BASES[name].min_image_size
    images = random_images(16, 28, 28)
    base = load_base(name, image_size=size, weights="random")
    ends = [cut for cut in find_cuts(base) if cut.ends_block]
    middle = ends[len(ends) // 2]
    below = [cut for cut in ends if cut.num_parameters_below < middle.num_parameters_below]
    lower, upper = below[-1].name, middle.name
    model = fine_tuned(base, lower, upper, head(features_of(base, upper, images, size)))
    member = Member(trained=model.flat(), cut=lower)
    joined = join([member], image_shape=(28, 28), image_size=size, base=base)
    joined.save(tmp_path / "joined.keras")
    found = predict_probabilities(load_exported(tmp_path / "joined.keras"), images)
    expected = model(features_of(base, lower, images, size), training=False)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("pooling", ["average", "global"])
def test_a_cut_that_was_pooled_is_pooled_below_the_head(head, pooling):
    from pipeline.features.pooling import pooling_layer

    images = digits(40)[0]
    base = small_base()
    maps = features_of(base, "block2", images, IMAGE_SIZE)
    features = np.asarray(pooling_layer(pooling, maps.shape[1:])(maps))
    trained = head(features)
    parts = (PooledCut(layer="block2", pooling=pooling),)
    member = Member(trained=trained, cut="block2", parts=parts)
    model = join([member], image_shape=(8, 8), image_size=IMAGE_SIZE, base=base)
    found = predict_probabilities(model, images)
    np.testing.assert_allclose(found, trained(features), atol=1e-5)


def test_several_members_answer_with_the_mean_of_their_probabilities(tmp_path, head):
    """One of them was fine-tuned and starts lower: the base is shared as far as each has it."""
    images = random_images(64, 28, 28)
    base = load_base("efficientnet_lite0", image_size=32)
    upper, lower = (cached(base, cut, images, 32) for cut in ("block4_add", "block2_add"))
    heads = [head(upper, units=units) for units in (16, 32)]
    tuned = fine_tuned(base, "block2_add", "block4_add", head(upper, units=24))
    export(
        tmp_path / "study.keras",
        [
            Member(trained=heads[0], cut="block4_add"),
            Member(trained=tuned.flat(), cut="block2_add"),
            Member(trained=heads[1], cut="block4_add"),
        ],
        image_shape=(28, 28),
        base=base,
        image_size=32,
    )
    model = load_exported(tmp_path / "study.keras")
    votes = [one(upper.astype(np.float32)) for one in heads]
    votes.append(tuned(lower.astype(np.float32), training=False))
    check_equal(predict_probabilities(model, images), np.mean([np.asarray(v) for v in votes], 0))
    # The part below the lower cut is there once.
    names = [layer.name for layer in model.layers]
    assert sum(name.startswith("block1_") for name in names) == sum(
        layer.name.startswith("block1_") for layer in base.layers
    )
    assert names[-1] == SOFT_VOTE


def test_members_on_several_cuts_and_on_one_share_the_base(tmp_path, head):
    """Two seeds of the same cuts side by side, one with another pooling, one single pooled cut."""
    from pipeline.features.joined_cuts import joined, joined_cut

    images = random_images(64, 28, 28)
    base = load_base("efficientnet_lite0", image_size=32)
    feeds = [
        joined_cut(name, find_cuts(base), where="cuts").feed
        for name in ("block2_add:grid4+block4_add", "block4_add:global+block2_add")
    ]
    feeds.append((PooledCut(layer="block4_add", pooling="average"),))
    maps = {name: features_of(base, name, images, 32) for name in ("block2_add", "block4_add")}
    caches = [from_cache(np.asarray(joined(maps, feed, prefix="kept"))) for feed in feeds]
    assert [cache.shape[1:] for cache in caches] == [
        (16 * 24 + 4 * 40,),
        (40 + 4 * 24,),
        (2, 2, 40),
    ]
    uses = [(0, 16), (0, 24), (1, 16), (2, 16)]
    heads = [(head(caches[cache], units=units), cache) for cache, units in uses]
    members = [Member(trained=one, cut="any", parts=feeds[cache]) for one, cache in heads]
    export(tmp_path / "study.keras", members, image_shape=(28, 28), base=base, image_size=32)
    model = load_exported(tmp_path / "study.keras")
    votes = [np.asarray(one(caches[cache])) for one, cache in heads]
    check_equal(predict_probabilities(model, images), np.mean(votes, 0))
    names = [layer.name for layer in model.layers]
    # What two heads are fed with is pooled and joined once, and the base is there once.
    assert [name for name in names if name.endswith("_joined")] == ["cut_0_joined", "cut_1_joined"]
    assert sum(name.startswith("block1_") for name in names) == sum(
        layer.name.startswith("block1_") for layer in base.layers
    )
    assert {type(layer).__module__.partition(".")[0] for layer in model.layers} == {"keras"}


@pytest.mark.parametrize("image_shape", [(8, 6), (8, 6, 3)])
def test_without_a_base_the_head_stands_on_the_pixels(tmp_path, head, image_shape):
    images = random_images(20, *image_shape)
    pixels = images.reshape(20, 8, 6, -1)
    trained = head(pixels, num_layers=1)
    export(
        tmp_path / "scratch.keras",
        [Member(trained=trained, cut="pixels")],
        image_shape=image_shape,
    )
    model = load_exported(tmp_path / "scratch.keras")
    assert model.input.dtype == "uint8"
    expected = np.asarray(trained(pixels.astype(np.float32)))
    np.testing.assert_allclose(predict_probabilities(model, images), expected, atol=1e-6)


@pytest.mark.slow
def test_a_stranger_loads_it_in_safe_mode(tmp_path, head):
    images = random_images(12, 28, 28)
    base = load_base("efficientnet_lite0", image_size=32)
    features = cached(base, "block2_add", images, 32)
    expected = {}
    for activation in ("rrelu", "prelu", "selu"):
        trained = head(
            features,
            activation=activation,
            normalization="before",
            normalize_first=True,
            dropout="all",
            regularizer="elastic_net",
            pooling="average",
        )
        export(
            tmp_path / f"{activation}.keras",
            [Member(trained=trained, cut="block2_add")],
            image_shape=(28, 28),
            base=base,
            image_size=32,
        )
        expected[activation] = np.asarray(trained(features.astype(np.float32)))
    np.save(tmp_path / "images.npy", images)
    subprocess.run(
        [sys.executable, "-I", "-c", STRANGER, *expected],
        check=True,
        cwd=tmp_path,
        capture_output=True,
    )
    for activation, probabilities in expected.items():
        check_equal(np.load(tmp_path / f"{activation}.npy"), probabilities)


@pytest.mark.parametrize("size", [12, 6], ids=["enlarged", "shrunk"])
@pytest.mark.parametrize("is_loaded", [False, True])
def test_called_plainly_it_answers_as_outside_training(tmp_path, head, size, is_loaded):
    """As `model(images)`: without the statistics of the batch, and with nothing dropped."""
    images = random_images(20, 8, 8)
    pixels = np.asarray(preprocessing((8, 8), size, to_rgb=False)(images))
    trained = head(pixels, normalization="before", dropout="last", dropout_rate=0.5)
    model = join([Member(trained=trained)], image_shape=(8, 8), image_size=size)
    if is_loaded:
        model.save(tmp_path / "model.keras")
        model = load_exported(tmp_path / "model.keras")
    plainly = np.asarray(model(images))
    np.testing.assert_allclose(plainly, model.predict(images, verbose=0), atol=1e-6)
    np.testing.assert_allclose(np.asarray(model(images[:1])), plainly[:1], atol=1e-6)


def test_the_file_names_built_in_layers_only(tmp_path, head):
    pixels = random_images(4, 8, 8, 1)
    trained = head(pixels, activation="rrelu", dropout="all")
    export(
        tmp_path / "study.keras",
        [Member(trained=trained, cut="pixels")],
        image_shape=(8, 8),
    )
    with zipfile.ZipFile(tmp_path / "study.keras") as archive:
        config = json.loads(archive.read("config.json"))
    layers = config["config"]["layers"]
    assert {layer["module"] for layer in layers} == {"keras.layers"}
    assert {layer["registered_name"] for layer in layers} == {None}
    assert "LeakyReLU" in {layer["class_name"] for layer in layers}
    assert not config["compile_config"]


def test_the_largest_batch_is_the_one_asked_for(head):
    model = join([Member(trained=head(random_images(4, 8, 8, 1)))], image_shape=(8, 8))
    images = random_images(10, 8, 8)
    one, all_at_once = (predict_probabilities(model, images, batch_size=n) for n in (3, 10))
    np.testing.assert_allclose(one, all_at_once, rtol=1e-5)
    assert one.dtype == np.float32


def test_names_taken_by_the_base_are_changed_in_the_head(head):
    import keras

    inputs = keras.Input((8, 8, 3))
    base = keras.Model(inputs, keras.layers.Dense(4, name="hidden_0")(inputs))
    features = np.zeros((2, 8, 8, 4), np.float32)
    member = Member(trained=head(features), cut="hidden_0")
    model = join([member], image_shape=(8, 8), image_size=8, base=base)
    names = [layer.name for layer in model.layers]
    assert "hidden_0" in names
    assert "hidden_0_2" in names
    assert len(set(names)) == len(names)


def test_joining_copies_and_leaves_the_parts_alone(head):
    trained = head(random_images(4, 8, 8, 1))
    model = join([Member(trained=trained)], image_shape=(8, 8))
    before = [weight.copy() for weight in trained.get_weights()]
    model.set_weights([weight + 1 for weight in model.get_weights()])
    for weight, expected in zip(trained.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)


class TestForInference:
    def test_computes_what_the_model_does_outside_training(self, head):
        features = np.random.default_rng(0).normal(size=(9, 4, 4, 3)).astype(np.float32)
        trained = head(features, activation="rrelu", normalization="after")
        np.testing.assert_allclose(for_inference(trained)(features), trained(features), rtol=1e-5)

    def test_puts_the_mean_slope_in_place_of_the_random_one(self, head):
        layer = for_inference(head(np.zeros((2, 4)), activation="rrelu")).get_layer(
            "hidden_0_activation"
        )
        assert type(layer).__name__ == "LeakyReLU"
        assert layer.negative_slope == pytest.approx(11 / 48)

    def test_drops_nothing(self, head):
        trained = head(np.zeros((2, 4)), dropout="all", regularizer="l2")
        copy = for_inference(trained)
        assert [layer.name for layer in copy.layers] == [layer.name for layer in trained.layers]
        assert copy.get_layer("hidden_0_dropout").rate == (
            trained.get_layer("hidden_0_dropout").rate
        )
        assert copy.get_layer("hidden_0").kernel_regularizer is not None
        assert copy.input.dtype == trained.input.dtype

    def test_keeps_the_weights(self, head):
        from pipeline.bases.model_files import weights_sha256

        trained = head(np.zeros((2, 4)), activation="rrelu", normalization="before")
        assert weights_sha256(for_inference(trained)) == weights_sha256(trained)

    def test_is_not_compiled(self, head):
        trained = head(np.zeros((2, 4)))
        trained.compile("sgd", "mse")
        assert not for_inference(trained).compiled


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(DataIntegrityError, match=r"no model file .*absent\.keras. Run: dvc repro"):
        load_exported(tmp_path / "absent.keras")


def test_a_cut_file_is_refused(tmp_path, head):
    model = join([Member(trained=head(random_images(4, 8, 8, 1)))], image_shape=(8, 8))
    model.save(tmp_path / "whole.keras")
    content = (tmp_path / "whole.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataIntegrityError, match=r"cut\.keras cannot be loaded"):
        load_exported(tmp_path / "cut.keras")


def test_a_file_that_would_run_code_is_refused(tmp_path):
    import keras

    inputs = keras.Input((2,), dtype="uint8")
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x)(inputs))
    model.save(tmp_path / "lambda.keras")
    with pytest.raises(DataIntegrityError, match=r"lambda\.keras cannot be loaded"):
        load_exported(tmp_path / "lambda.keras")


@pytest.mark.parametrize("deflated", [False, True])
def test_a_damaged_file_is_refused(tmp_path, head, deflated):
    head(random_images(4, 8, 8, 1)).save(tmp_path / "damaged.keras")
    flip_bit(tmp_path / "damaged.keras", deflated=deflated)
    with pytest.raises(DataIntegrityError, match=r"damaged\.keras cannot be loaded"):
        load_exported(tmp_path / "damaged.keras")
