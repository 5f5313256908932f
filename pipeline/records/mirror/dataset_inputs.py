"""The dataset and its split, as inputs of a run; digests and counts only, no image is read."""

import json
from typing import TYPE_CHECKING

from pipeline.split_record import SplitRecord

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

# MLflow takes at most 36 characters.
DIGEST_LENGTH = 36
TRAIN_FILE = "data/train.npz"
# Which part a run reads for what, in MLflow's own words where it has one. The test part is none of
# them: only `evaluate` reads it.
CONTEXTS = {"train": "training", "val": "validation", "confirmation": "confirmation"}


def dataset_inputs(split: SplitRecord, parts: tuple[str, ...]) -> "list[DatasetInput]":
    """Describes parts of the training file as MLflow dataset inputs.

    MLflow knows a dataset by name and digest, so each part is one of its own,
    `fashion_mnist-train`; the digest is that of the file, images, labels and indices together.

    Args:
        split: The data set and its division.
        parts: Keys of `CONTEXTS`.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    return [
        DatasetInput(
            Dataset(
                name=f"{split.dataset}-{part}",
                digest=data_digest(split),
                source_type="local",
                source=json.dumps({"uri": TRAIN_FILE}),
                profile=json.dumps(_profile(split, part)),
            ),
            [InputTag("mlflow.data.context", CONTEXTS[part])],
        )
        for part in parts
        if part in split.counts
    ]


def data_digest(split: SplitRecord) -> str:
    """Returns what identifies the training data and its division, 36 hex digits."""
    return split.sha256["train"][:DIGEST_LENGTH]


def _profile(split: SplitRecord, part: str) -> dict[str, object]:
    counts = split.counts[part]
    return {
        "num_images": counts.images,
        "per_class": dict(zip(split.class_names, counts.per_class, strict=True)),
        "image_shape": split.image_shape,
        "sha256": split.sha256["train"],
    }
