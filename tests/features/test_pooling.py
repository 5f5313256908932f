"""What is kept of a cut has the shape that its layer gives."""

from typing import get_args

import numpy as np
import pytest

from pipeline.bases.cuts import Cut
from pipeline.errors import ConfigError
from pipeline.features.pooling import Pooling, pooled_cuts, pooled_shape, pooling_layer


def cut(name, shape):
    return Cut(
        name=name, shape=shape, num_parameters_below=1, num_parameters_above=1, ends_block=True
    )


CUTS = [cut("wide", (7, 8, 4)), cut("narrow", (1, 1, 6)), cut("top", (6,))]


@pytest.mark.keras
@pytest.mark.parametrize("pooling", get_args(Pooling))
@pytest.mark.parametrize("shape", [(7, 8, 4), (1, 1, 6), (2, 2, 1), (9, 4, 2), (13, 3, 1)])
def test_the_shape_is_that_of_the_layers_output(pooling, shape):
    values = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    layer = pooling_layer(pooling, shape)
    output = values if layer is None else np.asarray(layer(values))
    assert pooled_shape(shape, pooling) == output.shape[1:]


@pytest.mark.keras
def test_an_odd_edge_is_averaged_over_what_there_is():
    values = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
    output = np.asarray(pooling_layer("average", (3, 3, 1))(values))[0, :, :, 0]
    assert output.tolist() == [[2.0, 3.5], [6.5, 8.0]]


@pytest.mark.keras
@pytest.mark.parametrize(("kind", "cells"), [("grid4", 4), ("grid2", 2)])
@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 7, 8, 9, 14, 16])
def test_a_grid_has_at_most_that_many_cells_a_side_and_each_is_a_mean(kind, cells, side):
    """Equal windows from the first position on, the last of what is left, by NumPy."""
    values = np.random.default_rng(side).normal(size=(2, side, side, 3)).astype(np.float32)
    found = np.asarray(pooling_layer(kind, (side, side, 3))(values))
    assert found.shape[1] == found.shape[2] <= cells
    if side <= cells:
        np.testing.assert_array_equal(found, values)
    step = -(-side // cells)
    if side % step == 0:
        expected = values.reshape(2, side // step, step, side // step, step, 3).mean(axis=(2, 4))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_cuts_get_the_shapes_of_what_is_kept():
    pooled = pooled_cuts(CUTS, {"wide": "average", "narrow": "global"}, where="pooling")
    assert [cut.shape for cut in pooled] == [(4, 4, 4), (6,), (6,)]
    assert [cut.bytes_per_image for cut in pooled] == [128, 12, 12]
    assert pooled[0].ends_block


def test_a_vector_cannot_be_pooled():
    with pytest.raises(ConfigError, match=r"pooling: only maps.*Received: top of shape \(6,\)"):
        pooled_cuts(CUTS, {"top": "global"}, where="pooling")
    assert pooled_cuts(CUTS, {"top": "none"}, where="pooling") == CUTS


def test_an_unknown_cut_is_refused_by_its_key():
    with pytest.raises(ConfigError, match=r"one.pooling: Unknown cut point: 'wid'. Did you mean"):
        pooled_cuts(CUTS, {"wid": "global"}, where="embed.bases.one.pooling")


@pytest.mark.keras
def test_an_unknown_pooling_lists_the_choices():
    with pytest.raises(ConfigError, match=r"'max'\. Choose one of: average, global, grid2, grid4"):
        pooling_layer("max", (4, 4, 1))
