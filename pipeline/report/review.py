"""The data as the page shows them: suspicious labels, near-duplicates, confused classes."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataIntegrityError
from pipeline.report.text import percent
from pipeline.review.record import TILES, ReviewedImage, ReviewRecord, find_review

_TYPES = {".png": "image/png", ".webp": "image/webp"}
MOST_EXAMPLES = 8


@dataclass(frozen=True, kw_only=True)
class Review:
    """What the stage `review` has found, with the pictures.

    Attributes:
        record: What was found.
        tiles: Of every image that is shown, by index, as a `data:` address.
    """

    record: ReviewRecord
    tiles: dict[int, str]


def read_review(root: Path) -> Review | None:
    """Reads the record and its pictures; None where the stage has not run.

    Raises:
        DataIntegrityError: If a picture is missing.
    """
    record = find_review(root)
    if record is None:
        return None
    files = {path.stem: path for path in (root / TILES).glob("*") if path.suffix in _TYPES}
    tiles = {}
    for one in record.shown():
        file = files.get(str(one.index))
        if file is None:
            raise DataIntegrityError(
                f"{TILES} must have a picture of every image that results/review.json shows. "
                f"Received: none of {one.index}. Run `dvc repro -f review`, which writes both."
            )
        content = base64.b64encode(file.read_bytes()).decode("ascii")
        tiles[one.index] = f"data:{_TYPES[file.suffix]};base64,{content}"
    return Review(record=record, tiles=tiles)


def view_review(review: Review | None, names: Sequence[str]) -> dict[str, object] | None:
    """Returns texts and pictures of the section; None where there is nothing to show.

    Args:
        review: None where the stage has not run.
        names: Of the classes, by class id.
    """
    if review is None:
        return None
    record = review.record

    def picture(one: ReviewedImage) -> dict[str, object]:
        return dict(
            address=review.tiles[one.index],
            name=one.file or f"image {one.index}",
            part=one.part,
            label=names[one.label],
            likely=names[one.likely],
            # Cut, not rounded: 0.9996 is no certainty.
            confidence=f"{int(one.likely_confidence * 1000) / 10:.1f}%",
        )

    return dict(
        sentences=_sentences(record),
        suspicious=[picture(one) for one in record.suspicious],
        num_suspicious=f"{record.num_suspicious:,}",
        pairs=[
            dict(
                sides=[picture(pair.first), picture(pair.second)],
                kind=_kind(pair.first, pair.second, is_mirrored=pair.is_mirrored),
                is_warning=pair.first.label != pair.second.label,
                similarity=f"{pair.similarity:.2f}",
            )
            for pair in record.pairs
        ],
        confused=[
            dict(
                label=names[one.label],
                predicted=names[one.predicted],
                count=f"{one.count:,}",
                share=f"{100 * one.share:.1f}%",
                examples=[picture(image) for image in one.examples[:MOST_EXAMPLES]],
            )
            for one in record.confused
        ],
    )


def _sentences(record: ReviewRecord) -> list[str]:
    n = record.num_images
    found = [
        f"Heads on {record.source}, each fitted to four fifths of {n:,} images and asked about the "
        f"others, are right for {percent(record.accuracy, n)}. They call {record.num_suspicious:,} "
        "labels suspicious."
    ]
    if record.num_pairs is None:
        return [*found, "Near-duplicates were not looked for: the images are too many."]
    return [
        *found,
        f"{record.num_pairs:,} pairs of images nearly repeat one another: "
        f"{record.num_contradictory:,} have two different labels, {record.num_across:,} are in two "
        f"different parts. {100 * record.share_across:.1f}% of the validation and confirmation "
        "images have such a near-duplicate in another part, which the check of the split let "
        "through; the same check guards the test part, which is not looked at here.",
    ]


def _kind(first: ReviewedImage, second: ReviewedImage, *, is_mirrored: bool) -> str:
    found = []
    if first.label != second.label:
        found.append("two labels")
    found.append(
        f"{first.part} and {second.part}" if first.part != second.part else f"both in {first.part}"
    )
    if is_mirrored:
        found.append("mirrored")
    return ", ".join(found)
