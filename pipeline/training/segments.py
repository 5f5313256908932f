"""The part of a base between two cuts: what phase 2 trains below the head."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pipeline.bases.cuts import BESIDE, PooledCut
from pipeline.errors import ConfigError, InfeasibleTrialError
from pipeline.features.joined_cuts import joined
from pipeline.hyperparameter import Value

if TYPE_CHECKING:
    import keras

    from pipeline.features.manifest import Cuts

MIN_EPOCHS_OF_TWO_PHASES: Final = 2


def nearest_start(
    base: "keras.Model",
    lower: Sequence[str],
    upper: Sequence[PooledCut],
    *,
    num_layers: int | None = None,
) -> str:
    """Returns the nearest of some cuts that has enough layers to train between it and `upper`.

    Args:
        base: A network as one graph, from images to its last features.
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
        base: A network as one graph, from images to its last features; it is left alone.
        lower: A cut point of the base.
        upper: What the head is fed with: cuts above it and, of several, maybe it itself.
        num_layers: How many of the last layers with weights to train, >= 1; None: all.

    Returns:
        The lower cut's output, float32, to the upper ones' as they are cached.

    Raises:
        InfeasibleTrialError: If there are fewer layers with weights between the cuts.
    """
    import keras

    from pipeline.bases.graph import rebuild

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

    from pipeline.bases.graph import output_of

    layers = [part.layer for part in upper if part.layer != lower]
    return keras.Model(output_of(base, lower), [output_of(base, name) for name in layers]), layers


def _named(upper: Sequence[PooledCut]) -> str:
    return BESIDE.join(part.layer for part in upper)


def tunable_layers(model: "keras.Model") -> list["keras.layers.Layer"]:
    """Returns the layers with weights that fine-tuning can change, each after those before it.

    Batch normalization is none of them.
    """
    from pipeline.bases.graph import nodes_in_order

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


def lower_cuts(cuts: "Cuts", cut: str) -> list[str]:
    """Returns the embedded cuts that phase 2 can start from, the nearest first.

    Of several between which no layer has a weight, one counts. A cut whose maps were pooled when
    they were embedded is none: the layers above it need the whole maps.
    """
    whole = {
        name: entry.num_parameters_below
        for name, entry in sorted(cuts.items())
        if name != cut and entry.is_whole
    }
    parts = sorted(cuts[cut].parts, key=lambda part: part.num_parameters_below)
    lowest = (parts[0] if parts else cuts[cut]).num_parameters_below
    # Of two between which no layer has a weight, either may be the lower one.
    is_below = len(parts) > 1 and lowest < parts[1].num_parameters_below
    nearest = [parts[0].cut] if is_below and parts[0].cut in whole else []
    below = {height: name for name, height in whole.items() if height < lowest}
    return nearest + [below[height] for height in sorted(below, reverse=True)]


def phase_2_starts(cuts: "Cuts", hyperparameters: Mapping[str, Value]) -> list[str]:
    """Returns the cuts that phase 2 of a trial can start from, the nearest first.

    Of whole segments it is one. Where layers are counted it is the nearest with enough layers
    above it, and only the base tells which that is: every lower cut may be.

    Args:
        cuts: What was embedded, by cut, as in the features' manifest.
        hyperparameters: The trial's; `cut`, `unfreeze` and `unfreeze_layers` are read.

    Returns:
        None of them where the trial has no phase 2.

    Raises:
        ConfigError: If fewer cuts were embedded below the trial's own than it unfreezes segments.
    """
    num_segments = int(hyperparameters.get("unfreeze", 0))
    if not num_segments:
        return []
    cut = str(hyperparameters["cut"])
    lower = lower_cuts(cuts, cut)
    if num_segments > len(lower):
        raise ConfigError(too_deep(cut, len(lower), received=num_segments))
    is_counted = num_layers(hyperparameters) is not None
    return lower if is_counted else [lower[num_segments - 1]]


def num_layers(hyperparameters: Mapping[str, Value]) -> int | None:
    """Returns how many of the last layers with weights phase 2 trains; None: all it reaches."""
    # Asked for where one segment is unfrozen; of more, all layers are trained.
    wanted = hyperparameters.get("unfreeze_layers", "all")
    return None if wanted == "all" else int(wanted)


def too_deep(cut: str, count: int, *, received: int) -> str:
    """Returns what to say where `unfreeze` reaches below the lowest embedded cut.

    Args:
        cut: The cut that a head stands on, or several in words.
        count: Embedded cuts below it, >= 0.
        received: Segments that are to be unfrozen.
    """
    return (
        f"unfreeze needs as many embedded cuts below {cut} as segments, and there are {count}. "
        f"Received: unfreeze={received}. Add lower cuts to embed.bases in params.yaml, search "
        "higher ones, or unfreeze less."
    )
