"""Reads what a trial trains on: one cut's cached features, labels and the parts' rows."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.bases.cuts import PooledCut
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.features.manifest import MANIFEST, Manifest, read_manifest
from pipeline.features.saved_base import BASE_FILE, load_saved_base
from pipeline.hyperparameter import Value
from pipeline.registry import unknown_name
from pipeline.training.batches import Indices, TrainingData
from pipeline.training.segments import phase_2_starts

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class CutData:
    """One cut's features with everything a head needs to know of them.

    Attributes:
        training: Features (memory-mapped, read-only), labels, and the rows of train and val.
        shape: Shape of one image's features, such as (8, 8, 40).
        mean: Mean of each entry of the last axis over the train rows, as in the manifest.
        variance: Variance of each entry of the last axis over the train rows, likewise.
        judge: Rows of the further part that was asked for, or None.
        feed: What the features were made of the base's outputs.
        part_sizes: How many channels each of several cuts gives, in order; empty for one cut.
    """

    training: TrainingData
    shape: tuple[int, ...]
    mean: list[float]
    variance: list[float]
    judge: Indices | None
    feed: tuple[PooledCut, ...]
    part_sizes: tuple[int, ...] = ()


def load_cut(reference: DataReference, cut: str, *, judge: str | None) -> CutData:
    """Opens one cut's features; nothing large is read yet.

    Args:
        reference: The base's folder of features, and the file with labels and rows.
        cut: A cut of the base's manifest.
        judge: Name of a further part ("confirmation") whose rows are wanted, or None.

    Raises:
        ConfigError: If there is no such cut.
        DataIntegrityError: If files are missing or do not fit each other. Keras would train on
            labels out of range or of type float without a word.
    """
    folder, train_file = Path(reference.features), Path(reference.train_file)
    manifest = read_manifest(folder)
    if cut not in manifest.cuts:
        raise ConfigError(unknown_name("cut", cut, list(manifest.cuts)))
    entry = manifest.cuts[cut]
    # A plain array on the mapped file: pickle passes its memory on as it lies, so that a cluster
    # can share it between processes, where it would copy memmap's subclass into its stream.
    features = np.asarray(_open(folder / entry.file))
    # np.load reads only the members that are asked for: the images stay on the disk.
    with _open(train_file) as archive:
        labels = _member(archive, "labels", train_file)
        parts = ["train", "val"] if judge is None else ["train", "val", judge]
        rows = {part: _member(archive, part, train_file) for part in parts}
    _check(labels, rows, num_classes=manifest.num_classes, source=train_file)
    num_images = len(labels)
    labels, rows["train"], row_images = _with_views(labels, rows["train"], manifest, folder)
    if len(features) != len(labels):
        raise DataIntegrityError(
            f"{folder / entry.file} must hold {len(labels)} rows. Received: {len(features)}. "
            "Run the stages `split` and `embed` again."
        )
    return CutData(
        training=TrainingData(
            features=features,
            labels=labels,
            train=rows["train"],
            val=rows["val"],
            num_classes=manifest.num_classes,
            num_images=num_images,
            row_images=row_images,
            centre=np.asarray(entry.centre, dtype=np.float32),
        ),
        shape=tuple(features.shape[1:]),
        mean=list(entry.mean),
        variance=list(entry.variance),
        judge=None if judge is None else rows[judge],
        feed=manifest.feed(cut),
        part_sizes=entry.part_sizes,
    )


def _open(path: Path) -> Any:
    try:
        return np.load(path, mmap_mode="r")
    except FileNotFoundError:
        raise DataIntegrityError(
            f"No {path} here. Run the stages `split` and `embed` first."
        ) from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataIntegrityError(
            f"{path} is not a whole NumPy file: {error}. Delete it and run its stage again."
        ) from None


def _member(archive: Any, name: str, source: Path) -> NDArray[Any]:
    if name not in archive:
        raise DataIntegrityError(
            f"{source} must hold {name!r}. It has: {', '.join(archive)}. "
            "Run the stage `split` again."
        )
    array: NDArray[Any] = archive[name]
    return array


def _with_views(
    labels: NDArray[Any], train: Indices, manifest: Manifest, folder: Path
) -> tuple[NDArray[Any], Indices, Indices | None]:
    """Returns the label of every row of features, the rows to train on, and each row's image.

    Rows are the images in order, then views of images of the train part, which are trained on, too.
    """
    if manifest.row_images is None:
        return labels, train, None
    images = np.asarray(_open(folder / manifest.row_images), dtype=np.int64)
    num_images = len(labels)
    as_they_are = np.array_equal(images[:num_images], np.arange(num_images))
    # A view of any other image would be trained on and judged by.
    if not as_they_are or not np.isin(images[num_images:], train).all():
        raise DataIntegrityError(
            f"{folder / manifest.row_images} must name each image in order, then images of the "
            "part train alone. Run the stages `split` and `embed` again."
        )
    return labels[images], np.concatenate([train, np.arange(num_images, len(images))]), images


def _check(
    labels: NDArray[Any],
    rows: dict[str, Indices],
    *,
    num_classes: int,
    source: Path,
) -> None:
    problems = []
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        problems.append(f"labels must be integers of shape (n,), not {labels.dtype} {labels.shape}")
    elif len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        problems.append(
            f"labels must lie in [0, {num_classes}), not in [{labels.min()}, {labels.max()}]"
        )
    for part, indices in rows.items():
        if not len(indices):
            problems.append(f"the part {part} must not be empty")
        elif not 0 <= indices.min() <= indices.max() < len(labels):
            problems.append(f"the rows of {part} must lie in [0, {len(labels)})")
    if problems:
        raise DataIntegrityError(
            f"{source} does not fit its features: {'; '.join(problems)}. "
            "Run the stages `split` and `embed` again."
        )


class TrialData(Protocol):
    """What trials train on, wherever it lies: in files, or in the memory of a cluster."""

    def load_cut(self, cut: str, *, judge: str | None) -> CutData:
        """Opens one cut; arguments and errors as in `training.data.load_cut`."""

    def phase_2_starts(self, hyperparameters: Mapping[str, Value]) -> Sequence[str]:
        """Names the cuts that phase 2 can start from; as in `training.segments.phase_2_starts`."""

    @property
    def base_key(self) -> str:
        """What tells the base from every other that this process may train on."""

    def load_base(self) -> keras.Model:
        """Returns the base that the features were computed with, frozen.

        Raises:
            DataIntegrityError: If it is missing or not the one.
        """

    def base_files(self) -> Mapping[str, bytes]:
        """Returns by name the files that `features.saved_base` loads the base from."""


@dataclass(frozen=True, kw_only=True)
class OfOtherData:
    """Trial data with other rows than some trial data have, on the same base.

    Attributes:
        whole: The other data.
    """

    whole: TrialData

    def phase_2_starts(self, hyperparameters: Mapping[str, Value]) -> Sequence[str]:
        """Names the cuts that phase 2 can start from."""
        return self.whole.phase_2_starts(hyperparameters)

    @property
    def base_key(self) -> str:
        """What tells the base from every other."""
        return self.whole.base_key

    def load_base(self) -> keras.Model:
        """Returns the base that the features were computed with."""
        return self.whole.load_base()

    def base_files(self) -> Mapping[str, bytes]:
        """Returns the files that the base is loaded from."""
        return self.whole.base_files()


@dataclass(frozen=True, kw_only=True)
class DataReference:
    """Trial data in files; only their paths go through a pipe.

    Attributes:
        features: Folder of one base: `manifest.json` and an array per cut point.
        train_file: The npz with labels and the indices of train, val and confirmation.
    """

    features: str
    train_file: str

    def load_cut(self, cut: str, *, judge: str | None) -> CutData:
        return load_cut(self, cut, judge=judge)

    def phase_2_starts(self, hyperparameters: Mapping[str, Value]) -> Sequence[str]:
        if not hyperparameters.get("unfreeze"):
            return []
        return phase_2_starts(read_manifest(Path(self.features)).cuts, hyperparameters)

    @property
    def base_key(self) -> str:
        return self.features

    def load_base(self) -> keras.Model:
        return load_saved_base(Path(self.features))

    def base_files(self) -> Mapping[str, bytes]:
        return {name: (Path(self.features) / name).read_bytes() for name in (MANIFEST, BASE_FILE)}
