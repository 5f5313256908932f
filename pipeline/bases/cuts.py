"""Cut points: the layers of a base through whose output alone everything above them is computed.

A new head can be put on each of them. They are found in the layer graph, so that residual, dense
and inception networks need no list.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pipeline.bases.table import TO_GRAY
from pipeline.errors import ConfigError
from pipeline.registry import unknown_name

if TYPE_CHECKING:
    import keras

BYTES_PER_VALUE: Final = 2  # float16
NO_POOLING: Final = "none"
# A study searches over the cuts: more of them thin out its trials, and a neighbour says the same.
MAX_DEFAULT_CUTS: Final = 8

BESIDE: Final = "+"
POOLED: Final = ":"


@dataclass(frozen=True, kw_only=True)
class PooledCut:
    """What of one layer's output a head is fed with.

    Attributes:
        layer: A cut point of the base.
        pooling: What is kept of its output: a value of `features.pooling.Pooling`.
    """

    layer: str
    pooling: str = NO_POOLING


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A cut point, or what is kept of one or several.

    Attributes:
        name: The layer's name; of several side by side, as in `features.joined_cuts`.
        shape: Shape of its output for one image, such as (8, 8, 40), or of what pooling keeps.
        num_parameters_below: Weights of the layers up to this one, or up to the highest of several.
        num_parameters_above: Weights of the layers after it.
        ends_block: Whether a block of the network ends here: what follows starts from this output
            by adding to it, widening it or shrinking it, and no later map has fewer channels. The
            wide layers inside a block are none. A classifier's layers above the last map narrow as
            they like: each is a block.
        is_averaged: Whether the next cut point, the top, is the average of this one's channels.
        pooling: What is kept of the layer's output.
        parts: Where the name says more than a layer: the cuts that it names, each with the shape
            of what is kept of it.
    """

    name: str
    shape: tuple[int, ...]
    num_parameters_below: int
    num_parameters_above: int
    ends_block: bool = False
    is_averaged: bool = False
    pooling: str = NO_POOLING
    parts: tuple["Cut", ...] = ()

    @property
    def feed(self) -> tuple[PooledCut, ...]:
        """What it is made of, in order; for `features.joined_cuts.joined`."""
        own = self.parts or (self,)
        return tuple(PooledCut(layer=part.name, pooling=part.pooling) for part in own)

    @property
    def bytes_per_image(self) -> int:
        """What one image's output takes as float16."""
        return math.prod(self.shape) * BYTES_PER_VALUE


@dataclass(frozen=True)
class _Found:
    """A cut point and what decides whether a block ends there.

    `is_learned` tells whether any layer up to it, scaling of the colours aside, has weights.
    """

    cut: Cut
    is_merge: bool
    is_padding: bool
    is_learned: bool


