"""Several cuts of a base side by side, as one array and one input of a head.

Reference: Evci, Dumoulin, Larochelle and Mozer 2022, Head2Toe, arXiv:2201.03529: features of
several depths, pooled, flattened and concatenated under one new head; here without its group
lasso, which selects among them.

In `params.yaml` such a cut is a list, everywhere else a name: `[block4_add, block7_add]` is
`block4_add+block7_add`. `block4_add:grid4` is the cut with that pooling, alone or in a list. In a
list, where nothing is said, a map is pooled by `DEFAULT_POOLING` and a vector is left as it is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, get_args

from pipeline.bases.cuts import BESIDE, NO_POOLING, POOLED, Cut, PooledCut, named_cuts, unknown_cut
from pipeline.errors import ConfigError
from pipeline.features.pooling import (
    MAP_DIMENSIONS,
    Pooling,
    pooled_cuts,
    pooled_shape,
    pooling_layer,
)
from pipeline.registry import unknown_name

if TYPE_CHECKING:
    import keras

DEFAULT_POOLING: Final = "grid2"


def cut_name(written: Any) -> Any:
    """Returns the name of cuts that are written as a list; anything else as it is.

    A list that is empty, or of other things than different names, is none of cuts.

    >>> cut_name(["block4_add", "block7_add:global"]), cut_name(["block4_add"]), cut_name([1])
    ('block4_add+block7_add:global', 'block4_add', [1])
    """
    if not isinstance(written, list) or not all(isinstance(each, str) for each in written):
        return written
    is_one_each = len(set(written)) == len(written) and all(written)
    return BESIDE.join(written) if written and is_one_each else written


def layers_named(name: str) -> tuple[tuple[str, str | None], ...]:
    """Returns the layers that a cut's name names, each with the pooling that it says, or None.

    >>> layers_named("block4_add:grid4+avg_pool"), layers_named("block4_add")
    ((('block4_add', 'grid4'), ('avg_pool', None)), (('block4_add', None),))
    """
    parts = (part.partition(POOLED) for part in name.split(BESIDE))
    return tuple((layer, pooling if sign else None) for layer, sign, pooling in parts)


def is_layer(name: str) -> bool:
    """Whether a cut's name is that of a layer, and says no more."""
    return layers_named(name) == ((name, None),)


def kept_cuts(
    cuts: Sequence[Cut],
    names: Sequence[str],
    pooling: Mapping[str, Pooling],
    *,
    num_images: int,
    max_bytes: int,
    where: str,
) -> list[Cut]:
    """Returns what is kept of a base under these names: layers in its order, then lists of them.

    Args:
        cuts: From `find_cuts`.
        names: At least one; a list as its name.
        pooling: Of those that name a layer alone.
        num_images: Images to embed, >= 1.
        max_bytes: What all arrays may take together.
        where: The base's key in `params.yaml`.

    Raises:
        ConfigError: If there is no such layer, it cannot be pooled so, a list names it twice, or
            the arrays would take more than `max_bytes`.
    """
    pooled = pooled_cuts(cuts, pooling, where=f"{where}.pooling")
    where = f"{where}.cuts"
    joint = [joined_cut(name, cuts, where=where) for name in names if not is_layer(name)]
    limits = {"num_images": num_images, "max_bytes": max_bytes}
    return named_cuts([*pooled, *joint], names, **limits, where=where)


def joined_cut(name: str, cuts: Sequence[Cut], *, where: str) -> Cut:
    """Returns what is kept under a name of several cuts, or of one with its pooling.

    Args:
        name: Such as `block4_add:grid4+block7_add`.
        cuts: From `find_cuts`.
        where: The key in `params.yaml`.

    Raises:
        ConfigError: If there is no such layer, it is named twice, or cannot be pooled so.
    """
    named = layers_named(name)
    if len({layer for layer, _ in named}) < len(named):
        raise ConfigError(f"{where}: a list must name different layers. Received: {name}.")
    known = {cut.name: cut for cut in cuts}
    for layer, _ in named:
        if layer not in known:
            raise unknown_cut(layer, cuts, where=where)
    parts = tuple(_part(known[layer], pooling, where=where) for layer, pooling in named)
    width = sum(math.prod(part.shape) for part in parts)
    return Cut(
        name=name,
        shape=(width,) if len(parts) > 1 else parts[0].shape,
        num_parameters_below=max(part.num_parameters_below for part in parts),
        num_parameters_above=min(part.num_parameters_above for part in parts),
        parts=parts,
    )


def _part(cut: Cut, pooling: str | None, *, where: str) -> Cut:
    is_map = len(cut.shape) == MAP_DIMENSIONS
    kind = pooling if pooling is not None else DEFAULT_POOLING if is_map else NO_POOLING
    if kind not in get_args(Pooling):
        text = unknown_name("pooling", kind, list(get_args(Pooling)))
        raise ConfigError(f"{where}: {cut.name}{POOLED}{kind}: {text}")
    if kind != NO_POOLING and not is_map:
        raise ConfigError(
            f"{where}: only maps, (height, width, channels), can be pooled. Received: "
            f"{cut.name}{POOLED}{kind} of shape {cut.shape}. Write {cut.name} alone."
        )
    return replace(cut, shape=pooled_shape(cut.shape, kind), pooling=kind)


def joined(
    outputs: "Mapping[str, keras.KerasTensor]", feed: Sequence[PooledCut], *, prefix: str
) -> "keras.KerasTensor":
    """Returns what a head is fed with: one cut pooled, or several pooled, flattened, side by side.

    Args:
        outputs: Of the layers, by name; for each image as the base gives them.
        feed: What to take of them, at least one.
        prefix: What the names of new layers begin with. They have no weights.
    """
    from keras import layers

    pooled = []
    for part in feed:
        x = outputs[part.layer]
        name = f"{prefix}_{part.layer}_pooling"
        pool = pooling_layer(part.pooling, x.shape[1:], name=name)
        pooled.append(x if pool is None else pool(x))
    if len(pooled) == 1:
        return pooled[0]
    flat = [
        layers.Flatten(name=f"{prefix}_{part.layer}_flat")(x)
        for part, x in zip(feed, pooled, strict=True)
    ]
    return layers.Concatenate(name=f"{prefix}_joined")(flat)
