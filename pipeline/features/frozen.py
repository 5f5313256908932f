"""The one way in which frozen networks run: through ONNX Runtime where that is right and pays.

On CPUs it is about twice as fast as TensorFlow (`benchmarks/embedding_speed.py`). A converted graph
is compared with the Keras model before it is used; where it cannot be had, or gives something else,
the model runs in TensorFlow, and the log says why.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.bases.model_files import one_line
from pipeline.bases.table import PREPROCESSING_LAYERS
from pipeline.features.memory import (
    MOST_BYTES,
    Activations,
    activations,
    batch_size,
    conversion_problem,
)

if TYPE_CHECKING:
    import keras

    from pipeline.features.onnx_graph import OnnxGraph

logger = logging.getLogger(__name__)

Engine = Literal["onnxruntime", "tensorflow"]
ONNX_RUNTIME: Final = "onnxruntime"
TENSORFLOW: Final = "tensorflow"
ENGINES: Final[tuple[Engine, ...]] = (ONNX_RUNTIME, TENSORFLOW)
# Whose releases an engine's numbers depend on, beside those that every array depends on.
PACKAGES: Final[dict[Engine, tuple[str, ...]]] = {
    "onnxruntime": ("onnx", "onnxruntime", "tf2onnx"),
    "tensorflow": (),
}
COMPARED_IMAGES: Final = 8
LARGEST_DIFFERENCE: Final = 1e-3
"""What a value may be off, in standard deviations of the output that it is of.

As much as rounding to float16 takes from a value that lies two deviations from the centre. Sums in
another order give 1e-5 to 1e-4; a wrong padding or a lost layer 0.1 and more.
"""
WORTH_CONVERTING: Final = 3 * 10**10
"""Values that layers put out for all images to come, from which on conversion pays.

