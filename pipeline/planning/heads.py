"""Chooses what heads may stand on: single cuts, and several side by side."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.planning.expectation import expected_errors
from pipeline.planning.probe import Part, Probe

MOST_PARTS: Final = 5
SINGLE_HEADS: Final = 2
NOTICEABLE: Final = 1.0
"""Standard errors of a paired difference, below which a further cut is not added, where the sample
is all of the training part. Of a smaller sample less is asked, by the square root: its errors hide
a gain of a point, and the weights of more features are learnt from more images. With
EfficientNet-Lite2 at 192 pixels on CIFAR-10, `block17_add` beside `block20_bn2` added 0.55, 0.25
and 1.25 points to ridge heads of three samples of 2,000. A network of 512 units trained on all
39,910 images for 10 epochs had 0.9162, 0.9256, 0.9306 and 0.9332 of the confirmation part (n =
5,000, one seed, 2026-11-29) on one, two, three and all five cuts. With EfficientNet-Lite0 at 64 and
96 pixels and 5,000 images no gain was to be seen: -0.4 points (-1.1 to 0.4) on Fashion-MNIST, -0.1
(-1.0 to 0.9) on CIFAR-10, 3 seeds."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a head may stand on.

    Attributes:
        parts: Side by side, in the network's order.
        accuracy: Of a ridge head, over the sample, each image left out; in [0, 1].
        expected: Of one that is trained on all training images.
    """

    parts: Sequence[Part]
    accuracy: float
    expected: float

    @property
    def num_features(self) -> int:
        """Of all parts together."""
        return sum(part.num_features for part in self.parts)


def heads_of(probe: Probe, *, most_features: int, num_train: int) -> list[Head]:
    """Returns what heads may stand on, the best first.

    Several cuts side by side, where that is better than the best one (see `NOTICEABLE`); and single
    cuts, each pooled as is best for it.

    Args:
        probe: Of the base at its size.
        most_features: That a head may have; where every part has more, the smallest is taken.
        num_train: Images of the training part.
    """
    limits = {"most_features": most_features, "num_train": num_train}
    allowed = _allowed(probe.parts, most_features)
    singles = []
    for head in single_heads(probe, **limits)[:SINGLE_HEADS]:
        kinds = [[part] for part in allowed if part.cut == head.parts[0].cut]
        singles.append(_judged(probe, kinds, num_train)[0])
    singles.sort(key=lambda head: -head.expected)
    return [*list(_joined(probe, singles[0], **limits))[-1:], *singles]


def single_heads(probe: Probe, *, most_features: int, num_train: int) -> list[Head]:
    """Returns a head on the most that may be kept of each cut, the best first; see `heads_of`."""
    most = {part.cut: part for part in sorted(_allowed(probe.parts, most_features))}
    return _judged(probe, [[part] for part in most.values()], num_train)


def _allowed(parts: Sequence[Part], most_features: int) -> list[Part]:
    allowed = [part for part in parts if part.num_features <= most_features]
    return allowed or [min(parts, key=lambda part: part.num_features)]


def _judged(probe: Probe, sets: Sequence[Sequence[Part]], num_train: int) -> list[Head]:
    errors = [probe.errors(parts) for parts in sets]
    expected = expected_errors(errors, num_train=num_train)
    heads = [
        Head(parts=tuple(sorted(parts)), accuracy=1 - own.of_all, expected=1 - error)
        for parts, own, error in zip(sets, errors, expected, strict=True)
    ]
    return sorted(heads, key=lambda head: -head.expected)


def _joined(probe: Probe, head: Head, *, most_features: int, num_train: int) -> Iterator[Head]:
    """Yields heads of more and more parts, each better than the one before; see `NOTICEABLE`."""
    while len(head.parts) < MOST_PARTS:
        cuts = {part.cut for part in head.parts}
        room = most_features - head.num_features
        # As much of each further cut as there is room for.
        more = {
            part.cut: part
            for part in sorted(probe.parts)
            if part.num_features <= room and part.cut not in cuts
        }
        if not more:
            return
        wider = _judged(probe, [[*head.parts, part] for part in more.values()], num_train)
        best = max(wider, key=lambda each: each.accuracy)
        before, after = (probe.errors(each.parts).is_right for each in (head, best))
        gain = after.astype(float) - before
        wanted = NOTICEABLE / math.sqrt(max(1.0, num_train / probe.num_images))
        if gain.sum() <= wanted * math.sqrt(np.square(gain).sum()):
            return
        head = best
        yield head
