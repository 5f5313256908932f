"""Walks, cuts and rebuilds the graph of a functional Keras model.

Keras has no public way to run a graph with other layers or from one node to another; what is used
of its private names (`_nodes_by_depth`, `_run_through_graph`) is used here only.
"""

import re
import tempfile
from collections.abc import Callable
from typing import Any, Final

import keras
import numpy as np

# Where Keras puts an underscore when it makes a layer's name of its class: Conv2D is conv2d.
_WORD_STARTS: Final = re.compile(r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])")


def nodes_in_order(model: keras.Model) -> list[Any]:
    """Returns the calls of layers that the graph consists of, each after those it depends on.

    Each has `operation` (the layer), `input_tensors` and `output_tensors`; the model's inputs are
    left out.
    """
    by_depth = model._nodes_by_depth
    nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    return [node for node in nodes if not node.is_input]


def output_of(model: keras.Model, layer_name: str) -> Any:
    """Returns the output of a layer that the graph calls once.

    Raises:
        KeyError: If there is no such layer, or it is called more than once.
    """
    found = [node for node in nodes_in_order(model) if node.operation.name == layer_name]
    if len(found) != 1:
        raise KeyError(layer_name)
    return found[0].output_tensors[0]


def truncate(model: keras.Model, layer_names: list[str]) -> keras.Model:
    """Returns the part of the model that computes some layers, in the order of their names.

    Called, it returns a list, or the tensor itself where there is one name. The layers are the
    model's own; what lies above the last of them is not computed.
    """
    return keras.Model(model.input, [output_of(model, name) for name in layer_names])


def rebuild(
    model: keras.Model, inputs: Any, *, clone: Callable[[keras.layers.Layer], keras.layers.Layer]
) -> Any:
    """Applies copies of a model's layers, with all that they learned, to a symbolic tensor.

    Args:
        model: A functional model with one input.
        inputs: Takes the place of the model's input; of the same shape.
        clone: Returns what stands for a layer. One of the same class gets the layer's state, any
            other one is left as it is.

    Returns:
        The symbolic output; a list where the model gives several.

    Raises:
        ValueError: If a layer or its weights do not fit the shape of these inputs.
    """
    clones: dict[int, tuple[keras.layers.Layer, keras.layers.Layer]] = {}

    def cloned(layer: keras.layers.Layer) -> keras.layers.Layer:
        if id(layer) not in clones:
            clones[id(layer)] = (layer, clone(layer))
        return clones[id(layer)][1]

    outputs = model._run_through_graph(inputs, operation_fn=cloned)
    for original, copy in clones.values():
        if type(copy) is type(original) and isinstance(original, keras.layers.Layer):
            copy_state(original, copy)
    flat = keras.tree.flatten(outputs)
    return flat[0] if len(flat) == 1 else flat


def copy_state(original: keras.layers.Layer, copy: keras.layers.Layer) -> None:
    """Gives a copy of a layer all that the layer has learned, and lets it derive what follows.

    It is what Keras does when it saves and loads a model: weights, states of random generators and
    tables, and then what a layer makes of them, such as the constants of `Normalization`. With
    `set_weights` the copy would keep what it derived from its initial weights.

    Args:
        original: A layer, wrapper or model that was built.
        copy: Made of its configuration and built, maybe for inputs of another size.

    Raises:
        ValueError: If the two are not of one structure, or a state does not fit.
    """
    if type(copy) is not type(original):
        raise ValueError(
            f"A copy of {original.name} must be a {type(original).__name__}. Received: "
            f"{copy.name}, a {type(copy).__name__}."
        )
    state: dict[str, Any] = {}
    original.save_own_variables(state)
    copy.load_own_variables({name: np.asarray(value) for name, value in state.items()})
    for seed, copied_seed in zip(original._seed_generators, copy._seed_generators, strict=True):
        copied_seed.state.assign(seed.state)
    if hasattr(original, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            original.save_assets(folder)
            copy.load_assets(folder)
    # Not by the flat list of all layers: one that two wrappers share is two in the copy.
    for inner, copied_inner in zip(original._layers, copy._layers, strict=True):
        copy_state(inner, copied_inner)


def number_default_names(model: keras.Model) -> None:
    """Numbers the layers and operations that Keras named by itself from the model's input on.

    Keras counts all that the process has made so far, so the same network gets other names
    in another process; a cut point must be found by its name in both.
    """
    counts: dict[str, int] = {}
    for layer in model.operations:
        default = _WORD_STARTS.sub("_", type(layer).__name__).lower()
        if re.fullmatch(rf"{default}(_\d+)?", layer.name):
            number = counts.get(default, 0)
            counts[default] = number + 1
            layer.name = f"{default}_{number}" if number else default
