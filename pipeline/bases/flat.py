"""Copies a model as one flat graph for inference, whoever built it and in whatever process."""

from collections.abc import Sequence
from typing import Any, Final

import keras
from keras import layers

from pipeline.bases.cuts import BESIDE, POOLED
from pipeline.bases.graph import nodes_in_order, rebuild

# What these compute outside training is their input; their random state would make every file of
# the same base another one. StochasticDepth is ConvNeXt's, which Keras does not export.
_TRAINING_ONLY: Final = (
    layers.AlphaDropout,
    layers.Dropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.SpatialDropout3D,
    layers.RandomBrightness,
    layers.RandomContrast,
    layers.RandomFlip,
    layers.RandomRotation,
    layers.RandomTranslation,
    layers.RandomZoom,
)
_STOCHASTIC_DEPTH: Final = "StochasticDepth"


def flat_copy(model: keras.Model, inputs: Any) -> Any:
    """Applies copies of a model's layers, weights included, to a symbolic tensor.

    Models inside the model are taken apart, so that cut points are found in them too. Dropout,
    noise and random changes of images become `Identity` layers of the same names.

    Args:
        model: Functional, with one input and one output.
        inputs: Takes the place of the model's input.

    Returns:
        The symbolic output.

    Raises:
        ValueError: If a layer or its weights do not fit the shape of these inputs.
    """
    return _applied(model, inputs, _taken_below(inputs))


def functional(model: keras.Model) -> keras.Model | None:
    """Returns a model as a graph of layers, or None if it is none.

    Args:
        model: One as Keras loads it: functional, sequential, or with a `call` of its own. A
            sequential model that never saw an input has no graph yet.
    """
    # Without a graph, a sequential model raises AttributeError for both.
    if not (hasattr(model, "inputs") and hasattr(model, "outputs")):
        return None
    if not (isinstance(model, keras.Sequential) or hasattr(model, "_nodes_by_depth")):
        return None
    # One input may come as a list of one, which a graph without the list does not take.
    ends = (model.inputs, model.outputs)
    inputs, outputs = (end[0] if len(end) == 1 else end for end in ends)
    return keras.Model(inputs, outputs)


class _TakenApart:
    """Stands for a model inside a model: called, it applies copies of that one's layers."""

    def __init__(self, model: keras.Model, given: str, taken: set[str]) -> None:
        self._model = model
        self._given = given
        self._taken = taken

    def __call__(self, inputs: Any, **_: Any) -> Any:
        expected = self._model.inputs[0].dtype
        if expected not in (self._given, inputs.dtype):
            # Where the model casts. A factor of 1, since Keras has no layer for it.
            name = _free_name(f"{self._model.name}_cast", self._taken)
            inputs = layers.Rescaling(1.0, dtype=expected, name=name)(inputs)
        return _applied(self._model, inputs, self._taken)


def _applied(model: keras.Model, inputs: Any, taken: set[str]) -> Any:
    calls: dict[int, list[Any]] = {}
    for node in nodes_in_order(model):
        calls.setdefault(id(node.operation), []).append(node)

    def clone(layer: keras.layers.Layer) -> Any:
        inner = functional(layer) if isinstance(layer, keras.Model) else None
        if inner is not None and _can_be_taken_apart(inner, calls[id(layer)]):
            return _TakenApart(inner, calls[id(layer)][0].input_tensors[0].dtype, taken)
        return _copy(layer, taken)

    return rebuild(model, inputs, clone=clone)


def _can_be_taken_apart(inner: keras.Model, calls: Sequence[Any]) -> bool:
    """Returns whether the layers of a model inside a model do the same without it.

    One that is called twice stays whole, since its weights are shared. So does one that changes its
    input's rank or makes integers of it, or that always runs as in training.
    """
    if not len(calls) == len(inner.inputs) == len(inner.outputs) == 1:
        return False
    given, expected = calls[0].input_tensors[0], inner.inputs[0]
    is_float = keras.backend.is_float_dtype(expected.dtype)
    return (
        len(given.shape) == len(expected.shape)
        and (is_float or given.dtype == expected.dtype)
        and not calls[0].arguments.kwargs.get("training")
    )


def _copy(layer: keras.layers.Layer, taken: set[str]) -> keras.layers.Layer:
    config = {**layer.get_config(), "name": _free_name(layer.name, taken)}
    if isinstance(layer, _TRAINING_ONLY) or type(layer).__name__ == _STOCHASTIC_DEPTH:
        return layers.Identity(name=config["name"])
    return type(layer).from_config(config)


def _free_name(name: str, taken: set[str]) -> str:
    # A cut's name with one of them means more than a layer.
    for sign in (BESIDE, POOLED):
        name = name.replace(sign, "_")
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free)
    return free


def _taken_below(tensor: Any) -> set[str]:
    """Returns the names of all that a symbolic tensor was computed by."""
    operation = tensor._keras_history.operation
    names = {operation.name}
    for node in operation._inbound_nodes:
        for below in node.input_tensors:
            names |= _taken_below(below)
    return names
