"""The families of `keras.applications` as bases: weights, scaling, and names that last."""

import os
import re
import socket
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import keras
import numpy as np
from keras import layers
from keras.src.utils import file_utils

from pipeline.bases.graph import number_default_names
from pipeline.bases.model_files import (
    UNREADABLE,
    has_classifier,
    one_line,
    under_ending,
    weight_ending,
)
from pipeline.bases.table import BASES, IMAGENET, RANDOM, BaseSpec, Scaling
from pipeline.errors import SourceError

# Of ImageNet's training images, RGB in [0, 255]: what `keras.applications.imagenet_utils` has for
# its modes `caffe` and `torch`.
_CAFFE_MEAN: Final = (123.68, 116.779, 103.939)
_TORCH_DEVIATION: Final = (0.229, 0.224, 0.225)
_TORCH_MEAN: Final = tuple(255 * value for value in (0.485, 0.456, 0.406))
_TORCH_VARIANCE: Final = tuple((255 * value) ** 2 for value in _TORCH_DEVIATION)
# The published statistics are rounded to three digits; a network's own are never that near.
_SAME_STATISTICS: Final = 1e-3
# A server that has nothing to say for so long will not; Keras itself waits for ever.
_SILENCE_SECONDS: Final = 30.0


def load_application(
    name: str, image_size: int, *, weights: str, alpha: float | None = None
) -> keras.Model:
    """Returns a network of `keras.applications` with its scaling and averages on top.

    Args:
        name: A key of `BASES` that has a constructor.
        image_size: Height and width of the images that it is to take, pixels.
        weights: `imagenet`, from Keras' own cache (`$KERAS_HOME/models`) or, if they are not in it,
            the network; `random`; or a file's path.
        alpha: Width of the network; None: that of the published one.

    Raises:
        SourceError: If the weights are neither here nor to be had, or the file holds others.
    """
    spec = BASES[name]
    inputs = keras.Input((image_size, image_size, 3), name="images")
    options: dict[str, Any] = {} if alpha is None else {"alpha": alpha}
    if spec.is_average_normalized:
        options["pooling"] = "avg"
    is_fetched = weights == IMAGENET
    with ExitStack() as stack:
        if is_fetched:
            stack.enter_context(_FetchFailures(spec.constructor))
            stack.enter_context(_cache_that_is_read_only())
        stack.enter_context(warnings.catch_warnings())
        # MobileNet warns that the file is the one of 224 pixels: convolutions fit any size.
        warnings.filterwarnings("ignore", message="`input_shape` is undefined")
        network = getattr(keras.applications, spec.constructor)(
            include_top=False,
            weights=IMAGENET if is_fetched else None,
            input_tensor=_scale(inputs, spec.scaling),
            input_shape=(image_size, image_size, 3),
            **options,
        )
    is_file = weights not in (IMAGENET, RANDOM)
    if is_file:
        _load_file(network, name, Path(weights))
    if spec.scaling == "centred_bgr":
        _reverse_channels(network.get_layer(spec.first_layer))
    elif spec.first_layer and is_file:
        _scale_as_fetched(network, network.get_layer(spec.first_layer))
    model = keras.Model(inputs, _top(network, spec), name=name)
    number_default_names(model)
    return model


class _FetchFailures:
    """Turns what Keras says when it cannot fetch weights into a `SourceError`; bugs pass.

    Keras raises a bare `Exception` where a download fails: an `except` for it would catch every
    bug as well.
    """

    def __init__(self, constructor: str) -> None:
        self._constructor = constructor
        self._timeout: float | None = None

    def __enter__(self) -> None:
        self._timeout = socket.getdefaulttimeout()
        socket.setdefaulttimeout(_SILENCE_SECONDS)

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        socket.setdefaulttimeout(self._timeout)
        folder = _cache_folder()
        found = re.match(r"URL fetch failure on (\S+): (.*)", str(error), flags=re.DOTALL)
        if found:
            file = folder / found[1].rpartition("/")[2]
            raise SourceError(
                f"The ImageNet weights of {self._constructor} could not be downloaded: {found[1]}: "
                f"{one_line(found[2])}. Bring that file from elsewhere and put it here: {file}; "
                "or set KERAS_HOME to the folder above models; a file there with another hash does "
                "not count. efficientnet_lite0 to 2 need no download."
            ) from None
        # Of HDF5, of a hash, of shapes or of silence: options were checked before.
        if isinstance(error, UNREADABLE):
            raise SourceError(
                f"The ImageNet weights of {self._constructor} in {folder} cannot be used: "
                f"{one_line(error)}. Delete that file, so that it is fetched again."
            ) from None


def _cache_folder() -> Path:
    """Finds Keras' cache as Keras does; its own function for it is not public."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras"), "models").expanduser()


@contextmanager
def _cache_that_is_read_only() -> Iterator[None]:
    """Lets Keras use what lies in its cache though it may not write there.

    Keras 3.15 then takes a folder below /tmp instead, does not look into its cache at all, and
    fetches what may lie there. A file of another hash than Keras names is fetched all the same.
    """
    folder, get_file = _cache_folder(), file_utils.get_file

    def find_or_get(name: str, *origin: str, **options: Any) -> Any:
        expected, file = options.get("file_hash"), folder / name
        if file.is_file() and (not expected or file_utils.validate_file(file, expected)):
            return str(file)
        return get_file(name, *origin, **options)

    if not os.access(folder.parent, os.W_OK):
        file_utils.get_file = find_or_get
    try:
        yield
    finally:
        file_utils.get_file = get_file


def _top(network: keras.Model, spec: BaseSpec) -> Any:
    if not spec.is_average_normalized:
        return layers.GlobalAveragePooling2D(name="avg_pool")(network.output)
    *_, average, normalization = network.layers
    average.name, normalization.name = "avg_pool", "avg_norm"
    return network.output


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
    try:
        with warnings.catch_warnings():
            # Where Keras warns that it skips layers, they would stay random.
            warnings.simplefilter("error", UserWarning)
            with under_ending(path, weight_ending(path)) as file:
                network.load_weights(file)
    except (*UNREADABLE, UserWarning) as error:
        if not isinstance(error, OSError) and has_classifier(path):
            raise SourceError(
                f"{path} holds the weights of a network with its classifier. Take the file whose "
                f"name ends in notop, or save {name} with include_top=False."
            ) from None
        raise SourceError(
            f"{path} does not hold the weights of {name}: {one_line(error)}. A file without "
            "the classifier is needed, of the same alpha if the family has one."
        ) from None


def _reverse_channels(layer: keras.layers.Layer) -> None:
    kernel, *rest = layer.get_weights()
    layer.set_weights([kernel[:, :, ::-1, :], *rest])


def _scale_as_fetched(network: keras.Model, layer: keras.layers.Layer) -> None:
    """Puts into EfficientNet's first kernel what Keras adds only to weights that it fetches itself.

    The published file has each channel's deviation where its normalization wants the variance, so
    that the published weights want a further division by the square root of the deviation. A
    network that was not made of them has statistics of its own, and wants none.
    """
    (normalization,) = [x for x in network.layers if isinstance(x, layers.Normalization)]
    published = np.array(_TORCH_DEVIATION, np.float32)
    if not np.allclose(normalization.adapt_variance, published, rtol=_SAME_STATISTICS):
        return
    kernel, *rest = layer.get_weights()
    layer.set_weights([kernel / np.sqrt(published).reshape(1, 1, 3, 1), *rest])
