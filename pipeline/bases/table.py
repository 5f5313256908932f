"""Pretrained bases by name, and how images are brought to them.

The table can be read without Keras. To add a family of `keras.applications`, add an entry below;
`tests/bases/test_table.py` builds it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pipeline.bases.model_files import check_weight_file
from pipeline.errors import ConfigError
from pipeline.registry import unknown_name

if TYPE_CHECKING:
    import keras

NO_BASE: Final = "none"
IMAGENET: Final = "imagenet"
RANDOM: Final = "random"
# What `preprocessing` calls its layers. A model that begins with them takes raw images.
RESIZE: Final = "resize"
PREPROCESSING_LAYERS: Final = ("to_float", "add_channel", RESIZE, "gray_to_rgb")
# Of a user's own model for gray images: the first layer of its base.
TO_GRAY: Final = "to_gray"
# The layer that averages the members' probabilities, where a model has several.
SOFT_VOTE: Final = "soft_vote"

Scaling = Literal["own", "symmetric", "centred_bgr", "standardized"]


@dataclass(frozen=True, kw_only=True)
class BaseSpec:
    """A network trained on ImageNet, without its classifier.

    Attributes:
        constructor: Its name in `keras.applications`; empty for `bases.efficientnet_lite`'s.
        min_image_size: Smallest height and width it accepts, pixels.
        scaling: What its weights expect of RGB in [0, 255]: `own`: the network scales by itself;
            `symmetric`: [-1, 1]; `centred_bgr`: the mean taken away and the channels reversed;
            `standardized`: zero mean and unit variance.
        first_layer: The convolution whose kernel takes what no layer does: reversed channels, and
            EfficientNet's further scaling, which Keras adds only to weights that it fetches itself.
        alphas: Widths that ImageNet weights exist for; empty if the family has one width.
        is_average_normalized: Whether the averages at its top are normalized, as in ConvNeXt.
    """

    constructor: str = ""
    min_image_size: int = 32
    scaling: Scaling
    first_layer: str = ""
    alphas: Sequence[float] = ()
    is_average_normalized: bool = False


@dataclass(frozen=True, kw_only=True)
class BaseSource:
    """What an entry of `embed.bases` was when the base was loaded; what does not apply is None.

    Attributes:
        model: A key of `BASES`, the path of a model file, or a `models:/` address.
        weights: What a base of the table has learned: `imagenet`, `random`, or a weight file.
        alpha: Its width relative to the published one, > 0.
        input_range: What a user's own model takes for black and white.
        registered_model: The name of a registered model.
        version: Its version, such as `3`.
        file_sha256: SHA-256 of a model's file, 64 hex digits.
    """

    model: str
    weights: str | None = None
    alpha: float | None = None
    input_range: Sequence[float] | None = None
    registered_model: str | None = None
    version: str | None = None
    file_sha256: str | None = None

    def known(self) -> dict[str, object]:
        """Returns what is not None, as JSON holds it."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        """Says what the base is, for people.

        >>> str(BaseSource(model="models:/pets@champion", registered_model="pets", version="3"))
        'models:/pets@champion: version 3 of pets'
        """
        known = self.known()
        keys = ("weights", "alpha", "input_range")
        details = [f"{key} {known[key]}" for key in keys if key in known]
        if self.version is not None:
            details.append(f"version {self.version} of {self.registered_model}")
        if self.file_sha256 is not None:
            details.append(f"sha256 {self.file_sha256[:8]}")
        return f"{self.model}: {', '.join(details)}" if details else self.model


def _family(names: dict[str, str], *, scaling: Scaling, **settings: Any) -> dict[str, BaseSpec]:
    return {
        name: BaseSpec(constructor=constructor, scaling=scaling, **settings)
        for name, constructor in names.items()
    }


# Those that come with the installation, and every network of keras.applications (3.15): each is one
# graph from one input to one output. In NASNet's, a cell takes the output of the last two, so that
# it has hardly a cut point.
BASES: Final[dict[str, BaseSpec]] = {
    "efficientnet_lite0": BaseSpec(scaling="own"),
    "efficientnet_lite1": BaseSpec(scaling="own"),
    "efficientnet_lite2": BaseSpec(scaling="own"),
    **_family({"mobilenet": "MobileNet"}, scaling="symmetric", alphas=(0.25, 0.5, 0.75, 1.0)),
    **_family(
        {"mobilenet_v2": "MobileNetV2"},
        scaling="symmetric",
        alphas=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
    ),
    **_family(
        {"mobilenet_v3_small": "MobileNetV3Small", "mobilenet_v3_large": "MobileNetV3Large"},
        scaling="own",
        alphas=(0.75, 1.0),
    ),
    **_family(
        {f"efficientnet_b{size}": f"EfficientNetB{size}" for size in range(8)},
        scaling="own",
        first_layer="stem_conv",
    ),
    **_family(
        {
            f"efficientnet_v2_{size.lower()}": f"EfficientNetV2{size}"
            for size in ("B0", "B1", "B2", "B3", "S", "M", "L")
        },
        scaling="own",
    ),
    **_family(
        {
            f"convnext_{size.lower()}": f"ConvNeXt{size}"
            for size in ("Tiny", "Small", "Base", "Large", "XLarge")
        },
        scaling="own",
        is_average_normalized=True,
    ),
    **_family(
        {f"resnet{depth}": f"ResNet{depth}" for depth in (50, 101, 152)},
        scaling="centred_bgr",
        first_layer="conv1_conv",
    ),
    **_family(
        {f"resnet{depth}_v2": f"ResNet{depth}V2" for depth in (50, 101, 152)}, scaling="symmetric"
    ),
    **_family(
        {f"densenet{depth}": f"DenseNet{depth}" for depth in (121, 169, 201)},
        scaling="standardized",
    ),
    **_family(
        {f"vgg{depth}": f"VGG{depth}" for depth in (16, 19)},
        scaling="centred_bgr",
        first_layer="block1_conv1",
    ),
    **_family(
        {"inception_v3": "InceptionV3", "inception_resnet_v2": "InceptionResNetV2"},
        scaling="symmetric",
        min_image_size=75,
    ),
    **_family({"xception": "Xception"}, scaling="symmetric", min_image_size=71),
    **_family(
        {"nasnet_mobile": "NASNetMobile", "nasnet_large": "NASNetLarge"}, scaling="symmetric"
    ),
}


def check_base(
    name: str, *, image_size: int, weights: str = IMAGENET, alpha: float | None = None
) -> None:
    """Refuses a base that the table does not have, or not like this; needs no Keras.

    Raises:
        ConfigError: If there is no such base, the images are too small, or the family has no such
            weights or width.
    """
    if name not in BASES:
        # Without the list: it has 43 names.
        known = unknown_name("base", name, list(BASES)).partition(" Choose")[0]
        raise ConfigError(
            f"{known} `python -m pipeline cuts --help` lists those that come by name; a .keras "
            "file or models:/NAME@ALIAS is given under `model`."
        )
    spec = BASES[name]
    if image_size < spec.min_image_size:
        raise ConfigError(
            f"{name} takes images of {spec.min_image_size} pixels or more. Received: "
            f"image_size={image_size}."
        )
    is_file = weights not in (IMAGENET, RANDOM)
    if is_file and not spec.constructor:
        raise ConfigError(
            f"{name} has the weights that come with the installation, or random ones. Received: "
            f"weights={weights}."
        )
    if is_file and not Path(weights).exists():
        raise ConfigError(
            f"weights must be imagenet, random, or a file that is there. Received: "
            f"weights={weights}."
        )
    if is_file:
        check_weight_file(Path(weights))
    _check_alpha(name, alpha, is_imagenet=weights == IMAGENET)


def _check_alpha(name: str, alpha: float | None, *, is_imagenet: bool) -> None:
    if alpha is None:
        return
    alphas = BASES[name].alphas
    if not alphas:
        with_alphas = ", ".join(other for other, spec in BASES.items() if spec.alphas)
        raise ConfigError(
            f"{name} comes in one width: alpha is for {with_alphas}. Received: alpha={alpha}."
        )
    if is_imagenet and alpha not in alphas:
        raise ConfigError(
            f"alpha of {name} must be one that ImageNet weights exist for: "
            f"{', '.join(map(str, alphas))}. Received: alpha={alpha}."
        )


def preprocessing(
    image_shape: tuple[int, ...], image_size: int | None, *, to_rgb: bool = True
) -> "keras.Model":
    """Returns the layers that bring images as they are stored to what a base or a head takes.

    Resizing is bilinear, averaging over all pixels where it shrinks; gray is repeated.

    Args:
        image_shape: (height, width) of gray images, (height, width, 3) of RGB.
        image_size: What the base takes, pixels; None for a head on the pixels as they are stored.
        to_rgb: Whether gray is repeated where `image_size` is given, as bases need it.

    Returns:
        (n, *image_shape) uint8 to (n, image_size, image_size, channels) float32 in [0, 255], or to
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
        resize = layers.Resizing(
            image_size, image_size, antialias=max(height, width) > image_size, name=RESIZE
        )
        # Keras takes its default, True, for all layers above it where a model is called plainly: a
        # head's batch normalization and dropout would be those of training.
        x = resize(x, training=False)
    if len(image_shape) == 2 and to_rgb:
        x = layers.Concatenate(name="gray_to_rgb")([x, x, x])
    return keras.Model(inputs, x, name="preprocessing")
