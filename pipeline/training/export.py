"""One model file from raw images to probabilities, of built-in layers alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bases.cuts import PooledCut
from pipeline.bases.model_files import UNREADABLE, one_line, read_model_file
from pipeline.bases.table import SOFT_VOTE, preprocessing
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.features.frozen import freeze
from pipeline.features.joined_cuts import joined
from pipeline.files import write_whole

if TYPE_CHECKING:
    import keras

Vote = Callable[[Sequence["keras.KerasTensor"]], "keras.KerasTensor"]
"""Of the answers of several members, each (n, num_classes), to one."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """What was trained, and where on the base it stands.

    Attributes:
        trained: Features of the cut, float32, to probabilities: a head, or a head and the part of
            the base that was trained with it.
        cut: The cut that it starts from; `pixels` without a base.
        parts: What the cut was made of when it was embedded; empty: the output of the layer of
            that name.
    """

    trained: "keras.Model"
    cut: str = "pixels"
    parts: tuple[PooledCut, ...] = ()

    @property
    def feed(self) -> tuple[PooledCut, ...]:
        """What it takes of the base, in order; at least one."""
        return self.parts or (PooledCut(layer=self.cut),)


def export(
    path: Path,
    members: Sequence[Member],
    *,
    image_shape: tuple[int, ...],
    image_size: int | None = None,
    base: "keras.Model | None" = None,
    vote: "Vote | None" = None,
    verify: Callable[[Path], None] | None = None,
) -> None:
    """Writes images -> preprocessing -> base -> what was trained as a `.keras` file.

    It loads with `keras.models.load_model(path, safe_mode=True)` where this project is not.

    Args:
        path: Where the file goes; its name ends in `.keras`.
        members: One or more trained networks of the same classes.
        image_shape: Shape of a raw image as it is stored: (height, width) or (height, width, 3).
        image_size: Height and width that images are resized to for the base, or for a head on the
            pixels; None: they stay as they are.
        base: The network that made the features; None for heads on the pixels.
        vote: As for `join`.
        verify: Called with the whole file before it has its name. If it raises, there is no file
            of that name, or still the one of before.
    """
    model = join(members, image_shape=image_shape, image_size=image_size, base=base, vote=vote)
    with write_whole(path) as part:
        model.save(part)
        if verify is not None:
            verify(part)


def join(
    members: Sequence[Member],
    *,
    image_shape: tuple[int, ...],
    image_size: int | None = None,
    base: "keras.Model | None" = None,
    vote: "Vote | None" = None,
) -> "keras.Model":
    """Returns copies of all layers from uint8 images to probabilities as one flat model.

    Several members share the base as far as each has it.

    Args:
        members: One or more, of the same classes.
        image_shape: Shape of a raw image as it is stored: (height, width) or (height, width, 3).
        image_size: What the base, or without one the head, takes, pixels; None: pixels as they
            are stored.
        base: What the features were computed with, as from `load_base`; None for heads on the
            pixels.
        vote: Makes one answer of theirs. None: the probabilities are averaged, a soft vote
            (Lakshminarayanan, Pritzel and Blundell 2017, arXiv:1612.01474, section 2.4).

    Returns:
        (n, *image_shape) uint8 to (n, num_classes) float32; uncompiled.
    """
    import keras

    from pipeline.bases.graph import rebuild, truncate

    front = preprocessing(image_shape, image_size, to_rgb=base is not None)
    clone = _cloner({layer.name for layer in front.layers})
    feeds = [*dict.fromkeys(member.feed for member in members)]
    layers = [*dict.fromkeys(part.layer for feed in feeds for part in feed)]
    if base is None:
        by_layer = dict.fromkeys(layers, front.output)
    else:
        outputs = rebuild(truncate(base, layers), front.output, clone=clone)
        by_layer = dict(zip(layers, keras.tree.flatten(outputs), strict=True))
    features = {feed: joined(by_layer, feed, prefix=f"cut_{n}") for n, feed in enumerate(feeds)}
    votes = [rebuild(member.trained, features[member.feed], clone=clone) for member in members]
    if vote is not None:
        output = vote(votes)
    else:
        output = votes[0] if len(votes) == 1 else keras.layers.Average(name=SOFT_VOTE)(votes)
    return keras.Model(front.input, output, name="images_to_probabilities")


def chain(parts: "Sequence[keras.Model]") -> "keras.Model":
    """Returns copies of functional models, each applied to the one before, as one flat model.

    Like each part's copy by `for_inference`, it is made of Keras' own layers and not compiled. A
    layer whose name an earlier part has already gets another.
    """
    import keras

    from pipeline.bases.graph import rebuild

    first = parts[0]
    inputs = keras.Input(first.input.shape[1:], dtype=first.input.dtype, name=first.inputs[0].name)
    x, clone = inputs, _cloner({inputs.name})
    for part in parts:
        x = rebuild(part, x, clone=clone)
    return keras.Model(inputs, x, name=parts[-1].name)


def for_inference(model: "keras.Model") -> "keras.Model":
    """Returns a copy of a functional model that is made of Keras' own layers.

    A randomized leaky relu becomes the leaky relu of its mean slope, which is what it computes
    outside training. Everything else, dropout too, is copied as it is; the copy is not compiled.
    """
    return chain([model])


def load_exported(path: Path) -> "keras.Model":
    """Returns an exported model, uncompiled; nothing in its file runs.

    Raises:
        DataIntegrityError: If there is no such file, or it is not a whole `.keras` file of
            built-in layers.
    """
    import keras

    if not path.is_file():
        raise DataIntegrityError(f"There is no model file {path}. Run: dvc repro")
    try:
        # Before Keras, which would fill memory or disk with what a hostile archive holds.
        read_model_file(path)
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except ConfigError as error:
        raise DataIntegrityError(f"{path} cannot be loaded: {error}") from None
    except UNREADABLE as error:
        raise DataIntegrityError(
            f"{path} cannot be loaded: {one_line(error)}. Delete it and run: dvc repro"
        ) from None


def predict_probabilities(
    model: "keras.Model", images: NDArray[np.uint8], *, batch_size: int | None = None
) -> NDArray[np.float32]:
    """Returns the probabilities of images, shape (n, num_classes).

    Args:
        model: One that `export` wrote, as `load_exported` returns it.
        images: In the shape that the model takes, (n, height, width) or (n, height, width, 3).
        batch_size: Images at a time, >= 1; None: see `features.frozen.freeze`.
    """
    network = freeze(model, images, num_images=len(images), size_of_batch=batch_size)
    (probabilities,) = network(images)
    return probabilities


def _cloner(taken: set[str]) -> Any:
    """Returns a function that copies a layer, under a name that is not in `taken` yet."""

    def clone(layer: "keras.layers.Layer") -> "keras.layers.Layer":
        copy = _inference_layer(layer)
        config = copy.get_config()
        number = 1
        while copy.name in taken:
            number += 1
            copy = type(copy).from_config({**config, "name": f"{layer.name}_{number}"})
        taken.add(copy.name)
        return copy

    return clone


def _inference_layer(layer: "keras.layers.Layer") -> "keras.layers.Layer":
    import keras

    from pipeline.training.rrelu import MEAN_SLOPE, RandomizedLeakyReLU

    if isinstance(layer, RandomizedLeakyReLU):
        return keras.layers.LeakyReLU(negative_slope=MEAN_SLOPE, name=layer.name)
    return type(layer).from_config(layer.get_config())
