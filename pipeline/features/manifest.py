"""Owns `data/features/BASE/manifest.json`: what the arrays beside it are of.

Rows are the images in order; where there are views, one block of rows for each view follows, which
holds the images of the train part in order. `row_images.npy` then says which image each row is of.

A base's features are a row of the array plus `centre`, which the manifest gives for each entry of
the last axis. Of several cuts side by side (`features.joined_cuts`) it says under `parts` which.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.bases.cuts import NO_POOLING, Cut, PooledCut
from pipeline.bases.table import BaseSource
from pipeline.files import read_json, write_json
from pipeline.hyperparameter import Value

if TYPE_CHECKING:
    from pipeline.features.arrays import WrittenArray

MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class CutPart:
    """One of the cuts that an array holds side by side.

    Attributes:
        cut: The layer.
        pooling: What is kept of its output: a value of `features.pooling.Pooling`.
        shape: Of what is kept for one image.
        num_parameters_below: Weights of the layers up to this one.
    """

    cut: str
    pooling: str
    shape: tuple[int, ...]
    num_parameters_below: int


@dataclass(frozen=True, kw_only=True)
class EmbeddedCut:
    """What is known of one array.

    Attributes:
        file: Its name in the base's folder.
        shape: Of one image's features.
        dtype: Of the values, such as `float16`.
        mean: Of each entry of the last axis, over the images of the train part, without views.
        variance: Likewise.
        num_parameters_below: Weights of the base's layers up to this cut, or to its highest part.
        centre: Of each entry of the last axis, what was taken away before the array was written;
            arrays of earlier releases were written as they are.
        sha256: Of the file, 64 hex digits; earlier releases did not note it.
        key: What it is stored under in `features.reuse`; None of pixels.
        pooling: What is kept of the layer's output; None of parts, which say their own, and of
            pixels as they are stored.
        parts: The cuts that the name names, where it says more than a layer.
        rank: Of the cuts that a head may stand on, the place in the plan's list; None of those that
            phase 2 alone starts from, and where the plan chose nothing.
    """

    file: str
    shape: tuple[int, ...]
    dtype: str
    mean: Sequence[float]
    variance: Sequence[float]
    num_parameters_below: int
    centre: Sequence[float] = (0.0,)
    sha256: str | None = None
    key: str | None = None
    pooling: str | None = None
    parts: tuple[CutPart, ...] = ()
    rank: int | None = None

    @classmethod
    def of(cls, cut: Cut, array: WrittenArray, *, key: str, rank: int | None) -> EmbeddedCut:
        """Describes a float16 array that was written of a base.

        Args:
            cut: As it is kept.
            array: What was written.
            key: As in the attributes.
            rank: As in the attributes.
        """
        parts = tuple(
            CutPart(
                cut=part.name,
                pooling=part.pooling,
                shape=part.shape,
                num_parameters_below=part.num_parameters_below,
            )
            for part in cut.parts
        )
        return cls(
            file=f"{cut.name}.npy",
            shape=cut.shape,
            dtype="float16",
            num_parameters_below=cut.num_parameters_below,
            key=key,
            pooling=None if parts else cut.pooling,
            parts=parts,
            rank=rank,
            **asdict(array),
        )

    @property
    def is_whole(self) -> bool:
        """Whether it is the output of one layer as it is, which the layers above it need."""
        return not self.parts and self.pooling in (None, NO_POOLING)

    @property
    def part_sizes(self) -> tuple[int, ...]:
        """How many numbers each of several cuts has in a row of the array; of one cut, none."""
        return tuple(math.prod(part.shape) for part in self.parts) if len(self.parts) > 1 else ()


Cuts = Mapping[str, EmbeddedCut]
"""What was embedded of a base, by the cut's name; as a file holds them, sorted by name."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What the folder of a base holds.

    Attributes:
        base: Its name below `embed.bases`, or `none`.
        image_size: What it was fed with, pixels; None of pixels as they are stored.
        weights_sha256: Of all its weights, 64 hex digits; None of pixels.
        image_shape: Of an image as it is stored: (height, width) or (height, width, 3).
        num_images: Of the train, val and confirmation parts together.
        num_classes: Of the dataset.
        cuts: The arrays.
        source: Where the base came from; None of pixels, and in files of earlier releases.
        views: The settings of each view, in the order of their rows.
        num_rows: Of each array, where there are views.
        row_images: The file that says which image each row is of, likewise.
    """

    base: str
    image_size: int | None
    weights_sha256: str | None
    image_shape: tuple[int, ...]
    num_images: int
    num_classes: int
    cuts: Cuts
    source: BaseSource | None = None
    views: tuple[Mapping[str, Value], ...] = ()
    num_rows: int | None = None
    row_images: str | None = None

    def feed(self, cut: str) -> tuple[PooledCut, ...]:
        """Returns of which outputs of the base an array was made; for `joined_cuts.joined`."""
        found = self.cuts[cut]
        if not found.parts:
            return (PooledCut(layer=cut, pooling=found.pooling or NO_POOLING),)
        return tuple(PooledCut(layer=part.cut, pooling=part.pooling) for part in found.parts)


def write_manifest(manifest: Manifest, features: Path) -> None:
    """Writes the manifest of a folder; its existence means that everything else is there."""
    content = _known(asdict(manifest)) | {
        # Of pixels these are null.
        "image_size": manifest.image_size,
        "weights_sha256": manifest.weights_sha256,
        "cuts": {name: _known(asdict(cut)) for name, cut in manifest.cuts.items()},
    }
    if manifest.source is not None:
        content["source"] = manifest.source.known()
    write_json(features / MANIFEST, content)


def read_manifest(features: Path) -> Manifest:
    """Returns what `embed` says about a base's folder of features.

    Raises:
        DataIntegrityError: If it is not there: it is written last, so that the stage did not end.
    """
    content = read_json(features / MANIFEST)
    content.pop("left_out", None)  # Of earlier releases, which chose cuts by their size.
    source = content.get("source")
    return Manifest(
        **{
            **_immutable(content),
            "cuts": {name: _embedded_cut(cut) for name, cut in content["cuts"].items()},
            "source": None if source is None else BaseSource(**source),
        }
    )


def _embedded_cut(entry: Mapping[str, Any]) -> EmbeddedCut:
    parts = tuple(CutPart(**_immutable(part)) for part in entry.get("parts", ()))
    return EmbeddedCut(**{**_immutable(entry), "parts": parts})


def _known(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in plain.items() if value not in (None, ())}


def _immutable(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