def find_cuts(model: "keras.Model") -> list[Cut]:
    """Returns all cut points of a model, from its input to its top, which is the last.

    Layers that are called twice, or whose output has no fixed shape, are left out.

    Args:
        model: Functional, with one input and one output.

    Raises:
        ConfigError: If it has several inputs or outputs.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ConfigError(
            "A base must have one input and one output. Received: "
            f"{len(model.inputs)} inputs and {len(model.outputs)} outputs."
        )
    return _mark_blocks(list(_narrow_places(model)))


def _narrow_places(model: "keras.Model") -> Iterator[_Found]:
    """Yields the calls after which only their own output is still needed by others."""
    from pipeline.bases.graph import nodes_in_order

    nodes = nodes_in_order(model)
    calls = Counter(id(node.operation) for node in nodes)
    uses = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    uses.update(id(tensor) for tensor in model.outputs)
    total, below, learned = model.count_params(), 0, False
    needed: set[int] = {id(tensor) for tensor in model.inputs}
    counted: set[int] = set()
    for node in nodes:
        for tensor in node.input_tensors:
            uses[id(tensor)] -= 1
        needed |= {id(tensor) for tensor in node.output_tensors}
        needed = {tensor for tensor in needed if uses[tensor] > 0}
        if id(node.operation) not in counted:
            counted.add(id(node.operation))
            own = _num_parameters(node.operation)
            below += own
            learned = learned or (own > 0 and not _is_colours(node.operation))
        output = node.output_tensors[0]
        shape = tuple(output.shape[1:])
        if needed == {id(output)} and calls[id(node.operation)] == 1 and None not in shape:
            cut = Cut(
                name=node.operation.name,
                shape=shape,
                num_parameters_below=below,
                num_parameters_above=total - below,
            )
            merges = len(node.input_tensors) > 1
            padding = type(node.operation).__name__.startswith("ZeroPadding")
            yield _Found(cut, merges, padding, learned)


def _is_colours(operation: Any) -> bool:
    """Whether a layer with weights only scales or mixes the colours."""
    return type(operation).__name__ == "Normalization" or operation.name == TO_GRAY


def _num_parameters(operation: Any) -> int:
    return int(operation.count_params()) if hasattr(operation, "count_params") else 0


def _mark_blocks(found: list[_Found]) -> list[Cut]:
    inner = [place for place in found if not place.is_padding]
    following = {
        place.cut.name: after for place, after in zip(inner, [*inner[1:], None], strict=True)
    }
    fewest = math.inf
    marked = []
    for place in reversed(found):
        cut, after = place.cut, following.get(place.cut.name)
        channels = cut.shape[-1]
        continues = after is not None and after.cut.shape == cut.shape and not after.is_merge
        is_map = len(cut.shape) > 1
        is_narrow = not is_map or channels <= fewest
        ends = place.is_learned and not place.is_padding and not continues and is_narrow
        fewest = min(fewest, channels) if is_map else fewest
        averaged = is_map and after is not None and after.cut.shape == (channels,)
        marked.append(replace(cut, ends_block=ends, is_averaged=averaged))
    return marked[::-1]


def default_cuts(cuts: Sequence[Cut]) -> list[Cut]:
    """Returns the cut points to look at where none are named, in the network's order.

    First the top and, of each spatial resolution, the last end of a block. Then further ends, each
    time the one farthest from all that were taken, until there are `MAX_DEFAULT_CUTS`. The map that
    the top averages comes after all others: the widest, it says little more than the top.

    Args:
        cuts: All cut points of the base, as `find_cuts` returns them.
    """
    ends = [cut for cut in cuts[:-1] if cut.ends_block] + [cuts[-1]]
    taken = [group[0] for group in _by_resolution(ends)]
    while len(taken) < min(MAX_DEFAULT_CUTS, len(ends)):
        taken.append(_farthest(ends, taken))
    return sorted(taken, key=cuts.index)


def _by_resolution(ends: list[Cut]) -> list[list[Cut]]:
    """Returns the top alone, then the ends of each resolution, all from the deepest to the lowest.

    The map that the top averages is the last of its resolution.
    """
    deepest_first = ends[-2::-1]
    resolutions = dict.fromkeys(cut.shape[:-1] for cut in deepest_first)
    groups = [[cut for cut in deepest_first if cut.shape[:-1] == each] for each in resolutions]
    return [ends[-1:], *(sorted(group, key=lambda cut: cut.is_averaged) for group in groups)]


def _farthest(ends: list[Cut], taken: list[Cut]) -> Cut:
    """Returns the end that is farthest from all that were taken; the deepest of ties."""
    places = [ends.index(cut) for cut in taken]
    distances = {
        place: min(abs(place - other) for other in places)
        for place in range(len(ends))
        if place not in places
    }
    return ends[max(distances, key=lambda place: (distances[place], place))]


def named_cuts(
    cuts: Sequence[Cut], names: Sequence[str], *, num_images: int, max_bytes: int, where: str
) -> list[Cut]:
    """Returns the cut points of these names, in the network's order.

    Args:
        cuts: Those that there are, in the network's order.
        names: Layers that are wanted as cuts, at least one.
        num_images: Images to embed, >= 1.
        max_bytes: What all arrays may take together.
        where: The key in `params.yaml` that lists the names.

    Raises:
        ConfigError: If a name is no cut point, or the arrays would take more than `max_bytes`.
    """
    known = [cut.name for cut in cuts]
    for name in names:
        if name not in known:
            raise unknown_cut(name, cuts, where=where)
    chosen = [cut for cut in cuts if cut.name in names]
    needed = array_bytes(chosen, num_images)
    if needed > max_bytes:
        sizes = ", ".join(f"{cut.name} {array_bytes([cut], num_images):,}" for cut in chosen)
        raise ConfigError(
            f"{where}: the arrays of {num_images:,} images must fit embed.max_bytes={max_bytes:,}. "
            f"Received: {needed:,} bytes ({sizes}). Name fewer cuts, or raise embed.max_bytes."
        )
    return chosen


def unknown_cut(name: str, cuts: Sequence[Cut], *, where: str) -> ConfigError:
    """Returns what to raise for a name that is none of a base's cut points."""
    ends = [cut.name for cut in cuts if cut.ends_block]
    text = unknown_name("cut point", name, [cut.name for cut in cuts]).partition(" Choose")[0]
    return ConfigError(
        f"{where}: {text} Ends of blocks are: {', '.join(ends)}. "
        "`python -m pipeline cuts` lists all."
    )


def array_bytes(cuts: Sequence[Cut], num_images: int) -> int:
    """Returns what the arrays of some cut points take, as float16."""
    return num_images * sum(cut.bytes_per_image for cut in cuts)
