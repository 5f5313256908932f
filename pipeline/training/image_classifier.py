"""A model file that answers for pixels and for image files, by class name.

It imports little, since a registered model holds a copy of it to be served with.
"""

import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.data.images import ValueRange, load_image
from pipeline.errors import DataIntegrityError

if TYPE_CHECKING:
    import keras

IMAGES_AT_A_TIME: Final = 64
RGB_RANK: Final = 3


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a classifier says of an image.

    Attributes:
        likeliest: Name of the class with the largest probability.
        probabilities: By class name; they sum to 1.
    """

    likeliest: str
    probabilities: Mapping[str, float]


class ImageClassifier:
    """A model that answers requests.

    Args:
        model: uint8 images to probabilities, shape (n, num_classes).
        class_names: One for each of its outputs.
        value_range: What is black and white in gray of more than 8 bits; None: 0 and 65535.

    Attributes:
        model: As it was given.
        class_names: Likewise.
    """

    def __init__(
        self,
        model: "keras.Model",
        class_names: Sequence[str],
        value_range: ValueRange | None = None,
    ) -> None:
        import tensorflow as tf

        self.model = model
        self.class_names = class_names
        self._value_range = value_range
        self._shape = tuple(model.input_shape[1:])
        self._compute = tf.function(
            lambda images: model(images, training=False),
            input_signature=[tf.TensorSpec(model.input_shape, tf.uint8)],
            autograph=False,
        )

    def __call__(self, given: object) -> list[Answer]:
        """Returns the likeliest class and the probability of each, for each image in order.

        Args:
            given: Pixels, integers from 0 to 255, shape (n, height, width) or
                (n, height, width, 3) as the model takes them; or n image files, such as JPEG or
                PNG, each a path, bytes, or base64 text. A data frame or a mapping of one column is
                that column.

        Raises:
            DataIntegrityError: If it is none of these.
        """
        images = self._images(_column(given))
        starts = range(0, len(images), IMAGES_AT_A_TIME)
        rows = [self._compute(images[start : start + IMAGES_AT_A_TIME]).numpy() for start in starts]
        return [
            Answer(
                likeliest=self.class_names[int(row.argmax())],
                probabilities=dict(zip(self.class_names, map(float, row), strict=True)),
            )
            for row in np.concatenate(rows)
        ]

    def _images(self, given: Any) -> NDArray[np.uint8]:
        is_empty = not isinstance(given, Sequence | np.ndarray) or len(given) == 0
        if not is_empty and all(isinstance(one, str | bytes | Path) for one in given):
            return np.stack([self._decoded(one, number) for number, one in enumerate(given)])
        wanted = f"integers from 0 to 255 of shape (n, {', '.join(map(str, self._shape))})"
        problem = f"Images must be {wanted}, or files such as JPEG or PNG in base64. Received: "
        try:
            pixels = np.asarray([] if is_empty else given)
        except ValueError:
            raise DataIntegrityError(f"{problem}lists of different lengths.") from None
        if pixels.shape[1:] != self._shape:
            raise DataIntegrityError(f"{problem}shape {pixels.shape}.")
        if pixels.dtype.kind not in "iu":
            raise DataIntegrityError(f"{problem}values of type {pixels.dtype}.")
        if pixels.min() < 0 or pixels.max() > np.iinfo(np.uint8).max:
            raise DataIntegrityError(f"{problem}values from {pixels.min()} to {pixels.max()}.")
        return pixels.astype(np.uint8)

    def _decoded(self, file: str | bytes | Path, number: int) -> NDArray[np.uint8]:
        height = self._shape[0]
        if self._shape not in [(height, height), (height, height, 3)]:
            raise DataIntegrityError(f"This model takes pixels alone, of shape (n, {height}, ...).")
        color: Literal["rgb", "gray"] = "rgb" if len(self._shape) == RGB_RANK else "gray"
        try:
            return load_image(
                file if isinstance(file, Path) else io.BytesIO(_content(file)),
                image_size=height,
                color=color,
                value_range=self._value_range,
            )
        except DataIntegrityError as error:
            raise DataIntegrityError(f"Image {number}: {error}") from None


def _content(file: str | bytes) -> bytes:
    if isinstance(file, bytes):
        return file
    try:
        return base64.b64decode(file, validate=True)
    except binascii.Error as error:
        raise DataIntegrityError(
            f"it is no base64 text, which a string must be: {error}. A path is a pathlib.Path."
        ) from None


def _column(given: Any) -> Any:
    """Returns the only column of a data frame or of a mapping; anything else as it is."""
    if hasattr(given, "columns"):
        given = {str(name): given[name].tolist() for name in given.columns}
    if not isinstance(given, Mapping):
        return given
    if len(given) != 1:
        raise DataIntegrityError(
            f"Images must be in one column. Received: {sorted(map(str, given))}."
        )
    (values,) = given.values()
    return values


def load_image_classifier(
    file: Path, class_names: Sequence[str], value_range: ValueRange | None
) -> ImageClassifier:
    """Loads a `.keras` file of built-in layers; the arguments are those of `ImageClassifier`."""
    import keras

    model = keras.models.load_model(file, compile=False, safe_mode=True)
    return ImageClassifier(model, class_names, value_range)
