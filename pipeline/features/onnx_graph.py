"""A Keras model as a graph of ONNX that ONNX Runtime runs on the CPU.

Whether the graph computes what the model does is for the caller to check: a converter can be wrong
without saying so.
"""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.features.onnx_session import RUNTIME_ERRORS, open_session

# What tf2onnx raises of a layer that it does not know depends on how far it came with it.
UNCONVERTIBLE: Final = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, OSError),
    *(NotImplementedError, RuntimeError, TypeError, ValueError, tf.errors.OpError),
    *RUNTIME_ERRORS,
)


class OnnxGraph:
    """A converted model.

    Called with images, float32 or what the model takes, it returns the model's outputs in order.

    Args:
        model: Functional, with one input.

    Raises:
        UNCONVERTIBLE: If tf2onnx or ONNX Runtime cannot take one of its layers.
    """

    def __init__(self, model: keras.Model) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.onnx"
            export_onnx(model, file)
            self._session = open_session(file)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, images: NDArray[Any]) -> list[NDArray[Any]]:
        return [np.asarray(output) for output in self._session.run(None, {self._input: images})]


def export_onnx(model: keras.Model, file: Path) -> None:
    """Writes a model as a graph of ONNX.

    Args:
        model: Functional, with one input.
        file: Its name ends in `.onnx`.

    Raises:
        UNCONVERTIBLE: If tf2onnx cannot take one of its layers.
    """
    signature = [tf.TensorSpec(model.input.shape, model.input.dtype, name="images")]
    with _quiet(), _statistics_as_constants(model):
        model.export(file, format="onnx", verbose=False, input_signature=signature)


@contextmanager
def _statistics_as_constants(model: keras.Model) -> Iterator[None]:
    """Lets the means and variances of normalization layers become constants of a graph.

    As tensors of more than 128 values they are captured, as TensorFlow calls it, and the converted
    graph has them for further inputs that nobody feeds.
    """
    layers = [*_normalizations(model)]
    kept = [(layer.mean, layer.variance) for layer in layers]
    try:
        for layer, (mean, variance) in zip(layers, kept, strict=True):
            layer.mean, layer.variance = np.asarray(mean), np.asarray(variance)
        yield
    finally:
        for layer, (mean, variance) in zip(layers, kept, strict=True):
            layer.mean, layer.variance = mean, variance


def _normalizations(model: keras.Model) -> Iterator[keras.layers.Normalization]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _normalizations(layer)
        elif isinstance(layer, keras.layers.Normalization) and layer.mean is not None:
            yield layer


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what tf2onnx says of each step to itself; what matters of it comes as an error."""
    converter = logging.getLogger("tf2onnx")
    level = converter.level
    converter.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        converter.setLevel(level)
