"""Pretrained bases by name, and how images are brought to them.

The table can be read without Keras. To add a family of `keras.applications`, add an entry below;
`tests/models/test_bases.py` builds it.
"""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pipeline.errors import ConfigError, SourceError
from pipeline.registry import unknown_name

if TYPE_CHECKING:
    import keras

NO_BASE: Final = "none"
IMAGENET: Final = "imagenet"
RANDOM: Final = "random"

Scaling = Literal["own", "symmetric", "centred_bgr", "standardized"]

# Of ImageNet's training images, RGB in [0, 255]: what `keras.applications.imagenet_utils` has for
# its modes `caffe` and `torch`.
_MEAN: Final = (123.68, 116.779, 103.939)
_TORCH_MEAN: Final = tuple(255 * value for value in (0.485, 0.456, 0.406))
_TORCH_DEVIATION: Final = tuple(255 * value for value in (0.229, 0.224, 0.225))


@dataclass(frozen=True, kw_only=True)
class BaseSpec:
    """A network trained on ImageNet, without its classifier.

    Attributes:
        constructor: Its name in `keras.applications`; empty for `efficientnet_lite0`.
        min_image_size: Smallest height and width it accepts, pixels.
        num_features: Channels of its last feature map.
        scaling: What its weights expect of RGB in [0, 255]: `own`: the network scales by itself;
            `symmetric`: [-1, 1]; `centred_bgr`: the mean taken away and the channels reversed;
            `standardized`: zero mean and unit variance.
        first_layer: The convolution that takes the reversed channels, if scaling reverses them.
    """

    constructor: str = ""
    min_image_size: int = 32
    num_features: int
    scaling: Scaling
    first_layer: str = ""


BASES: Final[dict[str, BaseSpec]] = {
    "efficientnet_lite0": BaseSpec(num_features=1280, scaling="own"),
    "mobilenet": BaseSpec(constructor="MobileNet", num_features=1024, scaling="symmetric"),
    "mobilenet_v2": BaseSpec(constructor="MobileNetV2", num_features=1280, scaling="symmetric"),
    "mobilenet_v3_small": BaseSpec(
        constructor="MobileNetV3Small", num_features=576, scaling="own"
    ),
    "efficientnet_b0": BaseSpec(constructor="EfficientNetB0", num_features=1280, scaling="own"),
    "efficientnet_v2_b0": BaseSpec(
        constructor="EfficientNetV2B0", num_features=1280, scaling="own"
    ),
    "resnet50": BaseSpec(
        constructor="ResNet50", num_features=2048, scaling="centred_bgr", first_layer="conv1_conv"
    ),
    "densenet121": BaseSpec(
        constructor="DenseNet121", num_features=1024, scaling="standardized"
    ),
    "vgg16": BaseSpec(
        constructor="VGG16", num_features=512, scaling="centred_bgr", first_layer="block1_conv1"
    ),
    "inception_v3": BaseSpec(
        constructor="InceptionV3", num_features=2048, scaling="symmetric", min_image_size=75
    ),
    "xception": BaseSpec(
        constructor="Xception", num_features=2048, scaling="symmetric", min_image_size=71
    ),
}


def check_base(name: str, *, image_size: int) -> None:
    """Refuses a base that does not exist or images too small for it; needs no Keras.

    Raises:
        ConfigError: Naming what must hold.
    """
    if name not in BASES:
        raise ConfigError(unknown_name("base", name, list(BASES)))
    smallest = BASES[name].min_image_size
    if image_size < smallest:
        raise ConfigError(
            f"{name} takes images of {smallest} pixels or more. Received: image_size={image_size}."
        )


def load_base(name: str, *, image_size: int, weights: str = IMAGENET) -> "keras.Model":
    """Returns a frozen base, from raw colours to the averages of its last feature map.

    Args:
        name: A key of `BASES`.
        image_size: Height and width, pixels, at least the entry's smallest.
        weights: `imagenet`; `random`; or the path of a weight file in Keras' format.

    Returns:
        (n, image_size, image_size, 3) float32 RGB in [0, 255] to (n, num_features). Scaling is part
        of it, nothing of it is trainable, and layers have the same names in every process.

    Raises:
        ConfigError: If the name is unknown or the images are too small.
        SourceError: If the weights are neither here nor to be had.
    """
    check_base(name, image_size=image_size)
    if name == "efficientnet_lite0":
        model = _load_lite0(image_size, weights)
    else:
        model = _load_application(name, image_size, weights)
    model.trainable = False
    return model


