"""What is registered: a study's exported model, checked, with the evidence for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.data.rows import chosen_images, whole_array
from pipeline.errors import DataIntegrityError
from pipeline.files import read_json, sha256_file
from pipeline.split_record import SplitRecord, read_split

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from pipeline.records.model_registry.champion import Evidence
    from pipeline.records.model_registry.versions import Candidate
    from pipeline.trials.confirmation import ConfirmationRecord

NUM_EXAMPLES: Final = 5
# Sums of float32 probabilities stay within 1e-6 of 1; a model that ends in logits is far off.
SUM_TOLERANCE: Final = 1e-3


def load_candidate(study: str, confirm: ConfirmationRecord, *, root: Path) -> Candidate:
    """Loads a study's exported model and checks it, with all that is registered beside it.

    Args:
        study: Its name.
        confirm: What `confirm` found out about it.
        root: The repository.

    Raises:
        DataIntegrityError: If an earlier stage's file is missing, or the model is not what it
            should be.
    """
    from pipeline.bases.model_files import weights_sha256
    from pipeline.records.lineage import revision_tags
    from pipeline.records.model_registry.versions import Candidate
    from pipeline.training.export import load_exported

    split = read_split(root)
    test = read_json(root / "results/metrics.json").get(study, {})
    model_file = root / "models" / f"{study}.keras"
    _check_is_confirmed(model_file, confirm, study)
    model = load_exported(model_file)
    examples = _examples(root / "data/train.npz")
    check_model(model, examples, num_classes=len(split.class_names), file=model_file)
    return Candidate(
        model=model,
        model_file=model_file,
        evidence=_evidence(confirm, split, weights_sha256(model)),
        test=test,
        lineage=revision_tags(root),
        confirm=confirm,
        split=split,
        examples=examples,
        results=root / "results" / study,
    )


def check_model(
    model: keras.Model, images: NDArray[np.uint8], *, num_classes: int, file: Path
) -> None:
    """Checks that a model turns raw images into probabilities.

    Raises:
        DataIntegrityError: If it does not take them, or its answers are no probabilities.
    """
    from pipeline.training.export import predict_probabilities

    if model.input_shape[1:] != images.shape[1:] or model.output_shape[1:] != (num_classes,):
        raise DataIntegrityError(
            f"{file} must take images of shape {images.shape[1:]} and return {num_classes} "
            f"probabilities. Received: input {model.input_shape[1:]}, output "
            f"{model.output_shape[1:]}. Run `dvc repro` to export it again."
        )
    probabilities = predict_probabilities(model, images)
    sums = probabilities.sum(axis=1)
    if not np.all(np.abs(sums - 1) < SUM_TOLERANCE) or probabilities.min() < 0:
        raise DataIntegrityError(
            f"{file} must return probabilities, which sum to 1. Received: sums={sums.tolist()}. "
            "Run `dvc repro` to export it again."
        )


def _check_is_confirmed(file: Path, confirm: ConfirmationRecord, study: str) -> None:
    found, expected = sha256_file(file), confirm.exported.file_sha256
    if found != expected:
        raise DataIntegrityError(
            f"{file} must be the file that `confirm` exported, sha256 {expected}, since the "
            f"evidence is that one's. Received: sha256={found}. Run: dvc repro -f confirm@{study}"
        )


def check_is_verified(candidate: Candidate) -> None:
    """Refuses a model whose file was never run on raw images.

    Raises:
        DataIntegrityError: If `confirm.json`, of an earlier release, does not say what it reached.
    """
    if candidate.confirm.exported.verified is None:
        study, file = candidate.confirm.study, candidate.model_file.name
        raise DataIntegrityError(
            f"results/{study}/confirm.json must say what {file} reaches on raw images; that "
            "of an earlier release does not. Nothing was registered. Run: "
            f"dvc repro -f confirm@{study}"
        )


def _examples(train_file: Path) -> NDArray[np.uint8]:
    return chosen_images(train_file, whole_array(train_file, "train")[:NUM_EXAMPLES])


def _evidence(confirm: ConfirmationRecord, split: SplitRecord, weights: str) -> Evidence:
    from pipeline.records.mirror.dataset_inputs import data_digest
    from pipeline.records.model_registry.champion import Evidence

    winner = confirm.winner
    return Evidence(
        objective=confirm.objective,
        data_digest=data_digest(split),
        weights_sha256=weights,
        mean=winner.mean,
        low=winner.low,
        high=winner.high,
        n=confirm.n,
        num_seeds=winner.num_seeds,
    )


def existing(file: Path) -> Path:
    """Returns the path of a file that an earlier stage wrote.

    Raises:
        DataIntegrityError: If it is not there.
    """
    if not file.is_file():
        raise DataIntegrityError(f"{file} must exist before this stage. Run `dvc repro`.")
    return file
