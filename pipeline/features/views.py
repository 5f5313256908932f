"""Views: further versions of each training image, embedded beside it.

They are what augmentation becomes where the base runs once and not once per epoch. A view is made
of the image as it is stored, in uint8, so that everything after it is what any other image goes
through. The same settings give the same views, whatever the batches. To add a kind, add its
section and its entry in `expand`.

An epoch goes over all rows, images and views. One row an image and epoch, its version changing from
epoch to epoch, takes the same gradient steps in more epochs, and was no better. Validation accuracy
and log loss on CIFAR-10, 64 pixels, `block4_add`, one layer of 256 units, a cosine schedule; two
seeds; the epochs in brackets, so that each row's columns took about the same CPU seconds:

    no views (8)   0.795 0.798  0.604 0.601    (16)  0.808 0.800  0.627 0.624
    one view (8)   0.803 0.808  0.561 0.563    (16)  0.823 0.825  0.530 0.526
    all views (4)  0.812 0.807  0.555 0.553    (8)   0.827 0.828  0.527 0.520
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.features.view_params import CropParams, RandomViews, ShiftParams, ViewsParams
from pipeline.hyperparameter import Value
from pipeline.seeds import derive_seed

Images = NDArray[np.uint8]
Positions = NDArray[np.int64]


_RandomT = TypeVar("_RandomT", bound=RandomViews)


@dataclass(frozen=True, kw_only=True)
class View:
    """One version of all training images.

    Attributes:
        settings: What it is made by, plain values; two views of the same settings are equal.
        make: From images and their positions among the training images, both of shape (n, ...),
            to the images seen so.
    """

    settings: Mapping[str, Value]
    make: Callable[[Images, Positions], Images]


def expand(params: ViewsParams, num_train: int) -> list[View]:
    """Returns the views in the order of their rows.

    Args:
        params: What there shall be.
        num_train: Training images, >= 1.
    """
    views = []
    if params.hflip:
        views.append(View(settings={"kind": "hflip"}, make=lambda images, _: mirrored(images)))
    if params.shift:
        views += _random_views("shift", params.shift, num_train, _draw_shift)
    if params.crop:
        views += _random_views("crop", params.crop, num_train, _draw_crop)
    return views


def mirrored(images: Images) -> Images:
    """Returns images, (n, height, width) or with channels, seen in a mirror."""
    return images[:, :, ::-1]


def shifted(images: Images, down: NDArray[np.int64], right: NDArray[np.int64]) -> Images:
    """Returns images moved by whole pixels; what comes in is the pixel at the edge.

    Args:
        images: (n, height, width) or with channels.
        down: Pixels, of any sign, shape (n,).
        right: Likewise.
    """
    height, width = images.shape[1:3]
    rows = np.clip(np.arange(height) - down[:, None], 0, height - 1)
    columns = np.clip(np.arange(width) - right[:, None], 0, width - 1)
    return _gathered(images, rows, columns)


def cropped(
    images: Images, scale: NDArray[np.float64], top: NDArray[np.float64], left: NDArray[np.float64]
) -> Images:
    """Returns a part of each image enlarged to its size, bilinear.

    Args:
        images: (n, height, width) or with channels.
        scale: Share of height and of width that is seen, in (0, 1], shape (n,).
        top: Where the part lies, from 0 (at the top) to 1 (at the bottom), shape (n,).
        left: Likewise, 1 is at the right.
    """
    height, width = images.shape[1:3]
    y, x = _centres(height, scale, top), _centres(width, scale, left)
    y_low, x_low = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    y_high, x_high = np.minimum(y_low + 1, height - 1), np.minimum(x_low + 1, width - 1)
    ones = (1,) * (images.ndim - 3)
    down = (y - y_low).astype(np.float32).reshape(len(images), height, 1, *ones)
    right = (x - x_low).astype(np.float32).reshape(len(images), 1, width, *ones)

    def row(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        near, far = _gathered(images, rows, x_low), _gathered(images, rows, x_high)
        return np.asarray(near * (1 - right) + far * right, dtype=np.float32)

    blended = row(y_low) * (1 - down) + row(y_high) * down
    return np.rint(blended).astype(np.uint8)


def _centres(
    size: int, scale: NDArray[np.float64], place: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns where the centres of the enlarged pixels lie, counted in pixels of the image."""
    first = place[:, None] * (1 - scale[:, None]) * size
    centres = first + (np.arange(size) + 0.5) * scale[:, None] - 0.5
    return np.clip(centres, 0, size - 1)


def _gathered(images: Images, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Images:
    return images[np.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]]


def _random_views(
    kind: str,
    params: _RandomT,
    num_train: int,
    draw: Callable[[_RandomT, int, np.random.Generator], Callable[[Images, Positions], Images]],
) -> list[View]:
    views = []
    for number in range(params.num_views):
        settings = {"kind": kind, **params.model_dump(exclude={"num_views"}), "number": number}
        generator = np.random.default_rng(derive_seed(params.seed, "views", kind, number))
        views.append(View(settings=settings, make=draw(params, num_train, generator)))
    return views


def _draw_shift(
    params: ShiftParams, num_train: int, generator: np.random.Generator
) -> Callable[[Images, Positions], Images]:
    # Of all images at once, so that batches of any size see the same.
    shares = generator.uniform(-params.max_shift, params.max_shift, (2, num_train))
    flips = _draw_flips(params, num_train, generator)

    def make(images: Images, positions: Positions) -> Images:
        down, right = (
            np.rint(share[positions] * size).astype(np.int64)
            for share, size in zip(shares, images.shape[1:3], strict=True)
        )
        return shifted(_flipped(images, flips[positions]), down, right)

    return make


def _draw_crop(
    params: CropParams, num_train: int, generator: np.random.Generator
) -> Callable[[Images, Positions], Images]:
    scale = generator.uniform(params.min_scale, 1, num_train)
    top, left = generator.uniform(0, 1, (2, num_train))
    flips = _draw_flips(params, num_train, generator)

    def make(images: Images, positions: Positions) -> Images:
        seen = _flipped(images, flips[positions])
        return cropped(seen, scale[positions], top[positions], left[positions])

    return make


def _draw_flips(
    params: RandomViews, num_train: int, generator: np.random.Generator
) -> NDArray[np.bool_]:
    return (generator.random(num_train) < 0.5) & params.hflip


def _flipped(images: Images, flips: NDArray[np.bool_]) -> Images:
    return np.where(flips.reshape(-1, *(1,) * (images.ndim - 1)), mirrored(images), images)
