"""A base at one image size, judged by ridge heads on what its cuts give for a sample."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.bases.cuts import NO_POOLING, Cut, PooledCut, default_cuts, find_cuts
from pipeline.errors import PipelineError
from pipeline.features.pooling import pooled_shape
from pipeline.planning.limits import MOST_OF_A_CUT
from pipeline.training.ridge import held_out, kernel, left_out

if TYPE_CHECKING:
    import keras

KINDS: Final = ("global", "grid2", "grid4", NO_POOLING)
QUARTERS: Final = 4
BATCH_SIZE: Final = 64
BATCHES_TIMED: Final = 2
FEWEST_IMAGES: Final = 300
FEWEST_OF_A_CLASS: Final = 10
"""On average, of the images that a probe looks at, where there are as many; else chance decides."""

Images = NDArray[np.uint8]
Network = Callable[[Images], Sequence[NDArray[np.float32]]]


class TooSlowError(PipelineError):
    """A base takes longer for an image than there is time for.

    Attributes:
        seconds: That one image took.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds * 1e3:.1f} ms an image")
        self.seconds = seconds


@dataclass(frozen=True, order=True, kw_only=True)
class Part:
    """A cut and what is kept of its output.

    Attributes:
        depth: Place of the cut among those that are probed, from the input.
        cut: Its name.
        pooling: A kind of `features.pooling`.
        num_features: Values that are kept of an image.
    """

    depth: int
    cut: str
    pooling: str
    num_features: int

    @property
    def feed(self) -> tuple[PooledCut, ...]:
        """What it is made of, as `network_to_cuts` takes it."""
        return (PooledCut(layer=self.cut, pooling=self.pooling),)


@dataclass(frozen=True, kw_only=True)
class Errors:
    """What ridge heads on some features reached.

    Attributes:
        is_right: Whether each image of the sample, left out, got its class, shape (n,).
        of_quarters: Mean error of heads that were fitted to a quarter of the sample each, in
            [0, 1].
    """

    is_right: NDArray[np.bool_]
    of_quarters: float

    @property
    def of_all(self) -> float:
        """Error of heads that were fitted to the whole sample, in [0, 1]."""
        return float(1 - self.is_right.mean())


def probed_cuts(base: "keras.Model", names: Sequence[str] | None = None) -> list[Cut]:
    """Returns the cuts that a probe looks at, in the network's order.

    Args:
        base: As from `load_base`.
        names: Of those that a head may stand on; None: at most eight ends of blocks, without the
            first, which tells little.
    """
    cuts = find_cuts(base)
    if names is not None:
        return [cut for cut in cuts if cut.name in names]
    ends = default_cuts(cuts)
    return ends[1:] or ends


def parts_of(cuts: Sequence[Cut], *, most_features: int = MOST_OF_A_CUT) -> list[Part]:
    """Returns what may be kept of some cuts.

    Of a map one value a channel, a grid of 2x2 or of 4x4 averages, and all of it, as far as these
    differ and are not too many.

    Args:
        cuts: In the network's order.
        most_features: Of one part. Where even one value a channel is more, that is kept.
    """
    parts = []
    for depth, cut in enumerate(cuts):
        kinds = KINDS if len(cut.shape) > 1 else (NO_POOLING,)
        # Of kinds that keep as much the last counts: a map that is small already is not pooled.
        sizes = {math.prod(pooled_shape(cut.shape, kind)): kind for kind in kinds}
        fitting = {size: kind for size, kind in sizes.items() if size <= most_features}
        parts += [
            Part(depth=depth, cut=cut.name, pooling=kind, num_features=size)
            for size, kind in sorted((fitting or dict([min(sizes.items())])).items())
        ]
    return parts


