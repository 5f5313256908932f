"""Runs a frozen base once over all images and keeps what several cut points give."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.errors import DataIntegrityError
from pipeline.models.cuts import Cut
from pipeline.models.feature_files import Rows, WrittenArray, npy_file, written_array
from pipeline.models.graph import truncate
from pipeline.models.joined_cuts import joined
from pipeline.models.moments import Moments

LARGEST_FLOAT16: Final = float(np.finfo(np.float16).max)
SMALLEST_FLOAT16: Final = float(np.finfo(np.float16).smallest_normal)

Embedder = Callable[[NDArray[np.uint8], NDArray[np.bool_]], list[dict[str, Any]]]
Centres = list[NDArray[np.float32]]


def embed_images(
    base: keras.Model,
    cuts: Sequence[Cut],
    batches: Iterable[NDArray[np.uint8]],
    *,
    front: keras.Model,
    rows: Rows,
    folder: Path,
    progress: Callable[[int], object],
) -> dict[str, WrittenArray]:
    """Writes `CUT.npy`, float16, for each cut point, in one pass over the rows.

    What is written is how far each value lies from the centre of its channel, the mean over the
    first batch: float16's 11 bits are then spent on what tells images apart. Of MobileNet 0.25 a
    channel's mean is up to 41 times its deviation, and rounding took 0.1% of a deviation, 0.02%
    after centring; its exported model's probabilities were up to 2.1e-3 off, and are 5.6e-4.

    Memory is bounded by a batch; a file has its name only when it is whole.

    Args:
        base: As from `load_base`; no layer above the last of the cuts runs.
        cuts: At least one, of this base, as they are kept.
        batches: The rows in order as images, each (n, height, width) or (n, height, width, 3).
        front: The layers that bring images to the base.
        rows: What the rows are.
        folder: Where the files go.
        progress: Called after each batch with the rows in it.

    Returns:
        What was written, by the cut's name.

    Raises:
        DataIntegrityError: If an activation is too far from the others for float16, or those of a
            cut are too close together.
    """
    moments = {cut.name: Moments(cut.shape[-1]) for cut in cuts}
    embedder: Embedder | None = None
    centres: Centres = []
    start = 0
    with ExitStack() as stack:
        files = [
            stack.enter_context(
                npy_file(folder / f"{cut.name}.npy", (len(rows), *cut.shape), np.float16)
            )
            for cut in cuts
        ]
        for images in batches:
            if embedder is None:
                embedder, centres = _embedder(base, cuts, front, images)
            results = embedder(images, rows.is_counted[start : start + len(images)])
            for cut, file, result in zip(cuts, files, results, strict=True):
                _check_range(cut.name, result, rows.images[start:])
                file.write(np.ascontiguousarray(result["features"].numpy()).data)
                _merge(moments[cut.name], result)
            start += len(images)
            progress(len(images))
        if start != len(rows):
            raise ValueError(f"{len(rows)} rows were announced. Received: {start}.")
        for cut in cuts:
            if len(cut.parts) > 1:
                shapes = [part.shape for part in cut.parts]
                moments[cut.name] = moments[cut.name].shared(shapes)
            _check_spread(cut, moments[cut.name])
    return {
        cut.name: written_array(moments[cut.name], file.sha256, centre=centre)
        for cut, file, centre in zip(cuts, files, centres, strict=True)
    }


def _embedder(
    base: keras.Model,
    cuts: Sequence[Cut],
    front: keras.Model,
    first_images: NDArray[np.uint8],
) -> tuple[Embedder, Centres]:
    """Returns a compiled function and each cut's centres.

    The function: images and which of them count -> what to keep.
    """
    layers = [*dict.fromkeys(part.layer for cut in cuts for part in cut.feed)]
    outputs = keras.tree.flatten(truncate(base, layers)(front.output))
    by_layer = dict(zip(layers, outputs, strict=True))
    kept = [joined(by_layer, cut.feed, prefix=f"kept_{n}") for n, cut in enumerate(cuts)]
    model = keras.Model(front.input, kept)
    # As constants TensorFlow merges convolution, normalization and activation into one operation:
    # 1,800 to 1,900 images a second instead of 1,450 on efficientnet_lite0 at 64 pixels, 2 cores.
    weights = [[variable.numpy() for variable in model.trainable_variables]]
    weights.append([variable.numpy() for variable in model.non_trainable_variables])

    def embed(images: tf.Tensor, is_counted: tf.Tensor) -> list[dict[str, tf.Tensor]]:
        outputs, _ = model.stateless_call(*weights, images, training=False)
        return [
            _kept(output, is_counted, centre)
            for output, centre in zip(keras.tree.flatten(outputs), centres, strict=True)
        ]

    first_outputs = keras.tree.flatten(model(first_images, training=False))
    centres = [_centre(output) for output in first_outputs]
    images_spec = tf.TensorSpec(front.input.shape, tf.uint8)
    signature = [images_spec, tf.TensorSpec((None,), tf.bool)]
    compiled: Embedder = tf.function(embed, input_signature=signature)
    return compiled, centres


def _centre(output: tf.Tensor) -> NDArray[np.float32]:
    """Returns the mean of each channel; 0 where it is not finite, for the range to be refused."""
    output = tf.cast(output, tf.float32)
    mean = tf.reduce_mean(output, axis=list(range(len(output.shape) - 1))).numpy()
    return np.where(np.isfinite(mean), mean, np.float32(0))


def _kept(
    output: tf.Tensor, is_counted: tf.Tensor, centre: NDArray[np.float32]
) -> dict[str, tf.Tensor]:
    # A user's base may compute in half precision, in which a variance overflows.
    output = tf.cast(output, tf.float32)
    counted = tf.boolean_mask(output, is_counted)
    # Per batch in float32, centred on the batch's own mean; merged in float64.
    mean, variance = tf.nn.moments(counted, axes=list(range(len(output.shape) - 1)))
    distance = output - centre
    # Not `not (size <= largest)`: TensorFlow makes it `size > largest`, which NaN passes.
    too_large = tf.abs(distance) > LARGEST_FLOAT16
    outside = tf.logical_or(too_large, tf.math.is_nan(output))
    return {
        "features": tf.cast(distance, tf.float16),
        "mean": mean,
        "variance": variance,
        "count": tf.size(counted) // output.shape[-1],
        "outside": tf.where(outside)[:1],
        "value": tf.boolean_mask(output, outside)[:1],
    }


def _check_range(name: str, result: Mapping[str, Any], images: NDArray[np.int64]) -> None:
    value = result["value"].numpy()
    if len(value):
        image = images[int(result["outside"].numpy()[0][0])]
        raise DataIntegrityError(
            f"Activations of {name} must fit float16, at most {LARGEST_FLOAT16:g} away from the "
            f"mean of the first batch. Received: {value[0]:g} for image {image}. Leave this cut "
            "out of embed.bases."
        )


def _check_spread(cut: Cut, moments: Moments) -> None:
    names = [part.name for part in cut.parts] or [cut.name]
    ends = [*itertools.accumulate(math.prod(part.shape) for part in cut.parts)]
    for name, variance in zip(names, np.split(moments.variance, ends[:-1]), strict=True):
        deviation = float(np.sqrt(variance.mean()))
        if 0 < deviation < SMALLEST_FLOAT16:
            raise DataIntegrityError(
                f"Activations of {name} must vary by {SMALLEST_FLOAT16:.0e} or more, float16 "
                "cannot tell smaller ones apart. Received: a standard deviation of "
                f"{deviation:.1e}. Leave this cut out of embed.bases."
            )


def _merge(moments: Moments, result: Mapping[str, Any]) -> None:
    count = int(result["count"].numpy())
    if count:
        moments.merge(count=count, mean=result["mean"].numpy(), variance=result["variance"].numpy())
