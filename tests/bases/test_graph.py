"""Graphs are cut, split and rebuilt without changing what they compute."""

import numpy as np
import pytest

from tests.bases.networks import GRAPHS, chain, residual, shared

pytestmark = pytest.mark.keras

RANDOM = np.random.default_rng(0)


def images(model):
    return RANDOM.normal(size=(2, *model.input.shape[1:])).astype(np.float32)


def same_config(layer):
    return type(layer).from_config(layer.get_config())


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_each_call_comes_after_what_it_depends_on(name):
    from pipeline.bases.graph import nodes_in_order

    model = GRAPHS[name]()
    known = {id(tensor) for tensor in model.inputs}
    for node in nodes_in_order(model):
        assert {id(tensor) for tensor in node.input_tensors} <= known
        known |= {id(tensor) for tensor in node.output_tensors}
    assert id(model.outputs[0]) in known


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_a_rebuilt_graph_computes_the_same_with_its_own_weights(name):
    import keras

    from pipeline.bases.graph import rebuild

    model = GRAPHS[name]()
    inputs = keras.Input(model.input.shape[1:])
    copy = keras.Model(inputs, rebuild(model, inputs, clone=same_config))
    x = images(model)
    np.testing.assert_allclose(copy(x), model(x), rtol=1e-5, atol=1e-6)
    model.set_weights([weight + 1 for weight in model.get_weights()])
    assert not np.allclose(copy(x), model(x))


def test_a_layer_called_twice_is_copied_once():
    import keras

    from pipeline.bases.graph import rebuild

    model = shared()
    inputs = keras.Input(model.input.shape[1:])
    copy = keras.Model(inputs, rebuild(model, inputs, clone=same_config))
    assert copy.count_params() == model.count_params()


def test_truncated_model_gives_the_outputs_in_the_order_asked_for():
    from pipeline.bases.graph import truncate

    model = residual()
    part = truncate(model, ["sum", "stem"])
    x = images(model)
    total, stem = part(x)
    np.testing.assert_allclose(stem, model.get_layer("stem")(x), rtol=1e-5)
    assert total.shape == (2, 8, 8, 4)
    assert "end" not in [layer.name for layer in part.layers]


def test_what_lies_above_a_layer_joins_to_the_whole():
    import keras

    from pipeline.bases.graph import output_of, truncate

    model = chain()
    above = keras.Model(output_of(model, "b"), model.output)
    x = images(model)
    np.testing.assert_allclose(above(truncate(model, ["b"])(x)), model(x), rtol=1e-6)
    assert "a" not in [layer.name for layer in above.layers]


def test_a_layer_without_one_output_is_not_found():
    from pipeline.bases.graph import output_of

    with pytest.raises(KeyError, match="twice"):
        output_of(shared(), "twice")
    with pytest.raises(KeyError, match="absent"):
        output_of(chain(), "absent")


def test_default_names_are_numbered_from_the_input_on(tmp_path):
    import keras

    from pipeline.bases.graph import number_default_names

    def build():
        inputs = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(2, 3)(inputs)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.Conv2D(2, 3, name="mine")(x)
        return keras.Model(inputs, keras.layers.Conv2D(2, 3)(x))

    build()
    model = build()
    number_default_names(model)
    names = [layer.name for layer in model.layers[1:]]
    assert names == ["conv2d", "batch_normalization", "mine", "conv2d_1"]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = images(model)
    assert [layer.name for layer in loaded.layers[1:]] == names
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-6)