Two cores put out 1.6e9 of them a second in TensorFlow and twice as many in ONNX Runtime, whatever
the size of the images, and take 6 s to convert EfficientNet-Lite0: 3e10 are 19 s or 9 + 6 s. It is
no measurement of this machine, so that the same images always take the same way.
"""
# What each engine is fastest with: measured on EfficientNet-Lite0 at 64 and 128 pixels.
MOST_IMAGES: Final[dict[Engine, int]] = {"onnxruntime": 64, "tensorflow": 256}
# ONNX Runtime takes memory in ever larger blocks and keeps them: up to 1.6 times what is counted,
# beside what it needs inside an operation.
MOST_COUNTED: Final[dict[Engine, int]] = {
    "onnxruntime": 3 * MOST_BYTES // 10,
    "tensorflow": MOST_BYTES,
}

Run = Callable[[NDArray[Any]], list[NDArray[np.float32]]]


@dataclass(frozen=True, kw_only=True)
class FrozenNetwork:
    """A network whose weights do not change any more.

    Called with images as the Keras model takes them, it returns the model's outputs in order, as
    float32. Any number of them may be given: they go through it `batch_size` at a time.

    Attributes:
        engine: What runs it.
        batch_size: Images at a time, >= 1.
        reason: Why TensorFlow runs it; empty where ONNX Runtime does.
    """

    engine: Engine
    batch_size: int
    reason: str = ""
    run: Run = field(repr=False)

    def __call__(self, images: NDArray[Any]) -> list[NDArray[np.float32]]:
        if len(images) <= self.batch_size:
            return self.run(images)
        starts = range(0, len(images), self.batch_size)
        parts = [self.run(images[start : start + self.batch_size]) for start in starts]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def freeze(
    model: "keras.Model",
    sample: NDArray[Any],
    *,
    num_images: int,
    size_of_batch: int | None = None,
    engine: Engine | None = None,
) -> FrozenNetwork:
    """Returns a model as ONNX Runtime or TensorFlow runs it.

    Layers of `bases.table.preprocessing` at its beginning stay in TensorFlow: ONNX has no
    operation that averages as their resizing does, and they are few.

    Args:
        model: Functional or sequential, with one input. It runs as outside training.
        sample: One image or more, as the model takes them: the first `COMPARED_IMAGES` are what
            both engines are compared on.
        num_images: How many are to come, all batches together.
        size_of_batch: Images at a time, >= 1; None: as many as the engine is fastest with and
            `memory.MOST_BYTES` of activations allow.
        engine: `tensorflow` to run it there; None: where it is right and pays.

    Raises:
        ValueError: If the model is neither functional nor sequential, or has several inputs.
    """
    from pipeline.bases.flat import functional

    network = functional(model)
    if network is None or len(network.inputs) != 1:
        raise ValueError(f"{model.name} must be a graph of layers with one input.")
    found = activations(network)
    in_tensorflow = _in_tensorflow(network)
    pays = engine != TENSORFLOW and found.computed * num_images >= WORTH_CONVERTING
    reason = _obstacle(network) if pays else "too few images to pay for a conversion"
    if not reason:
        converted = _converted(network, in_tensorflow, sample)
        if not isinstance(converted, str):
            return FrozenNetwork(
                engine=ONNX_RUNTIME,
                batch_size=size_of_batch or _batch_size(found, ONNX_RUNTIME),
                run=converted,
            )
        reason = converted
    if pays:
        logger.info("%s runs in TensorFlow, not in ONNX Runtime: %s", model.name, reason)
    return FrozenNetwork(
        engine=TENSORFLOW,
        batch_size=size_of_batch or _batch_size(found, TENSORFLOW),
        reason=reason,
        run=in_tensorflow,
    )


def largest_difference(found: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]]) -> float:
    """Returns how far outputs lie apart at most, in standard deviations of the expected one.

    Infinite where a shape is another one, a value no number, or an output that never varies not
    the same.
    """
    if [output.shape for output in found] != [output.shape for output in expected]:
        return float("inf")
    largest = 0.0
    for output, wanted in zip(found, expected, strict=True):
        distance = float(np.abs(output - wanted).max(initial=0.0))
        if distance != 0:
            spread = float(wanted.std(dtype=np.float64))
            share = distance / spread if spread > 0 else float("inf")
            largest = max(largest, share if np.isfinite(share) else float("inf"))
    return largest


def _batch_size(found: Activations, engine: Engine) -> int:
    return batch_size(found, most=MOST_IMAGES[engine], most_bytes=MOST_COUNTED[engine])


def _obstacle(network: "keras.Model") -> str:
    """Returns why a network shall run in TensorFlow even where its conversion would pay."""
    import tensorflow as tf

    if tf.config.get_visible_devices("GPU"):
        return "there is a GPU"
    others = [layer for layer in network.layers if layer.compute_dtype not in ("float32", "uint8")]
    if others:
        return f"its layer {others[0].name} computes in {others[0].compute_dtype}"
    return conversion_problem(network)


def _converted(network: "keras.Model", in_tensorflow: Run, sample: NDArray[Any]) -> Run | str:
    """Returns the network as a graph that gives what TensorFlow does, or why there is none."""
    from pipeline.features.onnx_graph import UNCONVERTIBLE, OnnxGraph

    front, rest = _without_preprocessing(network)
    images = sample[:COMPARED_IMAGES]
    try:
        run = _after(front, OnnxGraph(rest), dtype=rest.input.dtype)
        difference = largest_difference(run(images), in_tensorflow(images))
    except UNCONVERTIBLE as error:
        return f"it cannot be converted: {one_line(error)}"
    if difference > LARGEST_DIFFERENCE:
        return f"converted, it is {difference:.1e} standard deviations off"
    return run


def _without_preprocessing(network: "keras.Model") -> "tuple[Run | None, keras.Model]":
    """Returns the preprocessing at the beginning of a network, if it has any, and what follows."""
    import keras

    from pipeline.bases.graph import nodes_in_order

    front = None
    for node in nodes_in_order(network):
        if node.operation.name not in PREPROCESSING_LAYERS:
            break
        front = node.output_tensors[0]
    if front is None:
        return None, network
    below = keras.Model(network.input, front)
    return _in_tensorflow(below), keras.Model(front, network.outputs)


def _after(front: Run | None, graph: "OnnxGraph", *, dtype: str) -> Run:
    def run(images: NDArray[Any]) -> list[NDArray[np.float32]]:
        prepared = images.astype(dtype, copy=False) if front is None else front(images)[0]
        return [output.astype(np.float32, copy=False) for output in graph(prepared)]

    return run


def _in_tensorflow(network: "keras.Model") -> Run:
    """Returns the network as a compiled function of images."""
    import keras
    import tensorflow as tf

    # As constants TensorFlow merges convolution, normalization and activation into one operation:
    # 1,800 to 1,900 images a second instead of 1,450 on efficientnet_lite0 at 64 pixels, 2 cores.
    weights = [[variable.numpy() for variable in network.trainable_variables]]
    weights.append([variable.numpy() for variable in network.non_trainable_variables])
    dtype = network.input.dtype

    def compute(images: tf.Tensor) -> list[tf.Tensor]:
        outputs, _ = network.stateless_call(*weights, images, training=False)
        # A user's base may compute in half precision.
        return [tf.cast(output, tf.float32) for output in keras.tree.flatten(outputs)]

    signature = [tf.TensorSpec(network.input.shape, dtype)]
    compiled = tf.function(compute, input_signature=signature, autograph=False)
    return lambda images: [output.numpy() for output in compiled(tf.cast(images, dtype))]
