"""What of a cut's output is kept: all of it, or averages, where all of it would be too large.

Averages are taken before the array is written, and by the same layer in the exported model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, get_args

from pipeline.bases.cuts import NO_POOLING, Cut
from pipeline.errors import ConfigError
from pipeline.registry import unknown_name

if TYPE_CHECKING:
    import keras

Pooling = Literal["none", "average", "grid4", "grid2", "global"]
GRIDS: Final = {"grid4": 4, "grid2": 2}
MAP_DIMENSIONS: Final = 3  # height, width, channels


def pooled_cuts(cuts: Sequence[Cut], pooling: Mapping[str, Pooling], *, where: str) -> list[Cut]:
    """Returns the cuts with the shapes of what is kept of them.

    Args:
        cuts: Of one base.
        pooling: By the cut's name, values of `Pooling`; the others are kept whole.
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
    return [_pooled(cut, pooling.get(cut.name, NO_POOLING)) for cut in cuts]


def _pooled(cut: Cut, pooling: str) -> Cut:
    return replace(cut, shape=pooled_shape(cut.shape, pooling), pooling=pooling)


def pooled_shape(shape: tuple[int, ...], pooling: str) -> tuple[int, ...]:
    """Returns the shape of one image's pooled output.

    >>> pooled_shape((7, 8, 40), "average"), pooled_shape((7, 8, 40), "global")
    ((4, 4, 40), (40,))
    >>> pooled_shape((7, 8, 40), "grid4"), pooled_shape((9, 2, 40), "grid4")
    ((4, 4, 40), (3, 2, 40))
    """
    if pooling == "global":
        return shape[-1:]
    if pooling == NO_POOLING:
        return shape
    sides = zip(shape, _window(pooling, shape), strict=False)
    return (*(-(-size // step) for size, step in sides), shape[-1])


def _window(pooling: str, shape: Sequence[int]) -> tuple[int, int]:
    """Returns the height and width, in positions of a map, that one average is taken over."""
    if pooling == "average":
        return (2, 2)
    height, width = (-(-size // GRIDS[pooling]) for size in shape[:2])
    return (height, width)


def pooling_layer(
    pooling: str, shape: Sequence[int], *, name: str = "cut_pooling"
) -> "keras.layers.Layer | None":
    """Returns the layer that pools a cut's output, which has no weights; None for `none`.

    `average` takes averages of 2x2 positions, `global` that of each channel. `grid4` and `grid2`
    take those of equal windows, the smallest that leave no more than 4x4 or 2x2 of them: a map
    that is as small already is kept.

    Args:
        pooling: A value of `Pooling`.
        shape: Of the cut's output for one image: (height, width, channels) unless it is `none`.
        name: Of the layer.

    Raises:
        ConfigError: If there is no such pooling.
    """
    from keras import layers

    if pooling not in get_args(Pooling):
        raise ConfigError(unknown_name("pooling", pooling, list(get_args(Pooling))))
    if pooling == NO_POOLING:
        return None
    if pooling == "global":
        return layers.GlobalAveragePooling2D(name=name)
    # "same" averages what there is at an odd edge, and leaves a map of 1x1 as it is.
    return layers.AveragePooling2D(_window(pooling, shape), padding="same", name=name)
