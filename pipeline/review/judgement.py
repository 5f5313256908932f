"""From labels and vectors to what is found out: arrays of all, and a record of what is shown."""

import csv
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.classes import most_confused
from pipeline.evaluation.label_errors import (
    Suspicious,
    find_suspicious,
    fitted_temperature,
    self_confidence,
    softmax,
)
from pipeline.evaluation.metrics import confusion_counts
from pipeline.files import write_whole
from pipeline.review.duplicates import Duplicates
from pipeline.review.folds import NUM_FOLDS, out_of_fold_scores, stratified_folds
from pipeline.review.record import ConfusedPair, DuplicatePair, ReviewedImage, ReviewRecord

logger = logging.getLogger(__name__)

Indices = NDArray[np.int64]

NUM_CONFUSED: Final = 6
"""Confusions that pages show; each with `shown` // 6 examples."""
_DIGITS = 4
COLUMNS: Final = ("index", "file", "part", "label", "likely", "confidence", "likely_confidence")


@dataclass(frozen=True, kw_only=True)
class Images:
    """What is known of the images that are judged, beside their pixels.

    Attributes:
        labels: Class ids, shape (n,).
        parts: `train`, `val` or `confirmation` of each, shape (n,).
        indices: Places in the data set, shape (n,).
        files: The data set's files, by place in it; empty where images have none of their own.
        class_names: By class id.
    """

    labels: Indices
    parts: NDArray[np.str_]
    indices: Indices
    files: Sequence[str]
    class_names: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was found out about all images.

    Attributes:
        images: That were judged.
        probabilities: Out of sample, shape (n, classes).
        suspicious: Those whose label is probably wrong.
        duplicates: None where the images are too many to compare.
    """

    images: Images
    probabilities: NDArray[np.float64]
    suspicious: Suspicious
    duplicates: Duplicates | None

    def image(self, row: int) -> ReviewedImage:
        """Describes an image. What is likely is the likeliest class but that of the label."""
        images, label = self.images, int(self.images.labels[row])
        others = self.probabilities[row].copy()
        others[label] = -1.0
        likely, index = int(others.argmax()), int(images.indices[row])
        return ReviewedImage(
            index=index,
            file=images.files[index] if images.files else None,
            part=str(images.parts[row]),
            label=label,
            likely=likely,
            confidence=round(float(self.probabilities[row, label]), _DIGITS),
            likely_confidence=round(float(others[likely]), _DIGITS),
        )


def judge(
    images: Images, vectors: NDArray[np.float16], duplicates: Duplicates | None, *, seed: int
) -> Findings:
    """Judges every label by heads that were fitted to neither the image nor a near-duplicate of it.

    Ridge heads over five folds give scores; one temperature, fitted to these out-of-sample scores,
    makes them probabilities.

    Args:
        images: All images.
        vectors: Of them, shape (n, d).
        duplicates: Near-duplicates among them, if they were looked for.
        seed: Of the folds.
    """
    labels = images.labels
    groups = np.arange(len(labels)) if duplicates is None else duplicates.groups(len(labels))
    if np.bincount(groups).max() * NUM_FOLDS > len(labels):
        # A fold that holds most of them leaves its head too few to learn from.
        logger.info("near-duplicates form groups too large for folds, and are divided like others")
        groups = np.arange(len(labels))
    folds = stratified_folds(labels, groups, seed=seed)
    scores = out_of_fold_scores(vectors, labels, folds, num_classes=len(images.class_names))
    probabilities = softmax(fitted_temperature(scores, labels) * scores)
    return Findings(
        images=images,
        probabilities=probabilities,
        suspicious=find_suspicious(probabilities, labels),
        duplicates=duplicates,
    )


def record_of(found: Findings, *, source: str, shown: int) -> ReviewRecord:
    """Returns the counts, and the first of everything.

    Args:
        found: All of it.
        source: What the images were judged by.
        shown: Most images to list of each kind.
    """
    labels, predicted = found.images.labels, found.probabilities.argmax(axis=1)
    order = _order(found)
    pairs = np.zeros((0, 2), np.int64) if found.duplicates is None else found.duplicates.pairs
    is_across, is_contradictory = _across(found.images, pairs)
    crossing = np.unique(pairs[is_across])
    is_judging = found.images.parts != "train"
    return ReviewRecord(
        source=source,
        num_images=len(labels),
        accuracy=round(float((predicted == labels).mean()), _DIGITS),
        num_suspicious=len(found.suspicious.rows),
        suspicious=[found.image(int(row)) for row in found.suspicious.rows[:shown]],
        num_pairs=None if found.duplicates is None else len(pairs),
        num_contradictory=int(is_contradictory.sum()),
        num_across=int(is_across.sum()),
        share_across=round(
            float(is_judging[crossing].sum() / max(np.count_nonzero(is_judging), 1)), _DIGITS + 2
        ),
        pairs=[_pair(found, place) for place in order[: shown // 2]],
        confused=_confused(found, predicted, num_examples=shown // NUM_CONFUSED),
    )


def write_labels(found: Findings, file: Path) -> None:
    """Writes every suspicious label as a row of a CSV, the least likely label first."""
    names = found.images.class_names
    rows = (
        (
            *(one.index, one.file or "", one.part, names[one.label], names[one.likely]),
            *(one.confidence, one.likely_confidence),
        )
        for one in (found.image(int(row)) for row in found.suspicious.rows)
    )
    _write_csv(file, COLUMNS, rows)


def write_pairs(found: Findings, file: Path) -> None:
    """Writes every pair of near-duplicates as a row of a CSV, in the order of the record."""
    names = found.images.class_names
    sides = [f"{side}_{key}" for side in ("first", "second") for key in COLUMNS[:4]]
    rows = (
        (
            *(
                value
                for one in (pair.first, pair.second)
                for value in (one.index, one.file or "", one.part, names[one.label])
            ),
            pair.similarity,
            "yes" if pair.is_mirrored else "no",
        )
        for pair in (_pair(found, place) for place in _order(found))
    )
    _write_csv(file, [*sides, "similarity", "mirrored"], rows)


def _write_csv(file: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with write_whole(file) as part, part.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _order(found: Findings) -> list[int]:
    """Returns places of pairs: those of two labels, then those across parts, the likest first."""
    if found.duplicates is None:
        return []
    is_across, is_contradictory = _across(found.images, found.duplicates.pairs)
    keys = (-found.duplicates.similarity, ~is_across, ~is_contradictory)
    return [int(place) for place in np.lexsort(keys)]


def _across(images: Images, pairs: Indices) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    one, other = pairs.T
    return images.parts[one] != images.parts[other], images.labels[one] != images.labels[other]


def _pair(found: Findings, place: int) -> DuplicatePair:
    if found.duplicates is None:
        raise ValueError("There are no pairs where near-duplicates were not looked for.")
    first, second = (found.image(row) for row in found.duplicates.pairs[place].tolist())
    return DuplicatePair(
        first=first,
        second=second,
        similarity=round(float(found.duplicates.similarity[place]), _DIGITS),
        is_mirrored=bool(found.duplicates.is_mirrored[place]),
    )


def _confused(found: Findings, predicted: Indices, *, num_examples: int) -> list[ConfusedPair]:
    labels = found.images.labels
    counts = confusion_counts(labels, predicted, num_classes=len(found.images.class_names))
    confidence = self_confidence(found.probabilities, labels)
    pairs = []
    for one in most_confused(counts, limit=NUM_CONFUSED):
        rows = np.flatnonzero((labels == one.actual) & (predicted == one.predicted))
        rows = rows[np.argsort(confidence[rows], kind="stable")]
        places = np.linspace(0, len(rows) - 1, min(num_examples, len(rows))).astype(int)
        pairs.append(
            ConfusedPair(
                label=one.actual,
                predicted=one.predicted,
                count=one.count,
                share=round(one.share, _DIGITS),
                examples=[found.image(int(row)) for row in rows[places]],
            )
        )
    return pairs
