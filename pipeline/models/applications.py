"""The families of `keras.applications` as bases: weights, scaling, and names that last."""

import os
import re
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import keras
from keras import layers

from pipeline.errors import SourceError
from pipeline.models.bases import BASES, IMAGENET, RANDOM, Scaling
from pipeline.models.graph import number_default_names

# Of ImageNet's training images, RGB in [0, 255]: what `keras.applications.imagenet_utils` has for
# its modes `caffe` and `torch`.
_CAFFE_MEAN: Final = (123.68, 116.779, 103.939)
_TORCH_MEAN: Final = tuple(255 * value for value in (0.485, 0.456, 0.406))
_TORCH_VARIANCE: Final = tuple((255 * value) ** 2 for value in (0.229, 0.224, 0.225))


def load_application(name: str, image_size: int, *, weights: str) -> keras.Model:
    """Returns a network of `keras.applications` with its scaling and averages on top.

    Args:
        name: A key of `BASES` that has a constructor.
        image_size: Height and width, pixels.
        weights: `imagenet`, from Keras' own cache or the network; `random`; or a file's path.

    Raises:
        SourceError: If the weights are neither here nor to be had, or the file holds others.
    """
    spec = BASES[name]
    inputs = keras.Input((image_size, image_size, 3), name="images")
    with _DownloadFailures(spec.constructor), warnings.catch_warnings():
        # MobileNet warns that the file is the one of 224 pixels: convolutions fit any size.
        warnings.filterwarnings("ignore", message="`input_shape` is undefined")
        network = getattr(keras.applications, spec.constructor)(
            include_top=False,
            weights=IMAGENET if weights == IMAGENET else None,
            input_tensor=_scale(inputs, spec.scaling),
            input_shape=(image_size, image_size, 3),
        )
    if weights not in (IMAGENET, RANDOM):
        _load_file(network, name, Path(weights))
    if spec.first_layer:
        _reverse_channels(network.get_layer(spec.first_layer))
    top = layers.GlobalAveragePooling2D(name="avg_pool")(network.output)
    model = keras.Model(inputs, top, name=name)
    number_default_names(model)
    return model


class _DownloadFailures:
    """Turns Keras' report of a failed download into a `SourceError`; all else passes.

    Keras raises a bare `Exception` here: an `except` for it would catch every bug as well.
    """

    def __init__(self, constructor: str) -> None:
        self._constructor = constructor

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        found = re.match(r"URL fetch failure on (\S+): (.*)", str(error), flags=re.DOTALL)
        if error is None or not found:
            return
        address, reason = found[1], " ".join(found[2].split())
        # As Keras finds its cache; its own function for it is not public.
        folder = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"), "models")
        raise SourceError(
            f"The ImageNet weights of {self._constructor} could not be downloaded: {address}: "
            f"{reason}. Bring that file from elsewhere and put it into {folder}, or set KERAS_HOME "
            "to the folder above; efficientnet_lite0 needs no download."
        ) from None


def _scale(inputs: Any, scaling: Scaling) -> Any:
    if scaling == "symmetric":
        return layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(inputs)
    if scaling == "centred_bgr":
        # Only the mean here: no layer reverses channels, so that the first convolution does.
        return layers.Normalization(mean=_CAFFE_MEAN, variance=(1.0,) * 3, name="scale")(inputs)
    if scaling == "standardized":
        return layers.Normalization(mean=_TORCH_MEAN, variance=_TORCH_VARIANCE, name="scale")(
            inputs
        )
    return inputs


def _load_file(network: keras.Model, name: str, path: Path) -> None:
    if not path.is_file():
        raise SourceError(f"The weights of {name} must be a file. Received: {path}.")
    try:
        with warnings.catch_warnings():
            # Where Keras warns that it skips layers, they would stay random.
            warnings.simplefilter("error", UserWarning)
            network.load_weights(path)
    except (OSError, ValueError, UserWarning) as error:
        raise SourceError(
            f"{path} does not hold the weights of {name}: {' '.join(str(error).split())[:300]}"
        ) from None


def _reverse_channels(layer: keras.layers.Layer) -> None:
    kernel, *rest = layer.get_weights()
    layer.set_weights([kernel[:, :, ::-1, :], *rest])
