"""Cut points: found in any graph, true to their definition, and chosen within a budget."""

import numpy as np
import pytest

from pipeline.bases.cuts import Cut, default_cuts, find_cuts, named_cuts
from pipeline.bases.load import load_base
from pipeline.bases.table import BASES
from pipeline.errors import ConfigError
from tests.bases.networks import GRAPHS, chain

pytestmark = pytest.mark.keras

GIGABYTE = 10**9
FAMILIES = ("mobilenet_v3_small", "densenet121", "inception_v3")


@pytest.fixture(scope="module")
def lite0():
    return load_base("efficientnet_lite0", image_size=64, weights="random")


@pytest.fixture(scope="module")
def lite0_cuts(lite0):
    return find_cuts(lite0)


def without(model, removed):
    """Whether the output can be reached from the input when one layer's calls are taken out."""
    from pipeline.bases.graph import nodes_in_order

    reached = {id(tensor) for tensor in model.inputs}
    for node in nodes_in_order(model):
        if node.operation.name != removed and any(id(t) in reached for t in node.input_tensors):
            reached |= {id(tensor) for tensor in node.output_tensors}
    return id(model.outputs[0]) in reached


def check_against_removal(model):
    """A layer is a cut point exactly if no path leads around it."""
    found = {cut.name for cut in find_cuts(model)}
    layers = [layer.name for layer in model.layers[1:]]
    assert found == {name for name in layers if not without(model, name)}


@pytest.mark.parametrize("name", sorted(set(GRAPHS) - {"shared"}))
def test_cut_points_are_what_no_path_leads_around(name):
    check_against_removal(GRAPHS[name]())


@pytest.mark.parametrize("name", FAMILIES)
def test_cut_points_of_published_networks_are_what_no_path_leads_around(name):
    check_against_removal(load_base(name, image_size=BASES[name].min_image_size, weights="random"))


@pytest.mark.parametrize(
    ("graph", "names"),
    [
        ("chain", ["a", "b", "c"]),
        ("residual", ["stem", "sum", "end"]),
        ("dense", ["stem", "joined_0", "joined_1"]),
        ("inception", ["stem", "mixed", "top"]),
        ("long_skip", ["stem", "end"]),
        ("shared", ["between", "end"]),
    ],
)
def test_cut_points_come_in_order_from_the_input(graph, names):
    assert [cut.name for cut in find_cuts(GRAPHS[graph]())] == names


def test_a_cut_point_knows_its_shape_and_the_parameters_on_both_sides():
    a, _, c = find_cuts(chain())
    assert (a.shape, a.num_parameters_below, a.num_parameters_above) == ((8, 8, 4), 112, 185)
    assert (c.num_parameters_below, c.num_parameters_above) == (297, 0)
    assert a.bytes_per_image == 8 * 8 * 4 * 2


@pytest.mark.parametrize(
    "name",
    [
        "efficientnet_lite0",
        "mobilenet_v3_small",
        pytest.param("densenet121", marks=pytest.mark.families),
        pytest.param("inception_v3", marks=pytest.mark.families),
        pytest.param("xception", marks=pytest.mark.families),
        pytest.param("vgg16", marks=pytest.mark.families),
    ],
)
def test_cutting_and_joining_again_changes_nothing(name):
    import keras

    from pipeline.bases.graph import output_of, truncate

    base = load_base(name, image_size=BASES[name].min_image_size, weights="random")
    x = np.random.default_rng(0).uniform(0, 255, (2, *base.input.shape[1:])).astype(np.float32)
    expected = np.asarray(base(x))
    ends = [cut.name for cut in find_cuts(base)[:-1] if cut.ends_block]
    for cut, features in zip(ends, truncate(base, ends)(x), strict=True):
        above = keras.Model(output_of(base, cut), base.output)
        scale = max(np.abs(expected).max(), 1e-6)
        np.testing.assert_allclose(above(features), expected, rtol=1e-5, atol=1e-5 * scale)


def test_blocks_of_lite0_end_where_they_should(lite0_cuts):
    ends = [cut.name for cut in lite0_cuts if cut.ends_block]
    added = {2, 4, 6, 7, 9, 10, 12, 13, 14}
    blocks = [f"block{i}_{'add' if i in added else 'bn2'}" for i in range(16)]
    assert ends == [*blocks, "head_relu", "avg_pool"]


def test_scaled_colours_end_no_block():
    base = load_base("efficientnet_b0", image_size=32, weights="random")
    assert next(cut.name for cut in find_cuts(base) if cut.ends_block) == "block1a_project_bn"


