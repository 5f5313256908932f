"""What of a cut's output is kept: all of it, or averages, where all of it would be too large.

Averages are taken before the array is written, and by the same layer in the exported model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from pipeline.errors import ConfigError
from pipeline.models.cuts import Cut, array_bytes
from pipeline.registry import unknown_name

if TYPE_CHECKING:
    import keras

Pooling = Literal["none", "average", "global"]
NO_POOLING: Final = "none"
MAP_DIMENSIONS: Final = 3  # height, width, channels


def pooled_cuts(cuts: Sequence[Cut], pooling: Mapping[str, Pooling], *, where: str) -> list[Cut]:
    """Returns the cuts with the shapes of what is kept of them.

    Args:
        cuts: Of one base.
        pooling: By the cut's name; the others are kept whole.
        where: The key in `params.yaml`.

    Raises:
        ConfigError: If there is no such cut, or its output is no map.
    """
    known = {cut.name: cut for cut in cuts}
    for name, kind in pooling.items():
        if name not in known:
            ends = [cut.name for cut in cuts if cut.ends_block]
            raise ConfigError(f"{where}: {unknown_name('cut point', name, ends)}")
        if kind != NO_POOLING and len(known[name].shape) != MAP_DIMENSIONS:
            raise ConfigError(
                f"{where}: only maps, (height, width, channels), can be pooled. Received: {name} "
                f"of shape {known[name].shape}. Leave it out of pooling."
            )
    return [replace(cut, shape=pooled_shape(cut.shape, pooling.get(cut.name))) for cut in cuts]


def pooled_shape(shape: tuple[int, ...], pooling: str | None) -> tuple[int, ...]:
    """Returns the shape of one image's pooled output.

    >>> pooled_shape((7, 8, 40), "average"), pooled_shape((7, 8, 40), "global")
    ((4, 4, 40), (40,))
    """
    if pooling == "average":
        height, width, channels = shape
        return (-(-height // 2), -(-width // 2), channels)
    return shape[-1:] if pooling == "global" else shape


def more_than_the_top(
    kept: Sequence[Cut], left_out: Sequence[Cut], *, num_images: int, max_bytes: int
) -> str:
    """Returns what to write where `default_cuts` could keep no more than the top, else nothing.

    Args:
        kept: From `default_cuts`.
        left_out: Likewise.
        num_images: Images to embed, >= 1.
        max_bytes: What all arrays may take together.
    """
    if len(kept) != 1 or not left_out:
        return ""
    (top,), smallest = kept, min(left_out, key=lambda cut: cut.bytes_per_image)
    needed = array_bytes([top, smallest], num_images)
    text = (
        f"Only {top.name} fits embed.max_bytes. Raise embed.max_bytes to {needed:,} for "
        f"{smallest.name} too"
    )
    maps = [cut for cut in reversed(left_out) if len(cut.shape) == MAP_DIMENSIONS]
    for pooling in ("average", "global"):
        for cut in maps:
            pooled = replace(cut, shape=pooled_shape(cut.shape, pooling))
            if array_bytes([top, pooled], num_images) <= max_bytes:
                named = f"cuts: [{cut.name}, {top.name}], pooling: {{{cut.name}: {pooling}}}"
                return f"{text}, or write {named}."
    return f"{text}."


def pooling_layer(pooling: str, *, name: str = "cut_pooling") -> "keras.layers.Layer | None":
    """Returns the layer that pools a cut's output, which has no weights; None for `none`.

    Raises:
        ConfigError: If there is no such pooling.
    """
    from keras import layers

    if pooling == "average":
        # "same" averages what there is at an odd edge, and leaves a map of 1x1 as it is.
        return layers.AveragePooling2D(2, padding="same", name=name)
    if pooling == "global":
        return layers.GlobalAveragePooling2D(name=name)
    if pooling == NO_POOLING:
        return None
    raise ConfigError(unknown_name("pooling", pooling, [NO_POOLING, "average", "global"]))
