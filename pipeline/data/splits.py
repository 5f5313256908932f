"""Divides a dataset into train, val, confirmation and test.

No image is on both sides of a boundary: neither pixel for pixel nor as a near copy (`near_copies`).
A part that the dataset brings (its published test part, a folder's val/) is not drawn from; copies
of its images leave the other parts, val and confirmation those of test, confirmation those of val.
A part that is drawn here takes each distinct image once, since a
copy would count its error twice; further copies of what it took are left out. Copies within train
stay. Near copies change a draw as little as can be: what must not be in the part is replaced.
A part whose size is `auto` has every class, as a draw of that size alone may not: see `Pool.draw`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.data.labelled import LabelledImages
from pipeline.data.parts import AUTO, PartSize, auto_size
from pipeline.data.pool import Pool
from pipeline.data.split_params import SplitParams
from pipeline.errors import ConfigError, DataIntegrityError

Indices = NDArray[np.int64]
SPLIT_PARTS = ("train", "val", "confirmation", "test")
_BROUGHT = ("test", "val", "confirmation")


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which image is in which part: sorted, disjoint indices into the dataset, int64.

    Attributes:
        train: What is trained on.
        val: What a search judges by.
        confirmation: What no search sees.
        test: What `evaluate` alone reads.
        duplicates: Counts. `left_out_as_in_PART`: images in no part, since PART has the same one.
            `copies_within_PART`: images of PART that repeat another one of it.
            `with_conflicting_labels`: distinct images of the dataset that carry several labels.
            The same of near copies: `near_copies_left_out_as_in_PART`,
            `near_copies_within_PART` (distinct images of PART that nearly repeat an earlier one)
            and `near_copies_with_conflicting_labels` (distinct images of the dataset that have a
            near copy of another label).
        reasons: Why a part whose size was `auto` is as large as it is, in a few words.
    """

    train: Indices
    val: Indices
    confirmation: Indices
    test: Indices
    duplicates: dict[str, int]
    reasons: Mapping[str, str]


def divide(data: LabelledImages, params: SplitParams, *, deduplicate: bool = True) -> Split:
    """Divides a dataset; the same arguments give the same split.

    Args:
        data: The dataset. A part that it brings needs no size.
        params: The section `split`. A share is of the whole dataset for the test part, of all but
            that for the others; what `auto` is, `parts.auto_size` says of the images that are in no
            part yet. `first_n` makes the first images the val part, however many that are.
        deduplicate: Whether copies and near copies across boundaries are left out. False only to
            repeat a published division to the image.

    Raises:
        ConfigError: If the sizes leave nothing to train on, a class is too small to be in every
            part, or `first_n` meets a dataset with its own val part.
        DataIntegrityError: If a part that the dataset brings lacks a class.
    """
    pool = Pool(data, deduplicate=deduplicate, seed=params.seed)
    owns = {part for part in _BROUGHT if np.any(data.parts == part)}
    if "val" in owns and params.method == "first_n":
        raise ConfigError(
            "split.method must be stratified where the dataset brings its own val part, which "
            "first_n would replace. Received: split.method='first_n'."
        )
    for part in _BROUGHT:
        pool.take(part, np.flatnonzero(pool.is_free & (data.parts == part)))
    sizes = _Sizes(params, pool, owns)
    if "test" not in owns:
        sizes.draw("test", sizes.number("test", total=len(data.labels)))
    brought = len(pool.taken["val"]) + len(pool.taken["confirmation"])
    num_pool = int(pool.is_drawable.sum()) + brought
    num_val = 0 if "val" in owns else sizes.number("val", total=num_pool)
    is_brought = "confirmation" in owns
    num_confirmation = 0 if is_brought else sizes.number("confirmation", total=num_pool)
    _check_room(params, num_val, num_confirmation, num_free=len(pool.free))
    if "val" not in owns:
        if params.method == "first_n":
            pool.take("val", pool.free[:num_val])
        else:
            sizes.draw("val", num_val)
    if not is_brought:
        sizes.draw("confirmation", num_confirmation)
    split = Split(
        **pool.taken, train=pool.free, duplicates=pool.count_copies(), reasons=sizes.reasons
    )
    _check_every_class(split, data, owns)
    return split


class _Sizes:
    """What the sizes of `params` are of a dataset.

    Attributes:
        reasons: By part whose size was `auto`, why it is as large as it is.
    """

    def __init__(self, params: SplitParams, pool: Pool, owns: set[str]) -> None:
        self.reasons: dict[str, str] = {}
        self._pool = pool
        self._sizes: dict[str, PartSize] = {
            part: getattr(params, f"{part}_size") for part in _BROUGHT if part not in owns
        }

    def number(self, part: str, *, total: int) -> int:
        """Returns a size as a number of images; `total` is what a share refers to."""
        size = self._sizes[part]
        if size == AUTO:
            number, self.reasons[part] = auto_size(
                self._pool.num_left,
                num_distinct=self._pool.num_distinct,
                num_classes=self._pool.num_classes,
            )
            return number
        number = size if isinstance(size, int) else round(size * total)
        if number < 1 and size:
            raise ConfigError(
                f"split.{part}_size must be at least one image. "
                f"Received: {part}_size={size}, which of {total} images is none."
            )
        return number

    def draw(self, part: str, number: int) -> None:
        """Draws a part; one whose size is `auto` gets every class, and leaves some of each."""
        if self._sizes[part] != AUTO:
            return self._pool.draw(part, number)
        drawn = [name for name, size in self._sizes.items() if size != 0]
        return self._pool.draw(part, number, needed_by=[*drawn[drawn.index(part) :], "train"])


def _check_room(params: SplitParams, num_val: int, num_confirmation: int, *, num_free: int) -> None:
    if num_val + num_confirmation >= num_free:
        raise ConfigError(
            "split.val_size and split.confirmation_size must leave images to train on. "
            f"Received: val_size={params.val_size}, confirmation_size={params.confirmation_size}, "
            f"which take {num_val + num_confirmation} of {num_free} images. "
            "Lower them, or give shares such as 0.1."
        )


def _check_every_class(split: Split, data: LabelledImages, owns: set[str]) -> None:
    for part in SPLIT_PARTS:
        indices: Indices = getattr(split, part)
        counts = np.bincount(data.labels[indices], minlength=len(data.class_names))
        absent = ", ".join(data.class_names[c] for c in np.flatnonzero(counts == 0))
        if not len(indices) and part in owns:
            raise DataIntegrityError(
                f"The part {part}, which the dataset brings, must have images of its own. "
                "Received: none that another part does not have, too. Bring others, or none."
            )
        if not absent or not len(indices):
            continue
        problem = f"Every class needs an image in every part. Received: none of {absent} in {part}"
        if part in owns:
            raise DataIntegrityError(f"{problem}, which the dataset brings. Add some there.")
        size = "the other sizes" if part == "train" else f"split.{part}_size"
        change = "Lower" if part == "train" else "Raise"
        raise ConfigError(
            f"{problem} ({len(indices)} images). {change} {size}, add images, or remove the class."
        )
