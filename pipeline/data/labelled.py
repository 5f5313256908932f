"""A dataset as the pipeline knows it: labelled images, their division, and the files they were in.

Owns `data/raw/`: three arrays and a manifest, which is written last and names their hashes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.parts import PARTS
from pipeline.errors import DataIntegrityError
from pipeline.files import read_json, sha256_arrays, write_json, write_whole

MANIFEST = "manifest.json"
_ARRAYS = ("images", "labels", "parts")


@dataclass(frozen=True, kw_only=True)
class LabelledImages:
    """Images with one class each, in the dataset's own order.

    Attributes:
        images: uint8, shape (n, h, w) if gray, (n, h, w, 3) if RGB.
        labels: int64, shape (n,), each in 0..C-1.
        parts: The dataset's own division, shape (n,), each of `PARTS`; all "train" if it has none.
        class_names: C names; class c is `class_names[c]`.
        files: SHA-256 of each source file, by name.
        left_out: Number of files that are not used, by reason.
        layout: What of a folder was taken for what.
        value_range: What became black and white in pixels of more than 8 bits; None if none were.
        source: What `fetch` was told to read: `dataset`, and of one's own images `path` and `name`.
        image_files: The file of each image, below `path`; empty where one file holds many.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    parts: NDArray[np.str_]
    class_names: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    layout: Mapping[str, object] = field(default_factory=dict)
    value_range: tuple[float, float] | None = None
    source: Mapping[str, str] = field(default_factory=dict)
    image_files: Sequence[str] = ()


def undivided(num_images: int) -> NDArray[np.str_]:
    """Returns the `parts` of a dataset without a division of its own."""
    return np.full(num_images, "train")


def check_labelled(data: LabelledImages) -> None:
    """Refuses what no later stage could use.

    Raises:
        DataIntegrityError: If types or shapes differ from those of `LabelledImages`, a label is out
            of range, there are fewer than two classes, or a class has no training image. The
            message names the first bad index and value.
    """
    images = data.images
    is_gray, is_rgb = images.ndim == 3, images.ndim == 4 and images.shape[-1] == 3
    if images.dtype != np.uint8 or not (is_gray or is_rgb) or 0 in images.shape:
        raise DataIntegrityError(
            "Images must be uint8 with shape (n, h, w) or (n, h, w, 3). "
            f"Received: dtype={images.dtype}, shape={images.shape}."
        )
    if data.labels.shape != (len(images),) or data.parts.shape != (len(images),):
        raise DataIntegrityError(
            "There must be one label and one part for each image. Received: "
            f"{len(images)} images, labels.shape={data.labels.shape}, "
            f"parts.shape={data.parts.shape}."
        )
    if data.labels.dtype != np.int64:
        raise DataIntegrityError(f"Labels must be int64. Received: dtype={data.labels.dtype}.")
    check_labels(data.labels, data.class_names)
    bad_parts = np.flatnonzero(~np.isin(data.parts, PARTS))
    if len(bad_parts):
        first = bad_parts[0]
        raise DataIntegrityError(
            f"Every part must be one of {', '.join(PARTS)}. "
            f"Received: parts[{first}]={str(data.parts[first])!r}."
        )
    in_train = np.bincount(data.labels[data.parts == "train"], minlength=len(data.class_names))
    absent = [name for name, n in zip(data.class_names, in_train, strict=True) if n == 0]
    if absent:
        raise DataIntegrityError(
            f"Every class needs images to train on. Received: none of {', '.join(absent)} in the "
            "train part. Add some, or remove the class."
        )


def check_labels(labels: NDArray[Any], class_names: tuple[str, ...]) -> None:
    """Refuses labels that do not count `class_names` from 0, naming the first bad one.

    Raises:
        DataIntegrityError: If there are fewer than two classes, or a label is out of 0..C-1.
    """
    num_classes = len(class_names)
    if num_classes < 2:
        raise DataIntegrityError(
            "A classifier needs at least two classes. "
            f"Received: {', '.join(class_names) or 'none'}."
        )
    bad = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(bad):
        raise DataIntegrityError(
            f"Every label must be in 0..{num_classes - 1}, one for each class. "
            f"Received: labels[{bad[0]}]={labels[bad[0]]}, and {len(bad) - 1} more."
        )


def save_raw(data: LabelledImages, folder: Path, *, dataset: str) -> None:
    """Writes `data` to `folder`; the manifest comes last, so that its presence means all is there.

    Equal data gives equal bytes: the manifest holds no time and no address.
    """
    manifest = folder / MANIFEST
    manifest.unlink(missing_ok=True)
    for name in _ARRAYS:
        with write_whole(folder / f"{name}.npy") as part:
            np.save(part, getattr(data, name), allow_pickle=False)
    counts = {name: int(np.sum(data.parts == name)) for name in PARTS}
    write_json(
        manifest,
        {
            "dataset": dataset,
            "source": dict(data.source),
            "class_names": list(data.class_names),
            "image_shape": list(data.images.shape[1:]),
            "num_images": len(data.images),
            "parts": {name: count for name, count in counts.items() if count},
            "files": dict(data.files),
            "left_out": dict(data.left_out),
            "layout": dict(data.layout),
            "value_range": data.value_range,
            "image_files": list(data.image_files),
            "sha256": {name: sha256_arrays(getattr(data, name)) for name in _ARRAYS},
        },
    )


def load_raw(folder: Path) -> tuple[str, LabelledImages]:
    """Reads what `save_raw` wrote, and checks its hashes.

    Returns:
        The dataset's name, and its images.

    Raises:
        DataIntegrityError: If a file is missing, unreadable or changed.
    """
    again = "Run `python -m pipeline fetch` again."
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        arrays = {
            # Images are mapped: they need not fit into memory.
            name: np.load(
                folder / f"{name}.npy", "r" if name == "images" else None, allow_pickle=False
            )
            for name in _ARRAYS
        }
    except FileNotFoundError as error:
        raise DataIntegrityError(f"{error.filename} is missing. {again}") from None
    except (ValueError, EOFError) as error:
        raise DataIntegrityError(f"{folder} cannot be read: {error}. {again}") from None
    for name, array in arrays.items():
        found, expected = sha256_arrays(array), manifest["sha256"][name]
        if found != expected:
            raise DataIntegrityError(
                f"{folder / name}.npy must hold what its manifest says, sha256 {expected}. "
                f"Received: sha256={found}. {again}"
            )
    # Earlier releases wrote none of the last five.
    value_range = manifest.get("value_range")
    return manifest["dataset"], LabelledImages(
        **arrays,
        class_names=tuple(manifest["class_names"]),
        files=manifest["files"],
        left_out=manifest.get("left_out", {}),
        layout=manifest.get("layout", {}),
        value_range=tuple(value_range) if value_range else None,
        source=manifest.get("source", {}),
        image_files=tuple(manifest.get("image_files", ())),
    )


def image_files(folder: Path) -> tuple[str, ...]:
    """Returns the file of each image that `save_raw` wrote, by its place; see `LabelledImages`.

    Raises:
        DataIntegrityError: If the manifest is missing or unreadable.
    """
    return tuple(read_json(folder / MANIFEST).get("image_files", ()))
