"""Keeps what a frozen base, run once over all images, gives at several cut points."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline.bases.cuts import Cut, PooledCut
from pipeline.bases.graph import truncate
from pipeline.errors import DataIntegrityError
from pipeline.features.arrays import Moments, Rows, WrittenArray, npy_file, written_array
from pipeline.features.joined_cuts import joined

LARGEST_FLOAT16: Final = float(np.finfo(np.float16).max)
SMALLEST_FLOAT16: Final = float(np.finfo(np.float16).smallest_normal)

Network = Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]]


def network_to_cuts(
    base: keras.Model, feeds: Sequence[Sequence[PooledCut]], *, front: keras.Model
) -> keras.Model:
    """Returns images to what is kept of each cut, in their order.

    Args:
        base: As from `load_base`; no layer above the last of the cuts is part of the network.
        feeds: What each cut is made of, such as `Cut.feed`; at least one.
        front: The layers that bring images to the base.
    """
    layers = [*dict.fromkeys(part.layer for feed in feeds for part in feed)]
    outputs = keras.tree.flatten(truncate(base, layers)(front.output))
    by_layer = dict(zip(layers, outputs, strict=True))
    kept = [joined(by_layer, feed, prefix=f"kept_{n}") for n, feed in enumerate(feeds)]
    return keras.Model(front.input, kept, name=base.name)


def embed_images(
    network: Network,
    cuts: Sequence[Cut],
    batches: Iterable[NDArray[np.uint8]],
    *,
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
        network: Gives what is kept of each cut, float32, as `network_to_cuts` frozen.
        cuts: At least one, as they are kept.
        batches: The rows in order as images, each (n, height, width) or (n, height, width, 3).
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
    centres: list[NDArray[np.float32]] = []
    start = 0
    with ExitStack() as stack:
        files = [
            stack.enter_context(
                npy_file(folder / f"{cut.name}.npy", (len(rows), *cut.shape), np.float16)
            )
            for cut in cuts
        ]
        for images in batches:
            outputs = network(images)
            centres = centres or [_centre(output) for output in outputs]
            end = start + len(images)
            for cut, file, output, centre in zip(cuts, files, outputs, centres, strict=True):
                distances = _distances(cut.name, output, centre, rows.images[start:end])
                file.write(np.ascontiguousarray(distances, dtype=np.float16).data)
                _add(moments[cut.name], distances[rows.is_counted[start:end]], centre)
            start = end
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


def _centre(output: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the mean of each channel; 0 where it is not finite, for the range to be refused."""
    with np.errstate(invalid="ignore", over="ignore"):
        mean = output.mean(axis=tuple(range(output.ndim - 1)), dtype=np.float64)
        mean = mean.astype(np.float32)
    return np.where(np.isfinite(mean), mean, np.float32(0))


def _distances(
    name: str, output: NDArray[np.float32], centre: NDArray[np.float32], images: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Returns how far values lie from their channel's centre, after checking that float16 fits."""
    distances = output - centre
    largest = max(distances.max(), -distances.min())
    if not largest <= LARGEST_FLOAT16:  # True of NaN, which is a largest value of NumPy's.
        outside = np.argwhere(~(np.abs(distances) <= LARGEST_FLOAT16))[0]
        raise DataIntegrityError(
            f"Activations of {name} must fit float16, at most {LARGEST_FLOAT16:g} away from the "
            f"mean of the first batch. Received: {output[tuple(outside)]:g} for image "
            f"{images[outside[0]]}. Leave this cut out of embed.bases."
        )
    return distances


def _add(moments: Moments, distances: NDArray[np.float32], centre: NDArray[np.float32]) -> None:
    """Adds a batch's distances from the centre, summed in float32 over no more than an image."""
    if not len(distances):
        return
    channels = distances.reshape(len(distances), -1, distances.shape[-1])
    count = channels.shape[0] * channels.shape[1]
    mean = channels.sum(axis=1).sum(axis=0, dtype=np.float64) / count
    squares = np.square(channels - mean.astype(np.float32)).sum(axis=1)
    variance = squares.sum(axis=0, dtype=np.float64) / count
    moments.merge(count=count, mean=mean + centre, variance=variance)


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