class Probe:
    """Features of a sample, as a base at one image size gives them, and heads on them.

    Args:
        network: From images to the features of each part.
        parts: What it gives, in this order.
        images: Of the sample, in an order of which every stretch is stratified, n >= 2.
        labels: Their class ids, shape (n,).
        most_seconds: An image may take.
        seconds: For all; where that is too little for them, the first ones alone are looked at,
            but `FEWEST_IMAGES` at least, and `FEWEST_OF_A_CLASS` for each class.

    Raises:
        TooSlowError: If an image takes longer, by the first few of them.
    """

    def __init__(
        self,
        network: Network,
        parts: Sequence[Part],
        images: Images,
        labels: NDArray[np.int64],
        *,
        most_seconds: float = math.inf,
        seconds: float = math.inf,
    ) -> None:
        self.parts = list(parts)
        self._network = network
        self._fewest = max(FEWEST_IMAGES, FEWEST_OF_A_CLASS * len(np.unique(labels)))
        self._features, self.seconds_per_image = self._embed(images, most_seconds, seconds)
        num_images = len(self._features[self.parts[0]])
        self._images, self._labels = images[:num_images], labels[:num_images]
        self._kernels: dict[Part, NDArray[np.float32]] = {}
        self._errors: dict[tuple[Part, ...], Errors] = {}

    @property
    def num_images(self) -> int:
        """Images that were embedded."""
        return len(self._labels)

    def errors(self, parts: Sequence[Part]) -> Errors:
        """Returns what heads on some parts, side by side, reach."""
        key = tuple(sorted(parts))
        if key not in self._errors:
            self._errors[key] = self._judge(sum(self._kernel(part) for part in key))
        return self._errors[key]

    def mirror_gain(self, parts: Sequence[Part]) -> tuple[float, float]:
        """Returns what mirrored images beside the others add to a head's accuracy.

        Each half of the sample is judged by heads that were fitted to the other half, without and
        with its mirror images.

        Returns:
            The gain, and its standard error over the images.
        """
        mirrored, _ = self._embed(np.ascontiguousarray(self._images[:, :, ::-1]))
        kernels: Any = sum(
            kernel(np.concatenate([self._features[part], mirrored[part]])) for part in parts
        )
        labels = np.tile(self._labels, 2)
        halves = np.array_split(np.arange(self.num_images), 2)
        gains = []
        for fit, judged in (halves, halves[::-1]):
            both = np.concatenate([fit, fit + self.num_images])
            plain = held_out(kernels, labels, fit=fit, judged=judged)
            gains.append(held_out(kernels, labels, fit=both, judged=judged) - plain.astype(float))
        gain = np.concatenate(gains)
        return float(gain.mean()), float(gain.std() / math.sqrt(len(gain)))

    def _kernel(self, part: Part) -> NDArray[np.float32]:
        if part not in self._kernels:
            self._kernels[part] = kernel(self._features[part])
        return self._kernels[part]

    def _judge(self, kernels: Any) -> Errors:
        labels = self._labels
        size = len(labels) // QUARTERS
        stretches = [slice(place * size, (place + 1) * size) for place in range(QUARTERS)]
        found = [left_out(kernels[own, own], labels[own]).mean() for own in stretches if size > 1]
        is_right = left_out(kernels, labels)
        return Errors(
            is_right=is_right,
            of_quarters=float(1 - np.mean(found)) if found else float(1 - is_right.mean()),
        )

    def _embed(
        self, images: Images, most_seconds: float = math.inf, seconds: float = math.inf
    ) -> tuple[dict[Part, NDArray[np.float16]], float]:
        self._network(images[:BATCH_SIZE])  # What is set up by the first call is none of its time.
        batches, start, timed = [], time.perf_counter(), BATCHES_TIMED * BATCH_SIZE
        for place in range(0, len(images), BATCH_SIZE):
            values = self._network(images[place : place + BATCH_SIZE])
            batches.append([np.asarray(each, np.float16) for each in values])
            done = min(place + BATCH_SIZE, len(images))
            spent = time.perf_counter() - start
            if done >= min(timed, len(images)) and spent / done > most_seconds:
                raise TooSlowError(spent / done)
            if done >= self._fewest and spent >= seconds:
                break
        joined = [np.concatenate(values) for values in zip(*batches, strict=True)]
        return dict(zip(self.parts, joined, strict=True)), spent / done
