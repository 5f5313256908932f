"""Cut points: found in any graph, true to their definition, and chosen within a budget."""

import numpy as np
import pytest

from pipeline.bases.cuts import MAX_DEFAULT_CUTS, Cut, default_cuts, find_cuts, named_cuts
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
    kept, _ = default_cuts(cuts, num_images=100, max_bytes=GIGABYTE)
    assert {"block2_add", "block4_add", "dropped", "classes"} < {cut.name for cut in kept}


def test_default_of_lite0_holds_the_four_that_matter(lite0_cuts):
    kept, left_out = default_cuts(lite0_cuts, num_images=60_000, max_bytes=GIGABYTE)
    names = [cut.name for cut in kept]
    assert names == ["block4_add", "block7_add", "block10_add", "block15_bn2", "avg_pool"]
    assert [cut.name for cut in left_out] == ["block0_bn2", "block2_add", "block13_add"]
    assert 60_000 * sum(cut.bytes_per_image for cut in kept) <= GIGABYTE


def test_default_takes_the_last_of_each_resolution_when_there_is_room(lite0_cuts):
    kept, left_out = default_cuts(lite0_cuts, num_images=100, max_bytes=GIGABYTE)
    names = {cut.name for cut in kept}
    assert {"block0_bn2", "block2_add", "block4_add", "block10_add", "block15_bn2"} < names
    assert "avg_pool" in names
    assert len(kept) == MAX_DEFAULT_CUTS
    assert left_out == []


@pytest.mark.parametrize("budget", [0, 10**6, 10**7, 2 * 10**8, 10**9, 10**10])
def test_default_stays_within_its_budget(lite0_cuts, budget):
    kept, left_out = default_cuts(lite0_cuts, num_images=60_000, max_bytes=budget)
    assert 60_000 * sum(cut.bytes_per_image for cut in kept) <= budget
    assert not {cut.name for cut in kept} & {cut.name for cut in left_out}
    assert kept or left_out


def test_the_top_comes_first(lite0_cuts):
    kept, _ = default_cuts(lite0_cuts, num_images=60_000, max_bytes=60_000 * 2560)
    assert [cut.name for cut in kept] == ["avg_pool"]


def make_cut(name, *shape, ends_block=True, is_averaged=False):
    return Cut(
        is_averaged=is_averaged,
        name=name,
        shape=shape,
        num_parameters_below=1,
        num_parameters_above=1,
        ends_block=ends_block,
    )


def test_default_prefers_the_block_farthest_from_those_taken():
    cuts = [make_cut("wide", 4, 4, 8), *(make_cut(f"b{i}", 2, 2, 8) for i in range(5))]
    cuts.append(make_cut("top", 8))
    # Taken first: top, b4 and wide; b1 and b2 are two blocks from them, b0 and b3 one.
    kept, _ = default_cuts(cuts, num_images=1, max_bytes=2 * (8 + 32 + 128 + 32))
    assert [cut.name for cut in kept] == ["wide", "b2", "b4", "top"]


def choose_names(cuts, num_values):
    kept, left_out = default_cuts(cuts, num_images=1, max_bytes=2 * num_values)
    return [[cut.name for cut in chosen] for chosen in (kept, left_out)]


def test_where_the_last_end_of_a_resolution_is_too_large_the_next_one_that_fits_is_taken():
    """As in a dense network, whose maps widen within a resolution."""
    dense = [make_cut(f"d{i}", 2, 2, 8 * (i + 1)) for i in range(4)]
    cuts = [*dense, make_cut("relu", 2, 2, 32, is_averaged=True), make_cut("top", 32)]
    assert choose_names(cuts, 32 + 2 * 2 * 16) == [["d1", "top"], ["d3", "relu"]]


def test_the_map_that_the_top_averages_is_better_than_no_map_of_its_resolution():
    """As in a VGG, which ends with pooling."""
    cuts = [make_cut("block4", 4, 4, 8), make_cut("block5", 4, 4, 8)]
    cuts += [make_cut("pool", 2, 2, 8, is_averaged=True), make_cut("top", 8)]
    assert choose_names(cuts, 8 + 2 * 2 * 8) == [["pool", "top"], ["block5"]]


def test_ends_below_the_last_of_the_lowest_resolution_are_taken_too():
    cuts = [*(make_cut(f"b{i}", 2, 2, 8) for i in range(5)), make_cut("top", 8)]
    assert choose_names(cuts, 8 + 3 * 32) == [["b0", "b2", "b4", "top"], ["b3"]]


@pytest.mark.parametrize(
    ("name", "image_size"),
    [("vgg16", 64), ("vgg16", 96), pytest.param("densenet121", 96, marks=pytest.mark.families)],
)
def test_default_of_a_large_family_is_more_than_its_top(name, image_size):
    cuts = find_cuts(load_base(name, image_size=image_size, weights="random"))
    kept, _ = default_cuts(cuts, num_images=60_000, max_bytes=GIGABYTE)
    assert len(kept) >= 2


def test_a_model_with_one_cut_point_keeps_it():
    kept, left_out = default_cuts([make_cut("only", 8)], num_images=1, max_bytes=16)
    assert [cut.name for cut in kept] == ["only"]
    assert left_out == []


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
