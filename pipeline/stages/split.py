"""Stage `split`: data/raw/ -> data/train.npz, train_rows.npy, test.npz, split.json in data/.

Run: python -m pipeline split
"""

import logging
import math
from pathlib import Path

import numpy as np

from pipeline.config import load_section
from pipeline.data.labelled import LabelledImages, load_raw
from pipeline.data.near_copies import NEAR_COPY
from pipeline.data.rows import write_rows
from pipeline.data.split_params import SplitParams
from pipeline.data.splits import SPLIT_PARTS, Indices, Split, divide
from pipeline.files import write_whole
from pipeline.split_record import SPLIT_FILE, PartCounts, SplitRecord, write_split

logger = logging.getLogger(__name__)

# Of which the log says how exactly a part tells it.
_ACCURACY = 0.8
_MOST_LEFT_OUT = 0.01
"""Of all images, as copies, without a warning."""
_CONFLICTING = "with_conflicting_labels"


def run(
    params: SplitParams,
    *,
    raw: Path,
    train_file: Path,
    rows_file: Path,
    test_file: Path,
    summary_file: Path,
) -> None:
    """Writes the three parts of the search to one file, the test part to another, and the counts.

    What `rows_file` gets is the place in the data set of each image in `train_file`.

    Raises:
        DataIntegrityError: If `raw` is incomplete or changed, or its own parts lack a class.
        ConfigError: If the sizes do not fit the dataset.
    """
    dataset, data = load_raw(raw)
    split = divide(data, params)
    digests = {}
    for name, file in (("train", train_file), ("test", test_file)):
        rows, others = _test_rows(data, split) if name == "test" else _train_rows(data, split)
        with write_whole(file) as part:
            digests[name] = write_rows(part, data.images, rows, others)
    # Not in train.npz, whose hash studies are known by.
    with write_whole(rows_file) as part:
        np.save(part, _train_rows(data, split)[0])
    write_split(_summary(dataset, data, split, digests), summary_file)
    if split.reasons:
        logger.info("sizes that are auto: %s", _auto_sizes(split))
    for kind, is_near in (("identical", False), ("near-identical", True)):
        found = [
            f"{count} {name.removeprefix('near_copies_').replace('_', ' ')}"
            for name, count in split.duplicates.items()
            if count and name.startswith("near_copies_") == is_near
        ]
        logger.info("%s images: %s", kind, ", ".join(found) or "none")
    if any(count for name, count in split.duplicates.items() if name.startswith("near_copies_")):
        logger.info(NEAR_COPY)
    if num := sum(n for name, n in split.duplicates.items() if name.endswith(_CONFLICTING)):
        logger.warning(
            "%d pictures, or near copies of them, have another label elsewhere: "
            "`dvc repro review` shows which, in results/review",
            num,
        )
    num_left_out = sum(n for name, n in split.duplicates.items() if "left_out_as_in_" in name)
    if num_left_out > _MOST_LEFT_OUT * len(data.labels):
        logger.warning(
            "%d of %d images are left out, since another part holds the same or nearly the same "
            "picture. Frames of one film, or one thing photographed often, belong into one part: "
            "docs/own-images.md",
            num_left_out,
            len(data.labels),
        )
    counts = ", ".join(f"{len(getattr(split, part))} {part}" for part in SPLIT_PARTS)
    logger.info("%d images: %s", len(data.labels), counts)


def main() -> None:
    """Runs the stage on the files that dvc.yaml names."""
    run(
        load_section(SplitParams, "split"),
        raw=Path("data/raw"),
        train_file=Path("data/train.npz"),
        rows_file=Path("data/train_rows.npy"),
        test_file=Path("data/test.npz"),
        summary_file=SPLIT_FILE,
    )


def _auto_sizes(split: Split) -> str:
    """Says what was chosen, and how well such a part tells an accuracy: its standard error."""
    texts = []
    for part, reason in split.reasons.items():
        number = len(getattr(split, part))
        error = math.sqrt(_ACCURACY * (1 - _ACCURACY) / number)
        texts.append(f"{part} {number} ({reason}; tells {_ACCURACY} to +-{error:.3f})")
    keys = ", ".join(f"split.{part}_size" for part in split.reasons)
    return f"{', '.join(texts)}; {keys} say otherwise"


Rows = tuple[Indices, dict[str, Indices]]


def _test_rows(data: LabelledImages, split: Split) -> Rows:
    return split.test, {"labels": data.labels[split.test]}


def _train_rows(data: LabelledImages, split: Split) -> Rows:
    parts = {"train": split.train, "val": split.val, "confirmation": split.confirmation}
    kept = np.sort(np.concatenate(list(parts.values())))
    # Indices into the file, not into the dataset: what is left out is not in the file.
    places = {part: np.searchsorted(kept, indices) for part, indices in parts.items()}
    return kept, {"labels": data.labels[kept], **places}


def _summary(
    dataset: str, data: LabelledImages, split: Split, digests: dict[str, str]
) -> SplitRecord:
    num_classes = len(data.class_names)
    labels = {part: data.labels[getattr(split, part)] for part in SPLIT_PARTS}
    return SplitRecord(
        dataset=dataset,
        class_names=data.class_names,
        image_shape=data.images.shape[1:],
        counts={
            part: PartCounts(
                images=len(of_part),
                per_class=tuple(np.bincount(of_part, minlength=num_classes).tolist()),
            )
            for part, of_part in labels.items()
        },
        duplicates=split.duplicates,
        sha256=digests,
        source=dict(data.source),
        value_range=data.value_range,
    )
