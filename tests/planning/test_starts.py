"""Phase 2 starts far enough below a head that a trial has the layers that it may ask for."""

import pytest

from pipeline.bases.cuts import Cut
from pipeline.planning.starts import COUNTED_LAYERS, num_operations, start_below
from pipeline.training.hyperparameters import HYPERPARAMETERS

# Layers with weights up to the cuts of a base whose last block is followed by one layer alone.
NUM_LAYERS = {"block1": 3, "block2": 6, "block3": 8, "top": 9}
CUTS = [
    Cut(name=name, shape=(4,), num_parameters_below=count, num_parameters_above=9 - count)
    for name, count in NUM_LAYERS.items()
]


@pytest.mark.parametrize(
    ("head", "start"), [("top", "block2"), ("block3", "block2"), ("block2", "block1")]
)
def test_phase_2_starts_from_the_nearest_cut_with_enough_layers_above(head, start):
    found = start_below(CUTS, list(NUM_LAYERS).index(head), num_layers=NUM_LAYERS)
    assert found.name == start


def test_below_the_lowest_cut_there_is_none():
    assert start_below(CUTS, 0, num_layers=NUM_LAYERS) is None


def test_they_are_the_most_that_a_trial_can_ask_for():
    assert HYPERPARAMETERS["unfreeze_layers"].high == COUNTED_LAYERS


@pytest.mark.keras
def test_a_weight_counts_at_every_position():
    import keras

    images = keras.Input((8, 8, 3))
    maps = keras.layers.ReLU()(keras.layers.Conv2D(4, 3, strides=2, padding="same")(images))
    top = keras.layers.Dense(5)(keras.layers.GlobalAveragePooling2D()(maps))
    network = keras.Model(images, top)
    assert num_operations(network) == 4 * 4 * (3 * 3 * 3 * 4 + 4) + (4 * 5 + 5)
