"""What layers hold and compute, counted by hand."""

import pytest

from pipeline.features.memory import Activations, activations, batch_size, memory_bytes

pytestmark = pytest.mark.keras


def test_a_value_is_held_until_no_layer_needs_it():
    import keras

    inputs = keras.Input((4,))
    wide = keras.layers.Dense(30)(inputs)
    narrow = keras.layers.Dense(2)(wide)
    model = keras.Model(inputs, keras.layers.Dense(20)(narrow))
    # The wide one with what it is made of; then the input is gone.
    assert activations(model) == Activations(held=34, computed=52)


def test_what_a_later_layer_adds_and_what_is_given_back_stays():
    import keras

    inputs = keras.Input((4,))
    kept = keras.layers.Dense(10)(inputs)
    x = keras.layers.Dense(10)(keras.layers.Dense(7)(kept))
    model = keras.Model(inputs, [keras.layers.Add()([kept, x]), x])
    # The two that are added, their sum, and nothing else.
    assert activations(model) == Activations(held=30, computed=37)


def test_layers_of_a_model_inside_count():
    import keras

    inputs = keras.Input((4, 4, 1))
    inner = keras.Sequential([keras.layers.Conv2D(100, 1), keras.layers.GlobalMaxPooling2D()])
    model = keras.Model(inputs, inner(inputs))
    assert activations(model) == Activations(held=16 + 1700, computed=1700 + 100)


@pytest.mark.parametrize(("held", "expected"), [(1, 64), (10**7, 25), (10**9, 1), (0, 64)])
def test_a_batch_holds_at_most_a_gigabyte_and_at_least_an_image(held, expected):
    assert batch_size(Activations(held=held, computed=0), most=64) == expected


@pytest.mark.parametrize(("image_size", "most"), [(64, 64), (224, 64), (1024, 12)])
def test_a_base_of_any_size_stays_within_a_gigabyte(image_size, most):
    from pipeline.bases.load import load_base

    found = activations(load_base("mobilenet", image_size=image_size, weights="random"))
    size = batch_size(found, most=64)
    assert size <= most
    assert 4 * size * found.held <= 1e9


def test_the_memory_is_that_of_the_container(tmp_path):
    machine = memory_bytes([])
    assert machine > 10**8
    for text, expected in (("max", machine), ("50000000", 50_000_000), (str(2**62), machine)):
        (tmp_path / "memory.max").write_text(f"{text}\n")
        files = [str(tmp_path / name) for name in ("memory.max", "missing")]
        assert memory_bytes(files) == expected
