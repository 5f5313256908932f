"""Where phase 2 of a trial may start from, below what its head stands on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.bases.cuts import Cut
from pipeline.planning.heads import Head

if TYPE_CHECKING:
    import keras

FINE_TUNING_SHARE: Final = 0.3
"""Of a trial's epochs, as params.yaml comes."""
COUNTED_LAYERS: Final = 2
"""Most that a trial may ask for by number (`unfreeze_layers`); phase 2 starts below as many."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """A whole cut that phase 2 starts from.

    Attributes:
        cut: The cut.
        share: Of the base's operations, that lie between it and the highest cut of any head.
    """

    cut: Cut
    share: float


def start_of(base: keras.Model, cuts: Sequence[Cut], heads: Sequence[Head]) -> Start | None:
    """Returns the nearest whole cut below the best head that leaves enough to train, or None.

    Args:
        base: As from `load_base`.
        cuts: Of the base, in its order, that heads may stand on.
        heads: The best first.
    """
    from pipeline.bases.graph import truncate
    from pipeline.training.segments import tunable_layers

    below = {cut.name: truncate(base, [cut.name]) for cut in cuts}
    num_layers = {cut: len(tunable_layers(network)) for cut, network in below.items()}
    start = start_below(cuts, min(heads[0].parts).depth, num_layers=num_layers)
    if start is None:
        return None
    highest = max(part for head in heads for part in head.parts).cut
    operations = {cut: num_operations(network) for cut, network in below.items()}
    between = operations[highest] - operations[start.name]
    return Start(cut=start, share=between / operations[cuts[-1].name])


def num_operations(network: keras.Model) -> int:
    """Returns about what a network multiplies for an image: each weight, at every position.

    Args:
        network: As from `truncate`, for images of one size, of layers alone.
    """
    from pipeline.bases.graph import nodes_in_order

    total = 0
    for node in nodes_in_order(network):
        positions = math.prod(size or 1 for size in node.output_tensors[0].shape[1:-1])
        weights = getattr(node.operation, "weights", [])
        total += positions * sum(math.prod(each.shape) for each in weights)
    return total


def start_below(cuts: Sequence[Cut], depth: int, *, num_layers: Mapping[str, int]) -> Cut | None:
    """Returns the nearest cut below one that leaves enough layers between for phase 2 to train.

    Args:
        cuts: Of a base, in the network's order.
        depth: Place of the lowest that a head stands on among them.
        num_layers: By a cut's name, layers with weights up to it.

    Returns:
        None where none of them leaves `COUNTED_LAYERS`.
    """
    most = num_layers[cuts[depth].name] - COUNTED_LAYERS
    below = [cut for cut in cuts[:depth] if num_layers[cut.name] <= most]
    return below[-1] if below else None
