"""A model as other runtimes take it: LiteRT for phones and small devices, ONNX for the rest."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.bases.model_files import one_line
from pipeline.processes import num_cores

if TYPE_CHECKING:
    import keras

LARGEST_LOG_DIFFERENCE: Final = 0.01
"""Sums in another order give 1e-4; a wrong padding or normalization 0.1 and more."""
LEAST_PROBABILITY: Final = 1e-6

logger = logging.getLogger(__name__)

Format = Literal["litert", "onnx"]
SUFFIXES: Final[dict[Format, str]] = {"litert": ".tflite", "onnx": ".onnx"}
Answer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Raw images, shape (n, ...), to probabilities, shape (n, num_classes)."""


def write_portable(model: keras.Model, path: Path, to: Format) -> None:
    """Writes a model for another runtime.

    Args:
        model: Raw images to probabilities, made of Keras' own layers.
        path: Where the file goes; its name ends in the format's suffix.
        to: The format.

    Raises:
        features.onnx_graph.UNCONVERTIBLE: If a layer has no counterpart there.
    """
    from pipeline.features.onnx_graph import export_onnx

    plain = _with_plain_resizing(model)
    if to == "onnx":
        export_onnx(plain, path)
    else:
        from tensorflow.lite.python.convert_phase import ConverterError

        try:
            plain.export(path, format="litert", verbose=False)
        except ConverterError as error:
            raise ValueError(one_line(error)) from None


def onnx_copy(model: keras.Model, images: NDArray[np.uint8]) -> bytes | None:
    """Returns a model as a file of ONNX that answers as it does; None where there is none.

    It serves where TensorFlow's start, 5 to 10 s of a core, would cost more than the answer. Why
    there is none is logged.

    Args:
        model: As for `write_portable`.
        images: As it takes them, at least one: on these the two are compared. An image that the
            model is sure of hides a difference, so that unsure ones should be among them.
    """
    from pipeline.features.memory import conversion_problem
    from pipeline.features.onnx_graph import UNCONVERTIBLE

    if problem := conversion_problem(model):
        logger.info("no copy of the model as ONNX: %s", problem)
        return None
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        try:
            write_portable(model, file, "onnx")
            found = open_portable(file, "onnx")(images)
        except UNCONVERTIBLE as error:
            logger.info("no copy of the model as ONNX: %s", one_line(error))
            return None
        difference = _log_difference(found, np.asarray(model(images, training=False)))
        if not difference <= LARGEST_LOG_DIFFERENCE:
            logger.info(
                "no copy of the model as ONNX: a logarithm of a probability is %.1e off", difference
            )
            return None
        return file.read_bytes()


def _log_difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Returns by how much the logarithm of a probability differs at most; of tiny ones it may."""
    if found.shape != expected.shape:
        return math.inf
    found, expected = (np.maximum(one, LEAST_PROBABILITY) for one in (found, expected))
    return float(np.abs(np.log(found) - np.log(expected)).max())


def borrowed_operations(path: Path) -> list[str]:
    """Returns the operations of a LiteRT file that only TensorFlow's own runtime has.

    Keras lets the converter keep them; they run where "Select TF ops" are linked in.
    """
    return sorted(name for name in _LiteRt(path).operations if name.startswith("Flex"))


def open_portable(path: Path, to: Format) -> Answer:
    """Returns what answers through a file that `write_portable` wrote, on this machine's CPU."""
    if to == "onnx":
        from pipeline.features.onnx_session import OnnxFile

        return OnnxFile(path)
    return _LiteRt(path)


class _LiteRt:
    def __init__(self, path: Path) -> None:
        import tensorflow as tf

        from pipeline.training.devices import without_startup_lines

        with warnings.catch_warnings(), without_startup_lines():
            # TensorFlow 2.21 says that its next releases leave this to the package ai-edge-litert.
            warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated")
            self._interpreter = tf.lite.Interpreter(str(path), num_threads=num_cores())
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._num_images = 0

    @property
    def operations(self) -> set[str]:
        return {one["op_name"] for one in self._interpreter._get_ops_details()}

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(images) != self._num_images:
            self._interpreter.resize_tensor_input(self._input, images.shape)
            self._interpreter.allocate_tensors()
            self._num_images = len(images)
        self._interpreter.set_tensor(self._input, images)
        self._interpreter.invoke()
        answers: NDArray[np.float32] = self._interpreter.get_tensor(self._output)
        return answers


def _with_plain_resizing(model: keras.Model) -> keras.Model:
    """Returns a model whose averaging resizing is two matrix products, which every runtime has.

    Resizing is linear in the pixels, and in height and width by itself: its matrices are what it
    makes of the rows of an identity.
    """
    import keras

    layers = keras.layers

    def clone(layer: Any) -> Any:
        if isinstance(layer, layers.Resizing) and layer.antialias:
            return _as_products(layer)
        return layer

    if not any(isinstance(one, layers.Resizing) and one.antialias for one in model.layers):
        return model
    return keras.models.clone_model(model, clone_function=clone)


def _as_products(resize: keras.layers.Resizing) -> keras.layers.Layer:
    import keras

    height, width = resize.input.shape[1:3]
    rows = _matrix(resize, height, axis=0)
    columns = _matrix(resize, width, axis=1)
    channels = resize.input.shape[3]
    of_rows = keras.layers.EinsumDense("bhwc,hH->bHwc", (len(rows[0]), width, channels))
    of_columns = keras.layers.EinsumDense(
        "bhwc,wW->bhWc", (len(rows[0]), len(columns[0]), channels)
    )
    both = keras.Sequential([keras.Input((height, width, channels)), of_rows, of_columns])
    of_rows.set_weights([rows])
    of_columns.set_weights([columns])
    return both


def _matrix(resize: keras.layers.Resizing, size: int, *, axis: int) -> NDArray[np.float32]:
    """Returns what resizing does along an axis, shape (size, new size)."""
    import keras

    new_size = resize.height if axis == 0 else resize.width
    # One column, or row, of which the other axis keeps the size, so that nothing happens there.
    shape = (new_size, 1) if axis == 0 else (1, new_size)
    along = keras.layers.Resizing(*shape, interpolation=resize.interpolation, antialias=True)
    identity = np.eye(size, dtype=np.float32)
    images = identity[:, :, None, None] if axis == 0 else identity[:, None, :, None]
    matrix: NDArray[np.float32] = np.asarray(along(images)).reshape(size, new_size)
    return matrix
