"""Pretrained bases by name, and how images are brought to them.

The table can be read without Keras. To add a family of `keras.applications`, add an entry below;
`tests/models/test_bases.py` builds it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pipeline.errors import ConfigError
from pipeline.registry import unknown_name

if TYPE_CHECKING:
    import keras

NO_BASE: Final = "none"
IMAGENET: Final = "imagenet"
RANDOM: Final = "random"

Scaling = Literal["own", "symmetric", "centred_bgr", "standardized"]


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
    "mobilenet_v3_small": BaseSpec(constructor="MobileNetV3Small", num_features=576, scaling="own"),
    "efficientnet_b0": BaseSpec(constructor="EfficientNetB0", num_features=1280, scaling="own"),
    "efficientnet_v2_b0": BaseSpec(
        constructor="EfficientNetV2B0", num_features=1280, scaling="own"
    ),
    "resnet50": BaseSpec(
        constructor="ResNet50", num_features=2048, scaling="centred_bgr", first_layer="conv1_conv"
    ),
    "densenet121": BaseSpec(constructor="DenseNet121", num_features=1024, scaling="standardized"),
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
        weights: `imagenet`, or `random` for a network that knows nothing; for those of
            `keras.applications` also the path of a weight file in Keras' format.

    Returns:
        (n, image_size, image_size, 3) float32 RGB in [0, 255] to (n, num_features). Scaling is part
        of it, nothing of it is trainable, and layers have the same names in every process.

    Raises:
        ConfigError: If the name is unknown or the images are too small.
        SourceError: If the weights are neither here nor to be had.
    """
    check_base(name, image_size=image_size)

    from pipeline.models.applications import load_application
    from pipeline.models.efficientnet_lite0 import (
        build_efficientnet_lite0,
        load_efficientnet_lite0,
    )

    if BASES[name].constructor:
        model = load_application(name, image_size, weights=weights)
    elif weights == RANDOM:
        model = build_efficientnet_lite0(image_size)
    else:
        model = load_efficientnet_lite0(image_size)
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