def preprocessing(image_shape: tuple[int, ...], image_size: int | None) -> "keras.Model":
    """Returns the layers that bring images as they are stored to what a base or a head takes.

    Resizing is bilinear, averaging over all pixels where it shrinks; gray is repeated.

    Args:
        image_shape: (height, width) of gray images, (height, width, 3) of RGB.
        image_size: What the base takes, pixels; None for a head on the pixels themselves.

    Returns:
        (n, *image_shape) uint8 to (n, image_size, image_size, 3) float32 in [0, 255], or to
        (n, height, width, channels) float32 in [0, 255].
    """
    import keras
    from keras import layers

    inputs = keras.Input(image_shape, dtype="uint8", name="images")
    # A factor of 1, for the cast: Keras has no layer for it, and resizing uint8 would round.
    x = layers.Rescaling(1.0, name="to_float")(inputs)
    height, width = image_shape[:2]
    if len(image_shape) == 2:
        x = layers.Reshape((height, width, 1), name="add_channel")(x)
    if image_size is None:
        return keras.Model(inputs, x, name="preprocessing")
    if (height, width) != (image_size, image_size):
        x = layers.Resizing(
            image_size, image_size, antialias=max(height, width) > image_size, name="resize"
        )(x)
    if len(image_shape) == 2:
        x = layers.Concatenate(name="gray_to_rgb")([x, x, x])
    return keras.Model(inputs, x, name="preprocessing")


def _load_lite0(image_size: int, weights: str) -> "keras.Model":
    from pipeline.models.efficientnet_lite0 import (
        build_efficientnet_lite0,
        load_efficientnet_lite0,
    )

    if weights == IMAGENET:
        return load_efficientnet_lite0(image_size)
    model = build_efficientnet_lite0(image_size)
    if weights != RANDOM:
        _load_weights(model, "efficientnet_lite0", Path(weights))
    return model


def _load_application(name: str, image_size: int, weights: str) -> "keras.Model":
    import keras
    from keras import layers

    from pipeline.models.graph import number_default_names

    spec = BASES[name]
    inputs = keras.Input((image_size, image_size, 3), name="images")
    scaled = _scale(inputs, spec.scaling)
    network = _build_network(
        spec.constructor, scaled, image_size, IMAGENET if weights == IMAGENET else None
    )
    if weights not in (IMAGENET, RANDOM):
        _load_weights(network, name, Path(weights))
    if spec.first_layer:
        _reverse_channels(network.get_layer(spec.first_layer))
    top = layers.GlobalAveragePooling2D(name="avg_pool")(network.output)
    model = keras.Model(inputs, top, name=name)
    number_default_names(model)
    return model


def _scale(inputs: Any, scaling: Scaling) -> Any:
    from keras import layers

    if scaling == "symmetric":
        return layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(inputs)
    if scaling == "centred_bgr":
        # Only the mean here: the reversal is in the first convolution, since no layer reverses.
        return layers.Normalization(mean=_MEAN, variance=(1.0,) * 3, name="scale")(inputs)
    if scaling == "standardized":
        variance = tuple(value**2 for value in _TORCH_DEVIATION)
        return layers.Normalization(mean=_TORCH_MEAN, variance=variance, name="scale")(inputs)
    return inputs


def _build_network(
    constructor: str, inputs: Any, image_size: int, weights: str | None
) -> "keras.Model":
    import keras

    build = getattr(keras.applications, constructor)
    shape = (image_size, image_size, 3)
    try:
        with warnings.catch_warnings():
            # MobileNet warns that the file is the one of 224 pixels: convolutions fit any size.
            warnings.filterwarnings("ignore", message="`input_shape` is undefined")
            return build(
                include_top=False, weights=weights, input_tensor=inputs, input_shape=shape
            )
    # Keras has no class of its own for a download that failed; anything else goes on.
    except Exception as error:
        found = re.match(r"URL fetch failure on (\S+): (.*)", str(error), flags=re.DOTALL)
        if not found:
            raise
        raise SourceError(_not_downloaded(constructor, *found.groups())) from None


def _not_downloaded(constructor: str, address: str, reason: str) -> str:
    import keras

    folder = Path(keras.config.keras_home(), "models")
    return (
        f"The ImageNet weights of {constructor} could not be downloaded: {address}: "
        f"{' '.join(reason.split())}. Bring that file from elsewhere and put it into {folder}, or "
        "set KERAS_HOME to the folder above it; efficientnet_lite0 needs no download."
    )


def _load_weights(model: "keras.Model", name: str, path: Path) -> None:
    if not path.is_file():
        raise SourceError(f"The weights of {name} must be a file. Received: {path}.")
    try:
        model.load_weights(path)
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{path} does not hold the weights of {name}: {' '.join(str(error).split())}"
        ) from None


def _reverse_channels(layer: "keras.layers.Layer") -> None:
    kernel, *rest = layer.get_weights()
    layer.set_weights([kernel[:, :, ::-1, :], *rest])