def test_the_blocks_below_a_classifier_end_though_its_classes_are_few():
    import keras

    base = load_base("efficientnet_lite0", image_size=64, weights="random")
    x = keras.layers.Flatten(name="flat")(base.get_layer("block4_add").output)
    x = keras.layers.Dense(32, name="hidden")(x)
    x = keras.layers.Dense(3, name="classes")(keras.layers.Dropout(0.1, name="dropped")(x))
    cuts = find_cuts(keras.Model(base.input, x))
    ends = [cut.name for cut in cuts if cut.ends_block]
    assert ends[-4:] == ["block4_add", "flat", "dropped", "classes"]
    found = {cut.name for cut in default_cuts(cuts)}
    assert {"block2_add", "block4_add", "dropped", "classes"} < found


def test_the_default_is_the_top_the_last_end_of_each_resolution_and_blocks_between(lite0_cuts):
    assert [cut.name for cut in default_cuts(lite0_cuts)] == [
        *("block0_bn2", "block2_add", "block4_add", "block7_add", "block10_add"),
        *("block13_add", "block15_bn2", "avg_pool"),
    ]


def make_cut(name, *shape, is_averaged=False):
    return Cut(
        is_averaged=is_averaged,
        name=name,
        shape=shape,
        num_parameters_below=1,
        num_parameters_above=1,
        ends_block=True,
    )


def default_names(cuts):
    return [cut.name for cut in default_cuts(cuts)]


def test_the_default_prefers_the_block_farthest_from_those_taken(monkeypatch):
    monkeypatch.setattr("pipeline.bases.cuts.MAX_DEFAULT_CUTS", 4)
    cuts = [make_cut("wide", 4, 4, 8), *(make_cut(f"b{i}", 2, 2, 8) for i in range(5))]
    cuts.append(make_cut("top", 8))
    # Taken first: top, b4 and wide; b1 and b2 are two blocks from them, b0 and b3 one.
    assert default_names(cuts) == ["wide", "b2", "b4", "top"]


def test_the_map_that_the_top_averages_comes_last(monkeypatch):
    """As in a VGG, which ends with pooling."""
    monkeypatch.setattr("pipeline.bases.cuts.MAX_DEFAULT_CUTS", 3)
    cuts = [make_cut("block4", 4, 4, 8), make_cut("block5", 2, 2, 8)]
    cuts += [make_cut("pool", 2, 2, 8, is_averaged=True), make_cut("top", 8)]
    assert default_names(cuts) == ["block4", "block5", "top"]


@pytest.mark.parametrize("names", [["only"], ["low", "only"]])
def test_a_model_with_few_cut_points_keeps_them(names):
    assert default_names([make_cut(name, 8) for name in names]) == names


def choose(cuts, *names, max_bytes=GIGABYTE):
    limits = {"num_images": 60_000, "max_bytes": max_bytes}
    return named_cuts(cuts, names, where="embed.bases.lite0.cuts", **limits)


def test_named_cuts_come_in_the_networks_order(lite0_cuts):
    chosen = choose(lite0_cuts, "avg_pool", "block3_bn2")
    assert [cut.name for cut in chosen] == ["block3_bn2", "avg_pool"]


def test_an_unknown_cut_names_the_nearest(lite0_cuts):
    with pytest.raises(ConfigError, match=r"Did you mean 'block4_add'.*Ends of blocks are: block0"):
        choose(lite0_cuts, "block4_ad")


def test_a_layer_that_is_no_cut_point_is_unknown(lite0_cuts):
    with pytest.raises(ConfigError, match="Unknown cut point: 'block4_bn2'"):
        choose(lite0_cuts, "block4_bn2")


def test_named_cuts_beyond_the_budget_are_refused_with_the_numbers(lite0_cuts):
    with pytest.raises(
        ConfigError,
        match=r"embed\.bases\.lite0\.cuts: .*max_bytes=1,000,000,000. "
        r"Received: 1,044,480,000 bytes \(block2_add 737,280,000, block4_add 307,200,000\)",
    ):
        choose(lite0_cuts, "block2_add", "block4_add")


def test_a_model_of_two_inputs_is_no_base():
    import keras

    inputs = [keras.Input((4,)), keras.Input((4,))]
    model = keras.Model(inputs, keras.layers.Add()(inputs))
    with pytest.raises(ConfigError, match="Received: 2 inputs and 1 outputs"):
        find_cuts(model)
