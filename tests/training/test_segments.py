"""A segment computes what the base computes between two cuts, and only what may be trained is."""

import itertools

import numpy as np
import pytest

from pipeline.bases.cuts import PooledCut
from pipeline.errors import InfeasibleTrialError
from pipeline.training.segments import cut_segment, nearest_start, tunable_layers
from tests.bases.networks import GRAPHS
from tests.bases.small_base import BATCH_NORMS, digits, small_base, whole

pytestmark = pytest.mark.keras


@pytest.fixture
def base():
    return small_base()


def output(model, cut, x):
    from pipeline.bases.graph import truncate

    return np.asarray(truncate(model, [cut])(x, training=False))


def images():
    gray = digits(20)[0].astype(np.float32)
    return np.repeat(gray[..., None], 3, axis=-1)


def trainable(segment):
    return [layer.name for layer in segment.layers if layer.trainable_weights]


@pytest.mark.parametrize(
    ("lower", "upper"), [("stem", "block1"), ("stem", "top"), ("block1", "block3")]
)
def test_it_takes_the_lower_cut_to_the_upper_one(base, lower, upper):
    segment = cut_segment(base, lower, whole(upper))
    found = segment(output(base, lower, images()), training=False)
    np.testing.assert_array_equal(found, output(base, upper, images()))


@pytest.mark.parametrize("graph", ["chain", "residual", "dense", "inception"])
def test_it_does_so_in_every_kind_of_graph(graph):
    from pipeline.bases.cuts import find_cuts

    model, x = GRAPHS[graph](), images()
    names = [cut.name for cut in find_cuts(model)]
    for lower, upper in itertools.pairwise(names):
        segment = cut_segment_or_none(model, lower, upper)
        if segment is not None:
            found = segment(output(model, lower, x), training=False)
            np.testing.assert_allclose(found, output(model, upper, x), atol=1e-5)


def cut_segment_or_none(model, lower, upper):
    try:
        return cut_segment(model, lower, whole(upper))
    except InfeasibleTrialError:  # Between some neighbours nothing has weights.
        return None


def test_pooled_when_it_was_embedded_it_is_pooled_again(base):
    segment = cut_segment(base, "stem", [PooledCut(layer="block3", pooling="average")])
    assert segment.output.shape[1:] == (2, 2, 16)
    maps = output(base, "block3", images())
    expected = maps.reshape(-1, 2, 2, 2, 2, 16).mean(axis=(2, 4))
    np.testing.assert_allclose(
        segment(output(base, "stem", images()), training=False), expected, rtol=1e-5
    )


class TestWhatIsTrained:
    def test_all_layers_with_weights_but_batch_normalization(self, base):
        assert trainable(cut_segment(base, "stem", whole("block3"))) == [
            "conv1",
            "conv2a",
            "conv2b",
            "conv3",
        ]

    @pytest.mark.parametrize(
        ("num_layers", "expected"), [(1, ["conv2b"]), (2, ["conv2a", "conv2b"])]
    )
    def test_or_literally_the_last_ones(self, base, num_layers, expected):
        assert (
            trainable(cut_segment(base, "stem", whole("block2"), num_layers=num_layers)) == expected
        )

    def test_the_last_ones_are_those_of_the_graph_not_of_the_list_of_layers(self):
        # Keras lists layers by depth, where two branches are side by side.
        names = [layer.name for layer in tunable_layers(GRAPHS["inception"]())]
        assert names[0] == "stem"
        assert names.index("left_0") < names.index("left_1")

    def test_more_than_there_are_is_refused_by_name(self, base):
        with pytest.raises(
            InfeasibleTrialError, match=r"2 layers .* between stem and block1: there are 1"
        ):
            cut_segment(base, "stem", whole("block1"), num_layers=2)

    def test_nothing_with_weights_between_two_cuts_is_refused(self, base):
        with pytest.raises(InfeasibleTrialError, match="there are 0"):
            cut_segment(base, "block3", whole("top"))

    def test_the_base_itself_is_left_alone(self, base):
        before = base.get_weights()
        segment = cut_segment(base, "stem", whole("block3"))
        segment.set_weights([weight + 1 for weight in segment.get_weights()])
        for weight, expected in zip(base.get_weights(), before, strict=True):
            np.testing.assert_array_equal(weight, expected)
        assert not base.trainable_weights

    def test_batch_normalization_inside_a_nested_model_stays_frozen(self):
        import keras

        inner_input = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(4, 3, name="inner_conv")(inner_input)
        inner = keras.Model(inner_input, keras.layers.BatchNormalization()(x), name="inner")
        inputs = keras.Input((8, 8, 3))
        x = keras.layers.ReLU(name="low")(inputs)
        model = keras.Model(inputs, keras.layers.ReLU(name="end")(inner(x)))
        segment = cut_segment(model, "low", whole("end"))
        assert len(segment.trainable_weights) == 2
        assert [len(w.shape) for w in segment.trainable_weights] == [4, 1]


