"""Reads a user's own arrays from an .npz file, and says what is wrong with them.

Values are checked, not converted: whether floats run to 1 or to 255, only their owner knows.
"""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.labelled import LabelledImages
from pipeline.data.parts import PARTS
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.files import sha256_file

_KEYS = "`images` and `labels`, or `x_train`, `y_train` (and the same of val, confirmation, test)"
# A label beyond this is a mistake, such as an identifier; the class list would be as long.
_MOST_CLASSES = 65_535


def read_npz(path: Path) -> LabelledImages:
    """Reads `images` and `labels`, or Keras' `x_train`, `y_train`, `x_test`, `y_test`.

    Images are uint8 of shape (n, h, w), (n, h, w, 1) or (n, h, w, 3); labels integers of shape (n,)
    or (n, 1) that count the classes from 0. `class_names`, an array of C strings, is optional; the
    classes are called "0", "1" and so on without it.

    Args:
        path: The file, or the folder with `images.npz`.

    Raises:
        ConfigError: If there is no such file.
        DataIntegrityError: If it is no .npz file, holds Python objects, or any array is not as
            above. The message names the first bad index and value, and how to convert.
    """
    file = path / "images.npz" if path.is_dir() else path
    arrays = _read_arrays(file)
    keys = _keys_of_parts(arrays, file)
    images = [_checked_images(arrays[x], x, file) for x, _ in keys.values()]
    labels = [
        _checked_labels(arrays[y], y, file, num_images=len(part_images))
        for (_, y), part_images in zip(keys.values(), images, strict=True)
    ]
    if len({part_images.shape[1:] for part_images in images}) > 1:
        shapes = ", ".join(f"{x}.shape={arrays[x].shape}" for x, _ in keys.values())
        raise DataIntegrityError(f"{file}: all images must have one shape. Received: {shapes}.")
    return LabelledImages(
        images=np.concatenate(images),
        labels=np.concatenate(labels),
        parts=np.repeat(list(keys), [len(part) for part in labels]),
        class_names=_class_names(arrays, max(int(part.max()) for part in labels) + 1, file),
        files={file.name: sha256_file(file)},
    )


def _read_arrays(file: Path) -> dict[str, NDArray[Any]]:
    try:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("a single array, without a name")
        with archive:
            return {name: archive[name] for name in archive}
    except FileNotFoundError:
        raise ConfigError(
            f"fetch.path must be an .npz file, or a folder with images.npz. Received: no {file}."
        ) from None
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        # NumPy advises to allow pickles, which would run whatever the file says.
        reason = "Python objects, or no arrays" if "pickle" in str(error) else error
        raise DataIntegrityError(
            f"{file} must be an .npz file of plain arrays. Received: {reason}. "
            "Write it with numpy.savez."
        ) from None


def _keys_of_parts(arrays: Mapping[str, NDArray[Any]], file: Path) -> dict[str, tuple[str, str]]:
    """Returns the names of the images and the labels of each part."""
    divided = {part: (f"x_{part}", f"y_{part}") for part in PARTS if f"x_{part}" in arrays}
    keys = divided if "train" in divided else {"train": ("images", "labels")}
    wanted = {name for pair in keys.values() for name in pair}
    known = {*wanted, "class_names"}
    if not wanted <= arrays.keys() or not arrays.keys() <= known:
        raise DataIntegrityError(
            f"{file} must hold {_KEYS}, `class_names` if you like, and nothing else. "
            f"Received: {', '.join(sorted(arrays)) or 'nothing'}."
        )
    return keys


def _checked_images(images: NDArray[Any], name: str, file: Path) -> NDArray[np.uint8]:
    where = f"{file}: `{name}`"
    if images.dtype != np.uint8:
        raise DataIntegrityError(
            f"{where} must be uint8, 0 to 255. Received: dtype={images.dtype}"
            f"{_range_of(images)}. Convert it, for values of 0 to 1 with "
            "`(images * 255).round().astype('uint8')`, for 0 to 255 with `.astype('uint8')`."
        )
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if not (images.ndim == 3 or (images.ndim == 4 and images.shape[-1] == 3)) or not images.size:
        raise DataIntegrityError(
            f"{where} must have shape (n, h, w), (n, h, w, 1) or (n, h, w, 3). "
            f"Received: shape={images.shape}."
        )
    return images


def _checked_labels(
    labels: NDArray[Any], name: str, file: Path, *, num_images: int
) -> NDArray[np.int64]:
    where = f"{file}: `{name}`"
    if labels.shape not in {(num_images,), (num_images, 1)}:
        hint = " Convert one-hot rows with `.argmax(axis=1)`." if labels.ndim == 2 else ""
        raise DataIntegrityError(
            f"{where} must have one label for each of {num_images} images. "
            f"Received: shape={labels.shape}.{hint}"
        )
    labels = labels.ravel()
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataIntegrityError(
            f"{where} must be integers, also where floats are whole. Received: "
            f"dtype={labels.dtype}{_first_odd(labels)}. Convert it with `.astype('int64')`."
        )
    bad = np.flatnonzero((labels < 0) | (labels > _MOST_CLASSES))
    if len(bad):
        raise DataIntegrityError(
            f"{where} must count the classes from 0, up to {_MOST_CLASSES:,}. "
            f"Received: {name}[{bad[0]}]={labels[bad[0]]}."
        )
    return labels.astype(np.int64)


def _class_names(
    arrays: Mapping[str, NDArray[Any]], num_classes: int, file: Path
) -> tuple[str, ...]:
    if "class_names" not in arrays:
        return tuple(str(number) for number in range(num_classes))
    names = arrays["class_names"]
    if names.dtype.kind != "U" or names.ndim != 1 or len(set(names.tolist())) < len(names):
        raise DataIntegrityError(
            f"{file}: `class_names` must be a list of different strings. "
            f"Received: dtype={names.dtype}, shape={names.shape}."
        )
    return tuple(names.tolist())


def _range_of(images: NDArray[Any]) -> str:
    if not np.issubdtype(images.dtype, np.number) or not images.size:
        return ""
    bad = np.argwhere(~np.isfinite(images))
    if len(bad):
        index = ", ".join(map(str, bad[0]))
        return f", {len(bad)} values that are no numbers, the first at [{index}]"
    return f", values of {images.min():g} to {images.max():g}"


def _first_odd(labels: NDArray[Any]) -> str:
    if not np.issubdtype(labels.dtype, np.floating):
        return ""
    odd = np.flatnonzero(~np.isfinite(labels) | (labels != np.round(labels)))
    return f", labels[{odd[0]}]={labels[odd[0]]:g}" if len(odd) else ""
