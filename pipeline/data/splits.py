"""Divides a dataset into train, val, confirmation and test.

No image is on both sides of a boundary: neither pixel for pixel nor as a near copy (`near_copies`).
A part that the dataset brings (its published test part, a folder's val/) stays as it is; copies of
its images leave the other parts. A part that is drawn here takes each distinct image once, since a
copy would count its error twice; further copies of what it took are left out. Copies within train
stay. Near copies change a draw as little as can be: what must not be in the part is replaced.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.data.labelled import LabelledImages
from pipeline.data.pool import Pool
from pipeline.errors import ConfigError, DataIntegrityError

Indices = NDArray[np.int64]
SPLIT_PARTS = ("train", "val", "confirmation", "test")


@dataclass(frozen=True, kw_only=True)
class SplitPlan:
    """How to divide.

    A size is a number of images, or a share in (0, 1): of the whole dataset for `test_size`, of all
    but the test part for the others.

    Attributes:
        method: "stratified", or "first_n": the first `val_size` images are the val part.
        val_size: Size of the val part; without effect where the dataset brings one.
        confirmation_size: Size of the confirmation part; 0 for none.
        test_size: Size of the test part; without effect where the dataset brings one.
        seed: Of every draw, >= 0.
        deduplicate: Whether copies and near copies across boundaries are left out. False only to
            repeat a published division to the image.
    """

    method: Literal["stratified", "first_n"]
    val_size: int | float
    confirmation_size: int | float
    test_size: int | float
    seed: int
    deduplicate: bool = True


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
    """

    train: Indices
    val: Indices
    confirmation: Indices
    test: Indices
    duplicates: dict[str, int]


def divide(data: LabelledImages, *, plan: SplitPlan) -> Split:
    """Divides a dataset as `plan` says; the same arguments give the same split.

    Raises:
        ConfigError: If the sizes leave nothing to train on, a class is too small to be in every
            part, or `first_n` meets a dataset with its own val part.
        DataIntegrityError: If a part that the dataset brings lacks a class.
    """
    pool = Pool(data, deduplicate=plan.deduplicate, seed=plan.seed)
    owns = {part for part in ("test", "val") if np.any(data.parts == part)}
    if "val" in owns and plan.method == "first_n":
        raise ConfigError(
            "split.method must be stratified where the dataset brings its own val part, which "
            "first_n would replace. Received: split.method='first_n'."
        )
    for part in ("test", "val"):
        pool.take(part, np.flatnonzero(pool.is_free & (data.parts == part)))
    if "test" not in owns:
        num_test = _num_images("test_size", plan.test_size, len(data.labels))
        pool.draw("test", num_test)
    num_pool = int(pool.is_drawable.sum()) + len(pool.taken["val"])
    num_val = 0 if "val" in owns else _num_images("val_size", plan.val_size, num_pool)
    num_confirmation = _num_images("confirmation_size", plan.confirmation_size, num_pool)
    _check_room(plan, num_val, num_confirmation, num_free=len(pool.free))
    if "val" not in owns:
        if plan.method == "first_n":
            pool.take("val", pool.free[:num_val])
        else:
            pool.draw("val", num_val)
    pool.draw("confirmation", num_confirmation)
    split = Split(**pool.taken, train=pool.free, duplicates=pool.count_copies())
    _check_every_class(split, data, owns)
    return split


def _num_images(name: str, size: int | float, total: int) -> int:
    """Converts a size to a number of images; `total` is what a share refers to."""
    if isinstance(size, int):
        return size
    number = round(size * total)
    if number < 1:
        raise ConfigError(
            f"split.{name} must be at least one image. "
            f"Received: {name}={size}, which of {total} images is none."
        )
    return number


def _check_room(plan: SplitPlan, num_val: int, num_confirmation: int, *, num_free: int) -> None:
    if num_val + num_confirmation >= num_free:
        raise ConfigError(
            "split.val_size and split.confirmation_size must leave images to train on. "
            f"Received: val_size={plan.val_size}, confirmation_size={plan.confirmation_size}, "
            f"which take {num_val + num_confirmation} of {num_free} images. "
            "Lower them, or give shares such as 0.1."
        )


def _check_every_class(split: Split, data: LabelledImages, owns: set[str]) -> None:
    for part in SPLIT_PARTS:
        indices: Indices = getattr(split, part)
        counts = np.bincount(data.labels[indices], minlength=len(data.class_names))
        absent = ", ".join(data.class_names[c] for c in np.flatnonzero(counts == 0))
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