def test_batch_normalization_uses_its_own_statistics_also_while_training(base):
    segment = cut_segment(base, "stem", whole("block1"))
    x = output(base, "stem", images())
    np.testing.assert_array_equal(segment(x, training=True), segment(x, training=False))
    assert not any(segment.get_layer(n).trainable for n in BATCH_NORMS if n in ("bn1",))


class TestNearestStart:
    LOWER = ("block2", "block1", "stem")

    @pytest.mark.parametrize(
        ("upper", "num_layers", "start", "expected"),
        [
            ("block3", 1, "block2", ["conv3"]),
            ("block3", 2, "block1", ["conv2b", "conv3"]),
            # Between the two highest there is no layer to train.
            ("top", 1, "block2", ["conv3"]),
            ("top", 2, "block1", ["conv2b", "conv3"]),
        ],
    )
    def test_layers_are_counted_down_through_as_many_cuts_as_it_takes(
        self, base, upper, num_layers, start, expected
    ):
        lower = self.LOWER if upper == "block3" else ("block3", *self.LOWER)
        assert nearest_start(base, lower, whole(upper), num_layers=num_layers) == start
        assert trainable(cut_segment(base, start, whole(upper), num_layers=num_layers)) == expected

    def test_of_whole_segments_one_layer_is_enough(self, base):
        assert nearest_start(base, ["block1"], whole("block3")) == "block1"

    @pytest.mark.parametrize(
        ("lower", "upper", "num_layers", "message"),
        [
            (
                ["stem"],
                "block1",
                2,
                r"2 layers .* below block1: there are 1 above stem, the lowest",
            ),
            (
                ["block3"],
                "top",
                None,
                r"1 layer .* below top: there are 0 above block3, the lowest",
            ),
        ],
    )
    def test_too_few_above_the_lowest_is_refused(self, base, lower, upper, num_layers, message):
        with pytest.raises(InfeasibleTrialError, match=message):
            nearest_start(base, lower, whole(upper), num_layers=num_layers)


class TestSideBySide:
    FEED = (
        PooledCut(layer="block3", pooling="grid2"),
        PooledCut(layer="block1", pooling="global"),
        PooledCut(layer="top"),
    )

    def expected(self, base):
        high, low, top = (output(base, name, images()) for name in ("block3", "block1", "top"))
        high = high.reshape(-1, 2, 2, 2, 2, 16).mean(axis=(2, 4)).reshape(-1, 64)
        return np.concatenate([high, low.mean(axis=(1, 2)), top], axis=1)

    @pytest.mark.parametrize("lower", ["stem", "block1"])
    def test_from_below_all_or_from_the_lowest_it_gives_them_all(self, base, lower):
        segment = cut_segment(base, lower, self.FEED)
        assert segment.output.shape[1:] == (64 + 12 + 16,)
        found = segment(output(base, lower, images()), training=False)
        np.testing.assert_allclose(found, self.expected(base), rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize(
        ("lower", "num_layers", "expected"),
        [
            ("stem", None, ["conv1", "conv2a", "conv2b", "conv3"]),
            ("block1", None, ["conv2a", "conv2b", "conv3"]),
            ("block1", 1, ["conv3"]),
            ("stem", 2, ["conv2b", "conv3"]),
        ],
    )
    def test_what_is_trained_is_counted_from_the_highest(self, base, lower, num_layers, expected):
        assert trainable(cut_segment(base, lower, self.FEED, num_layers=num_layers)) == expected

    def test_the_nearest_start_counts_the_layers_below_the_highest(self, base):
        assert nearest_start(base, ["block1", "stem"], self.FEED, num_layers=3) == "block1"
        assert nearest_start(base, ["block1", "stem"], self.FEED, num_layers=4) == "stem"
        message = r"5 layers .* below block3\+block1\+top: there are 4 above stem"
        with pytest.raises(InfeasibleTrialError, match=message):
            nearest_start(base, ["block1", "stem"], self.FEED, num_layers=5)
