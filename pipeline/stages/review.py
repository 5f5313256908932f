"""Stage `review`: data/train.npz and its features -> results/review.json, review.csv, pictures.

Looks through train, val and confirmation for labels that are probably wrong, images that nearly
repeat one another, and classes that are confused. It depends on features and labels alone, and
only the report depends on it: it removes nothing and changes no result. The test part it does not
look at: `split` keeps near copies away from that, and what such a check lets through at the other
boundaries, `share_across` of the record says.

Run: python -m pipeline review
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.config import load_section
from pipeline.data.labelled import image_files
from pipeline.data.rows import row_batches, whole_array
from pipeline.errors import DataIntegrityError
from pipeline.review.duplicates import Duplicates, find_duplicates, gray_details
from pipeline.review.judgement import Findings, Images, judge, record_of, write_labels, write_pairs
from pipeline.review.params import ReviewParams
from pipeline.review.pictures import make_tile, write_sheets, write_tiles
from pipeline.review.record import (
    FOLDER,
    LABELS_FILE,
    PAIRS_FILE,
    TILES,
    ReviewRecord,
    write_review,
)
from pipeline.review.vectors import Floats16, choose_source, find_sources, read_vectors
from pipeline.split_record import read_split

logger = logging.getLogger(__name__)

TRAIN_FILE: Final = Path("data/train.npz")
ROWS_FILE: Final = Path("data/train_rows.npy")
RAW: Final = Path("data/raw")
FEATURES: Final = Path("data/features")
_BATCH = 1024


def run(params: ReviewParams, *, root: Path = Path()) -> ReviewRecord:
    """Looks through the images of the search's parts, and writes what it finds.

    Args:
        params: The section.
        root: The folder that holds `data/` and `results/`.

    Raises:
        DataIntegrityError: If a stage before has not run, or files are of different runs.
    """
    images = _read_images(root)
    sources = find_sources(root / FEATURES)
    if (number := sources[0].num_images) != len(images.labels):
        raise DataIntegrityError(
            f"{FEATURES} must be of the images of {TRAIN_FILE}. Received: {number} images and "
            f"{len(images.labels)}. Run `dvc repro embed`, which writes them anew."
        )
    source = choose_source(sources, images.labels, seed=params.seed)
    logger.info("%d images are judged by %s", len(images.labels), source.name)
    vectors = read_vectors(source, seed=params.seed)
    duplicates = _duplicates(params, vectors, root / TRAIN_FILE)
    found = judge(images, vectors, duplicates, seed=params.seed)
    record = record_of(found, source=source.name, shown=params.shown)
    _write(found, record, root)
    for line in summary(record, images.class_names):
        logger.info("%s", line)
    return record


def main() -> None:
    """Runs the stage on the files that dvc.yaml names."""
    run(load_section(ReviewParams, "review"))


def summary(record: ReviewRecord, class_names: Sequence[str]) -> list[str]:
    """Returns what was found, and where to look, as a line each."""
    pairs = "near-duplicates were not looked for"
    if record.num_pairs is not None:
        pairs = (
            f"{record.num_pairs:,} pairs of near-duplicates, {record.num_contradictory:,} of two "
            f"labels and {record.num_across:,} across parts"
        )
    most = "; ".join(
        f"{class_names[one.label]} as {class_names[one.predicted]} ({one.count:,})"
        for one in record.confused[:3]
    )
    return [
        f"{record.num_suspicious:,} of {record.num_images:,} labels are suspicious "
        f"(ridge heads are right for {record.accuracy:.2%}); {pairs}; most confused: "
        f"{most or 'none'}. Look at {FOLDER}/*.png and {LABELS_FILE}"
    ]


def _read_images(root: Path) -> Images:
    split = read_split(root)
    labels = whole_array(root / TRAIN_FILE, "labels").astype(np.int64)
    parts = np.full(len(labels), "train", "<U12")
    for part in ("val", "confirmation"):
        parts[whole_array(root / TRAIN_FILE, part)] = part
    return Images(
        labels=labels,
        parts=parts,
        indices=np.load(root / ROWS_FILE),
        files=image_files(root / RAW),
        class_names=split.class_names,
    )


def _duplicates(params: ReviewParams, vectors: Floats16, train_file: Path) -> Duplicates | None:
    if len(vectors) > params.most_compared:
        logger.info(
            "%d images are not compared with one another: more than review.most_compared=%d",
            *(len(vectors), params.most_compared),
        )
        return None
    grays = gray_details(row_batches(train_file, "images", batch_size=_BATCH))
    return find_duplicates(vectors, grays)


def _write(found: Findings, record: ReviewRecord, root: Path) -> None:
    shown = {one.index for one in record.shown()}
    indices = found.images.indices
    tiles, start = {}, 0
    for batch in row_batches(root / TRAIN_FILE, "images", batch_size=_BATCH):
        for index, image in zip(indices[start : start + len(batch)].tolist(), batch, strict=True):
            if index in shown:
                tiles[index] = make_tile(image)
        start += len(batch)
    write_tiles(tiles, root / TILES)
    write_sheets(record, tiles, found.images.class_names, root / FOLDER)
    write_labels(found, root / LABELS_FILE)
    write_pairs(found, root / PAIRS_FILE)
    write_review(record, root)
