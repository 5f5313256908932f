"""Several cuts are one array and one input: named, pooled, flattened and joined in order."""

import numpy as np
import pytest

from pipeline.bases.cuts import Cut, PooledCut
from pipeline.errors import ConfigError
from pipeline.features.joined_cuts import (
    cut_name,
    is_layer,
    joined,
    kept_cuts,
)


def cut(name, shape, below):
    return Cut(
        name=name,
        shape=shape,
        num_parameters_below=below,
        num_parameters_above=100 - below,
        ends_block=True,
    )


CUTS = [cut("low", (8, 8, 4), 10), cut("high", (5, 4, 6), 60), cut("top", (6,), 70)]
LIMITS = {"num_images": 10, "max_bytes": 10**6}


def kept(*names, pooling=None, **limits):
    return kept_cuts(CUTS, names, pooling or {}, where="embed.bases.b", **{**LIMITS, **limits})


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (["low"], "low"),
        (["low", "high:global"], "low+high:global"),
        ("low+high:global", "low+high:global"),
        # None of cuts: left for whoever refuses it.
        ([], []),
        (["low", "low"], ["low", "low"]),
        (["low", 3], ["low", 3]),
        (["low", ""], ["low", ""]),
        (3, 3),
    ],
)
def test_a_list_is_its_names_side_by_side(written, name):
    assert cut_name(written) == name


def test_a_name_is_a_layers_if_it_says_no_more():
    assert [is_layer(name) for name in ("low", "low:grid2", "low+high")] == [True, False, False]


def test_a_part_has_the_pooling_that_it_says_or_else_the_default():
    (found,) = kept("low:grid4+high+top")
    assert [(part.name, part.pooling, part.shape) for part in found.parts] == [
        ("low", "grid4", (4, 4, 4)),
        ("high", "grid2", (2, 2, 6)),
        ("top", "none", (6,)),
    ]
    assert found.shape == (64 + 24 + 6,)
    assert (found.num_parameters_below, found.num_parameters_above) == (70, 30)
    assert found.bytes_per_image == 2 * 94


def test_one_with_its_pooling_stays_a_map():
    (found,) = kept("low:grid4")
    assert (found.name, found.shape) == ("low:grid4", (4, 4, 4))
    assert found.feed == (PooledCut(layer="low", pooling="grid4"),)


def test_a_layer_by_itself_and_in_lists_is_pooled_each_as_it_says():
    found = kept("low+high", "low", "low:none+top", pooling={"low": "average"})
    assert [(cut.name, cut.shape) for cut in found] == [
        ("low", (4, 4, 4)),
        ("low+high", (2 * 2 * 4 + 2 * 2 * 6,)),
        ("low:none+top", (8 * 8 * 4 + 6,)),
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("low+hihg", r"b\.cuts: Unknown cut point: 'hihg'\. Did you mean 'high'"),
        ("low+top:grid2", r"b\.cuts: only maps.*top:grid2 of shape \(6,\)\. Write top alone"),
        ("low:gird4", r"b\.cuts: low:gird4: Unknown pooling: 'gird4'\. Did you mean 'grid4'"),
        ("low+", r"b\.cuts: Unknown cut point: ''"),
        ("low:grid4+low:global", r"a list must name different layers\. Received: low:grid4\+low"),
    ],
)
def test_what_cannot_be_joined_is_refused(name, message):
    with pytest.raises(ConfigError, match=message):
        kept(name)


def test_a_list_counts_as_bytes():
    kept("low+high", max_bytes=10 * 2 * 40)
    with pytest.raises(ConfigError, match=r"must fit embed\.max_bytes.*low\+high 800\)"):
        kept("low+high", max_bytes=10 * 2 * 40 - 1)


@pytest.mark.keras
def test_each_is_pooled_flattened_and_beside_the_others():
    rng = np.random.default_rng(0)
    outputs = {
        cut.name: rng.normal(size=(3, *cut.shape)).astype(np.float32) for cut in reversed(CUTS)
    }
    (found,) = kept("low:grid4+top+high:global")
    values = np.asarray(joined(outputs, found.feed, prefix="kept"))
    low = outputs["low"].reshape(3, 4, 2, 4, 2, 4).mean(axis=(2, 4)).reshape(3, -1)
    high = outputs["high"].mean(axis=(1, 2))
    expected = np.concatenate([low, outputs["top"], high], axis=1)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
    assert values.shape[1:] == found.shape
