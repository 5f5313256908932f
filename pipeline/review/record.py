"""What the stage `review` found out about the data: `results/review.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from pipeline.files import read_json, write_json

REVIEW_FILE: Final = Path("results/review.json")
LABELS_FILE: Final = Path("results/review.csv")
FOLDER: Final = Path("results/review")
PAIRS_FILE: Final = FOLDER / "near-duplicates.csv"
TILES: Final = FOLDER / "tiles"


@dataclass(frozen=True, kw_only=True)
class ReviewedImage:
    """An image of train, val or confirmation.

    Attributes:
        index: Its place in the data set, as `fetch` read it; names its tile.
        file: Its path below `fetch.path`; None where the data set has no file for each image.
        part: `train`, `val` or `confirmation`.
        label: The class id that it is given.
        likely: The class id that heads of other images say.
        confidence: What they give its label, in [0, 1].
        likely_confidence: What they give `likely`, in [0, 1].
    """

    index: int
    file: str | None
    part: str
    label: int
    likely: int
    confidence: float
    likely_confidence: float


@dataclass(frozen=True, kw_only=True)
class DuplicatePair:
    """Two images that nearly repeat one another.

    Attributes:
        first: The one with the lower index.
        second: The other.
        similarity: Correlation of their details at the best shift, in [0.8, 1].
        is_mirrored: Whether one is the other's mirror image.
    """

    first: ReviewedImage
    second: ReviewedImage
    similarity: float
    is_mirrored: bool


@dataclass(frozen=True, kw_only=True)
class ConfusedPair:
    """A class that heads take for another.

    Attributes:
        label: The class id that the images are given.
        predicted: What they are taken for.
        count: How many.
        share: Of the images of `label`, in (0, 1].
        examples: Some of them, evenly spread from the least confidence in the label to the most.
    """

    label: int
    predicted: int
    count: int
    share: float
    examples: Sequence[ReviewedImage]


@dataclass(frozen=True, kw_only=True)
class ReviewRecord:
    """The whole file. Of images, pairs and classes only those that pages show are listed.

    Attributes:
        source: What the images were judged by, such as `block14_add of auto`.
        num_images: That were judged: train, val and confirmation.
        accuracy: Of the heads, over images that they were not fitted to, in [0, 1].
        num_suspicious: Labels that are probably wrong; `results/review.csv` has all.
        suspicious: The first of them, the least likely label first.
        num_pairs: Near-duplicates; None where the images are too many to compare.
        num_contradictory: Of them, of two labels.
        num_across: Of them, of two parts.
        share_across: Of the images of val and confirmation, those with a near-duplicate in another
            part, in [0, 1].
        pairs: The first of them: those of two labels, then those of two parts, then the likest.
        confused: The most frequent confusions, most frequent first.
    """

    source: str
    num_images: int
    accuracy: float
    num_suspicious: int
    suspicious: Sequence[ReviewedImage]
    num_pairs: int | None
    num_contradictory: int
    num_across: int
    share_across: float
    pairs: Sequence[DuplicatePair]
    confused: Sequence[ConfusedPair]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Reads what `to_json` returned."""
        return cls(
            **{
                **content,
                "suspicious": _images(content["suspicious"]),
                "pairs": [
                    DuplicatePair(
                        **{**pair, **{side: ReviewedImage(**pair[side]) for side in _SIDES}}
                    )
                    for pair in content["pairs"]
                ],
                "confused": [
                    ConfusedPair(**{**pair, "examples": _images(pair["examples"])})
                    for pair in content["confused"]
                ],
            }
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the content of the file."""
        return asdict(self)

    def shown(self) -> list[ReviewedImage]:
        """Returns every image that pages show, each once, by index."""
        images = [
            *self.suspicious,
            *(image for pair in self.pairs for image in (pair.first, pair.second)),
            *(image for pair in self.confused for image in pair.examples),
        ]
        return [one for _, one in sorted({image.index: image for image in images}.items())]


_SIDES = ("first", "second")


def _images(content: Sequence[Mapping[str, Any]]) -> list[ReviewedImage]:
    return [ReviewedImage(**one) for one in content]


def write_review(record: ReviewRecord, root: Path) -> None:
    """Writes the record of a checkout, whole or not at all."""
    write_json(root / REVIEW_FILE, record.to_json())


def find_review(root: Path) -> ReviewRecord | None:
    """Reads the record of a checkout, or returns None where the stage has not run."""
    file = root / REVIEW_FILE
    return ReviewRecord.from_json(read_json(file)) if file.is_file() else None
