"""The part of a base between two cuts: what phase 2 trains below the head."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.errors import InfeasibleTrialError
from pipeline.models.cuts import PooledCut
from pipeline.models.joined_cuts import BESIDE, joined

if TYPE_CHECKING:
    import keras


def nearest_start(
    base: "keras.Model",
    lower: Sequence[str],
    upper: Sequence[PooledCut],
    *,
    num_layers: int | None = None,
) -> str:
    """Returns the nearest of some cuts that has enough layers to train between it and `upper`.

    Args:
        base: As from `load_base`.
        lower: Cut points of the base that `upper` can be computed from, the nearest first, at
            least one.
        upper: What the head is fed with, at least one cut.
        num_layers: How many it takes, >= 1; None: the layers are not counted, so that any will do.

    Raises:
        InfeasibleTrialError: If there are fewer even above the lowest.
    """
    wanted, found = num_layers or 1, 0
    for cut in lower:
        found = len(tunable_layers(_between(base, cut, upper)[0]))
        if found >= wanted:
            return cut
    raise InfeasibleTrialError(
        f"{wanted} {'layer' if wanted == 1 else 'layers'} with weights cannot be unfrozen below "
        f"{_named(upper)}: there are {found} above {lower[-1]}, the lowest cut that phase 2 can "
        "start from. Embed a lower cut, or unfreeze less."
    )


def cut_segment(
    base: "keras.Model",
    lower: str,
    upper: Sequence[PooledCut],
    *,
    num_layers: int | None = None,
) -> "keras.Model":
    """Returns copies of the layers between a cut and one or several others, some trainable.

    Batch normalization stays as it is, scale and shift too: its statistics are of millions of
    images, those of a small batch would undo what the layers around it have learnt.

    Args:
        base: As from `load_base`; it is left alone.
        lower: A cut point of the base.
        upper: What the head is fed with: cuts above it and, of several, maybe it itself.
        num_layers: How many of the last layers with weights to train, >= 1; None: all.

    Returns:
        The lower cut's output, float32, to the upper ones' as they are cached.

    Raises:
        InfeasibleTrialError: If there are fewer layers with weights between the cuts.
    """
    import keras

    from pipeline.models.graph import rebuild

    between, layers = _between(base, lower, upper)
    inputs = keras.Input(between.input.shape[1:], name="features")
    outputs = keras.tree.flatten(rebuild(between, inputs, clone=_thawed))
    by_layer = {lower: inputs, **dict(zip(layers, outputs, strict=True))}
    segment = keras.Model(inputs, joined(by_layer, upper, prefix="cut"), name="segment")
    _unfreeze(segment, num_layers, where=f"between {lower} and {_named(upper)}")
    return segment


def _between(
    base: "keras.Model", lower: str, upper: Sequence[PooledCut]
) -> "tuple[keras.Model, list[str]]":
    """Returns the layers above a cut as one model, and the names of those whose outputs it gives.

    The cut itself, where it is among the others, is not given: it is what the model takes.
    """
    import keras

    from pipeline.models.graph import output_of

    layers = [part.layer for part in upper if part.layer != lower]
    return keras.Model(output_of(base, lower), [output_of(base, name) for name in layers]), layers


def _named(upper: Sequence[PooledCut]) -> str:
    return BESIDE.join(part.layer for part in upper)


def tunable_layers(model: "keras.Model") -> list["keras.layers.Layer"]:
    """Returns the layers with weights that fine-tuning can change, each after those before it.

    Batch normalization is none of them.
    """
    from pipeline.models.graph import nodes_in_order

    operations = {id(node.operation): node.operation for node in nodes_in_order(model)}
    return [layer for layer in operations.values() if _has_weights(layer)]


def _unfreeze(segment: "keras.Model", num_layers: int | None, *, where: str) -> None:
    layers = tunable_layers(segment)
    wanted = max(len(layers), 1) if num_layers is None else num_layers
    if len(layers) < wanted:
        raise InfeasibleTrialError(
            f"{wanted} layers with weights cannot be unfrozen {where}: there are {len(layers)}. "
            "Embed a lower cut, or unfreeze fewer layers."
        )
    kept = {id(layer) for layer in layers[len(layers) - wanted :]}
    for layer in segment.layers:
        for part in _parts(layer):
            part.trainable = id(layer) in kept and not _is_batch_norm(part)


def _thawed(layer: "keras.layers.Layer") -> "keras.layers.Layer":
    config = layer.get_config()
    if "trainable" in config:
        config["trainable"] = True
    return type(layer).from_config(config)


def _has_weights(layer: Any) -> bool:
    # Normalization has weights too, which are statistics.
    return any(part._trainable_variables for part in _parts(layer) if not _is_batch_norm(part))


def _parts(layer: Any) -> list[Any]:
    """Returns a layer and those inside it, where it is a model."""
    flatten = getattr(layer, "_flatten_layers", None)
    return list(flatten(include_self=True, recursive=True)) if flatten else []


def _is_batch_norm(layer: Any) -> bool:
    import keras

    return isinstance(layer, keras.layers.BatchNormalization)
