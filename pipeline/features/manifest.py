"""Owns `data/features/BASE/`: an array per cut point and a manifest, which is written last.

Rows are the images in order; where there are views, one block of rows for each view follows, which
holds the images of the train part in order. `row_images.npy` then says which image each row is of.

A base's features are a row of the array plus `centre`, which the manifest gives for each entry of
the last axis. Of several cuts side by side (`features.joined_cuts`) it says under `parts` which.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.bases.cuts import Cut, array_bytes
from pipeline.bases.table import NO_BASE
from pipeline.errors import DataIntegrityError
from pipeline.features.arrays import (
    ROW_IMAGES,
    ImageSet,
    Moments,
    WrittenArray,
    npy_file,
    written_array,
)
from pipeline.features.joined_cuts import described
from pipeline.files import write_json, write_whole

MANIFEST: Final = "manifest.json"
PIXELS: Final = "pixels"


def array_entry(
    cut: Cut, array: WrittenArray, *, key: str, rank: int | None = None
) -> dict[str, Any]:
    """Returns what the manifest says of an array of a base.

    Args:
        cut: As it is kept.
        array: What was written.
        key: From `features.keys`.
        rank: Of the cuts that a head may stand on; None of those that phase 2 alone starts from.
    """
    ranked = {} if rank is None else {"rank": rank}
    return _entry(cut, "float16", array) | {"key": key} | described(cut) | ranked


def write_manifest(
    folder: Path,
    images: ImageSet,
    entries: Mapping[str, Mapping[str, Any]],
    *,
    base: Mapping[str, Any],
    views: Sequence[Mapping[str, Any]],
    left_out: Sequence[Cut],
) -> None:
    """Says what the folder of a base holds; its existence means that everything is there.

    Args:
        folder: Of the base.
        images: What was embedded.
        entries: From `array_entry`, by the cut's name, in the network's order.
        base: `base`, its name; `source`, where it came from, from `bases.choice`;
            `image_size`, what it was fed with, pixels; `weights_sha256`, of all its weights.
        views: Settings of each view, in the order of their rows.
        left_out: Cuts that were too large.
    """
    rows = images.rows(len(views))
    if views:
        with write_whole(folder / ROW_IMAGES) as part:
            np.save(part, rows.images.astype(np.int32))
    left = [{"cut": cut.name, "bytes": array_bytes([cut], len(rows))} for cut in left_out]
    content = {**base, "cuts": entries, "left_out": left}
    if views:
        content |= {"views": list(views), "num_rows": len(rows), "row_images": ROW_IMAGES}
    write_json(folder / MANIFEST, content | _described(images))


def write_pixels(folder: Path, images: ImageSet, batches: Iterable[NDArray[np.uint8]]) -> None:
    """Writes the folder of the base `none`: the images themselves, (n, h, w, channels) uint8.

    Args:
        folder: Where `pixels.npy` and the manifest go.
        images: What the batches are.
        batches: The images in order, as stored.
    """
    height, width, *channels = images.image_shape
    shape = (height, width, *(channels or [1]))
    moments, start = Moments(shape[-1]), 0
    with npy_file(folder / f"{PIXELS}.npy", (images.num_images, *shape), np.uint8) as stream:
        for batch in batches:
            stream.write(np.ascontiguousarray(batch).data)
            rows = batch.reshape(len(batch), *shape)
            moments.add(rows[images.is_train[start : start + len(rows)]])
            start += len(rows)
    pixels = Cut(name=PIXELS, shape=shape, num_parameters_below=0, num_parameters_above=0)
    array = written_array(moments, stream.sha256, centre=np.zeros(shape[-1], np.float32))
    content: dict[str, Any] = {
        "base": NO_BASE,
        "image_size": None,
        "weights_sha256": None,
        "cuts": {PIXELS: _entry(pixels, "uint8", array)},
        "left_out": [],
    }
    write_json(folder / MANIFEST, content | _described(images))


def _described(images: ImageSet) -> dict[str, Any]:
    return {
        "image_shape": list(images.image_shape),
        "num_images": images.num_images,
        "num_classes": images.num_classes,
    }


def _entry(cut: Cut, dtype: str, array: WrittenArray) -> dict[str, Any]:
    return {
        "file": f"{cut.name}.npy",
        "shape": list(cut.shape),
        "dtype": dtype,
        "mean": list(array.mean),
        "variance": list(array.variance),
        "centre": list(array.centre),
        "sha256": array.sha256,
        "num_parameters_below": cut.num_parameters_below,
    }


def read_manifest(features: Path) -> dict[str, Any]:
    """Returns what `embed` says about a base's folder of features.

    Raises:
        DataIntegrityError: If it is not there.
    """
    path = features / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        # The manifest is written last, so that its absence means an unfinished stage.
        raise DataIntegrityError(f"No {path} here. Run the stage `embed` first.") from None
    return manifest
