"""Walks, cuts and rebuilds the graph of a functional Keras model.

Keras has no public way to run a graph with other layers or from one node to another; what is used
of its private names (`_nodes_by_depth`, `_run_through_graph`) is used here only.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import keras

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


def split_at(model: keras.Model, layer_name: str) -> tuple[keras.Model, keras.Model]:
    """Returns the model up to a cut point and the model above it; both use its layers.

    Args:
        model: Has one input and one output.
        layer_name: A cut point of the model, not its top: see `models.cuts.find_cuts`.
    """
    tensor = output_of(model, layer_name)
    return keras.Model(model.input, tensor), keras.Model(tensor, model.output)


def rebuild(
    model: keras.Model, inputs: Any, *, clone: Callable[[keras.layers.Layer], keras.layers.Layer]
) -> Any:
    """Applies copies of a model's layers, weights included, to a symbolic tensor.

    Args:
        model: Has one input.
        inputs: Takes the place of the model's input; of the same shape.
        clone: Returns the layer that stands for a layer, without weights.

    Returns:
        The symbolic output; a list where the model gives several.
    """
    clones: dict[int, tuple[keras.layers.Layer, keras.layers.Layer]] = {}

    def cloned(layer: keras.layers.Layer) -> keras.layers.Layer:
        if id(layer) not in clones:
            clones[id(layer)] = (layer, clone(layer))
        return clones[id(layer)][1]

    outputs = model._run_through_graph(inputs, operation_fn=cloned)
    for original, copy in clones.values():
        if getattr(original, "weights", None):
            copy.set_weights(original.get_weights())
    flat = keras.tree.flatten(outputs)
    return flat[0] if len(flat) == 1 else flat


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
