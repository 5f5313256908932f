"""Owns `data/split.json`: what the data set is, and how many images of each class a part has.

It lies in no room since all of them read it, `data` too, which must not take it for images.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from pipeline.files import read_json, write_json

SPLIT_FILE: Final = Path("data/split.json")


@dataclass(frozen=True, kw_only=True)
class PartCounts:
    """How many images a part has.

    Attributes:
        images: All of them.
        per_class: By class id.
    """

    images: int
    per_class: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SplitRecord:
    """A data set and its division.

    Attributes:
        dataset: What it is called.
        class_names: By class id.
        image_shape: Of every image: (height, width), or (height, width, 3).
        counts: By part: `train`, `val`, `confirmation`, `test`.
        duplicates: Counts of equal and nearly equal images; see `data.splits.Split`.
        sha256: Of the file of the search's parts, `train`, and of the test part's, `test`; 64 hex
            digits each.
        source: What `fetch` was told to read; earlier releases did not note it.
        value_range: What became black and white in pixels of more than 8 bits; None if none were,
            or in files of earlier releases.
    """

    dataset: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, ...]
    counts: Mapping[str, PartCounts]
    duplicates: Mapping[str, int]
    sha256: Mapping[str, str]
    source: Mapping[str, str] = field(default_factory=dict)
    value_range: tuple[float, float] | None = None


def write_split(record: SplitRecord, file: Path) -> None:
    """Writes a record, whole or not at all."""
    write_json(file, asdict(record))


def read_split(root: Path) -> SplitRecord:
    """Reads the record of a checkout.

    Args:
        root: The repository.

    Raises:
        DataIntegrityError: If nothing was split yet.
    """
    content = read_json(root / SPLIT_FILE)
    value_range = content.get("value_range")
    return SplitRecord(
        **{
            **content,
            "class_names": tuple(content["class_names"]),
            "image_shape": tuple(content["image_shape"]),
            "counts": {
                part: PartCounts(images=found["images"], per_class=tuple(found["per_class"]))
                for part, found in content["counts"].items()
            },
            "value_range": None if value_range is None else tuple(value_range),
        }
    )


def find_split(root: Path) -> SplitRecord | None:
    """Reads the record of a checkout, or returns None where nothing was split yet."""
    return read_split(root) if (root / SPLIT_FILE).is_file() else None
