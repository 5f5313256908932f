"""A model file as a base: one that this pipeline exported, or a user's own.

What can be said of the file without Keras is said first, for `check`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.bases.model_files import UNREADABLE, one_line, read_model_file, under_ending
from pipeline.bases.table import PREPROCESSING_LAYERS, RESIZE, SOFT_VOTE, TO_GRAY
from pipeline.errors import ConfigError, SourceError

if TYPE_CHECKING:
    import keras

RAW: Final = "uint8"
# Of red, green and blue in gray as television defined it (ITU-R BT.601) and PIL computes it. They
# sum to 1: a gray image that was repeated to three channels is itself again.
_GRAY_SHARES: Final = (0.299, 0.587, 0.114)
_GRAY_RANK: Final = 3
_CHANNELS: Final = (1, 3)


def check_own_base(path: Path, *, input_range: Sequence[float] | None) -> None:
    """Refuses a model file that cannot be a base, as far as that shows without Keras.

    Args:
        path: The model's file, `.keras` or `.h5`.
        input_range: What white and black pixels are to the model: (lowest, highest).

    Raises:
        ConfigError: If there is no such file, it is none of Keras' model files, or the input range
            is missing, or given for a model that takes raw images.
    """
    is_raw = input_dtype(path) == RAW
    if is_raw and input_range is not None:
        raise ConfigError(
            f"input_range must not be given for {path}, which takes raw uint8 images. Received: "
            f"input_range={list(input_range)}. Remove it."
        )
    if not is_raw and input_range is None:
        raise ConfigError(
            f"input_range must say what pixels were scaled to for {path}, since it does not take "
            "raw uint8 images. Write input_range: [0, 1], [-1, 1] or [0, 255]."
        )


def input_dtype(path: Path) -> str:
    """Returns the type of what a model file takes, such as `uint8` or `float32`.

    Raises:
        ConfigError: If there is no such file, or it is no model file of Keras.
    """
    # Keras writes the type of an input as its name; that of other layers is a policy.
    types = (layer.get("dtype") for layer in read_model_file(path).layers)
    return next((kind for kind in types if isinstance(kind, str)), "float32")


def own_image_size(path: Path) -> int | None:
    """Returns the height of the images that a model was trained on; None if it names none.

    Raises:
        ConfigError: If the file is missing or is no model file of Keras'.
    """
    layers = read_model_file(path).layers
    for layer in layers:
        # A user's layer of that name may be another kind.
        if layer.get("name") == RESIZE and isinstance(height := layer.get("height"), int):
            return height
    # Until Keras 3 it was `batch_input_shape`.
    given = (layer.get("batch_shape", layer.get("batch_input_shape")) for layer in layers)
    shape = next((shape for shape in given if isinstance(shape, list)), [])
    size: int | None = shape[1] if len(shape) >= _GRAY_RANK else None
    return size


def load_own_base(
    path: Path, *, image_size: int, input_range: Sequence[float] | None, name: str
) -> "keras.Model":
    """Returns a model file as a frozen base, from raw colours to its own top.

    How a model of this pipeline brings its images to size and colours is taken away, since those
    of another data set come in their own size and colours. A model of gray images gets the gray of
    what it is given. Of a model of this pipeline that averages several members, the first is the
    base: all of them together have no cut above the part that they share.

    Args:
        path: A `.keras` or `.h5` file of built-in layers, functional or sequential.
        image_size: Height and width of what the base is given, pixels.
        input_range: What the model takes for black and white, if not raw uint8 images.
        name: What the returned model is called.

    Returns:
        (n, image_size, image_size, 3) float32 RGB in [0, 255] to the model's output.

    Raises:
        ConfigError: If the model is no graph from one input of images to one output, or takes
            images of another size only; else as `check_own_base`.
        SourceError: If the file cannot be loaded.
    """
    check_own_base(path, input_range=input_range)

    import keras

    from pipeline.bases.flat import flat_copy

    above = _above_preprocessing(_first_member(_load(path)), path)
    shape = tuple(above.input.shape[1:])
    inputs = keras.Input((image_size, image_size, 3), name="images")
    try:
        outputs = flat_copy(above, _front(inputs, shape, input_range))
    except ValueError as error:
        if shape[0] in (None, image_size):
            cure = " Set it to a larger one." if shape[0] is None else ""
            raise ConfigError(
                f"{path} cannot take images of {image_size} pixels: {one_line(error)}. Received: "
                f"image_size={image_size}.{cure}"
            ) from None
        raise ConfigError(
            f"{path} takes images of {shape[0]} pixels, and what it learned does not fit others: "
            f"{one_line(error)}. Received: image_size={image_size}. Set it to {shape[0]}."
        ) from None
    base = keras.Model(inputs, outputs, name=name)
    base.trainable = False
    return base


def _load(path: Path) -> "keras.Model":
    import keras

    from pipeline.bases.flat import functional

    found = read_model_file(path)
    try:
        with under_ending(path, found.ending) as file:
            model = keras.models.load_model(file, compile=False, safe_mode=True)
    except UNREADABLE as error:
        is_old = found.keras_version and not found.keras_version.startswith("3")
        writer = f" It was written by Keras {found.keras_version}." if is_old else ""
        raise SourceError(
            f"{path} cannot be loaded: {one_line(error)}.{writer} It must be a .keras or .h5 "
            "file of built-in layers."
        ) from None
    graph = functional(model)
    if graph is None or len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ConfigError(
            "model must be a functional or sequential model with one input and one output. "
            f"Received: model={path}, a {type(model).__name__}."
        )
    return graph


def _first_member(model: "keras.Model") -> "keras.Model":
    import keras

    from pipeline.bases.graph import nodes_in_order

    top = nodes_in_order(model)[-1]
    is_vote = top.operation.name == SOFT_VOTE
    return keras.Model(model.input, top.input_tensors[0]) if is_vote else model


def _above_preprocessing(model: "keras.Model", path: Path) -> "keras.Model":
    """Returns the part of a model that takes colours in [0, 255], or in its own range."""
    import keras

    from pipeline.bases.graph import nodes_in_order

    tensor = model.input
    if tensor.dtype == RAW:
        for node in nodes_in_order(model):
            if node.operation.name not in PREPROCESSING_LAYERS:
                break
            tensor = node.output_tensors[0]
    shape = tuple(tensor.shape[1:])
    is_image = len(shape) in (_GRAY_RANK - 1, _GRAY_RANK) and shape[0] == shape[1]
    if not is_image or (len(shape) == _GRAY_RANK and shape[-1] not in _CHANNELS):
        raise ConfigError(
            "model must take square images of one or three channels, channels last. Received: "
            f"model={path}, which takes {shape}."
        )
    return keras.Model(tensor, model.output)


def _front(inputs: Any, shape: tuple[int | None, ...], input_range: Sequence[float] | None) -> Any:
    """Returns colours in [0, 255] as a model of this input shape takes them."""
    from keras import layers

    x = inputs
    if input_range is not None:
        low, high = input_range
        x = layers.Rescaling((high - low) / 255, offset=low, name="to_input_range")(x)
    if len(shape) < _GRAY_RANK or shape[-1] == 1:
        to_gray = layers.Conv2D(1, 1, use_bias=False, name=TO_GRAY)
        x = to_gray(x)
        to_gray.set_weights([_gray_kernel()])
    if len(shape) < _GRAY_RANK:
        x = layers.Reshape(inputs.shape[1:3], name="drop_channel")(x)
    return x


def _gray_kernel() -> Any:
    import numpy as np

    return np.array(_GRAY_SHARES, np.float32).reshape(1, 1, 3, 1)
