"""Subsets of several data sets, embedded and trained on as the stages do it.

What benchmarks of choices share: Fashion-MNIST, CIFAR-10, the digits of scikit-learn and a folder
of photographs, each with fewer training images. Their test parts are never read.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.transfer_sizes import fetch_and_split, kept_files
from pipeline.config import read_document
from pipeline.search.configurations import completed
from pipeline.search.space import SearchSpace
from pipeline.training.data import DataReference
from pipeline.training.messages import TrialResult, TrialSpec
from pipeline.training.worker import run_trial

ROOT = Path(__file__).parents[1]
NUM_VAL, NUM_HELD_OUT = 1000, 2000


def sets(photos: Path | None, *, image_size: int | str = "auto") -> dict[str, dict[str, Any]]:
    """Returns by the data set's name the changes to the section `fetch`.

    Args:
        photos: A folder with a sub-folder for each class, which comes under its own name.
        image_size: That its pictures are brought to, pixels.
    """
    found: dict[str, dict[str, Any]] = {
        name: {"dataset": name} for name in ("digits", "fashion_mnist", "cifar10")
    }
    if photos is not None:
        found[photos.name] = {"dataset": "folder", "path": str(photos), "image_size": image_size}
    return found


def write_subset(
    folder: Path,
    fetch: Mapping[str, Any],
    *,
    num_train: int,
    num_val: int = NUM_VAL,
    num_held_out: int = NUM_HELD_OUT,
) -> None:
    """Writes `folder/train.npz` with some images of each part, drawn once.

    Args:
        folder: Empty.
        fetch: Changes to the section `fetch`.
        num_train: Most images of the training part.
        num_val: Of the validation part.
        num_held_out: Of the confirmation part.
    """
    sections = read_document(ROOT / "params.yaml")
    sections["fetch"] |= {"mirror": kept_files(fetch["dataset"]), **fetch}
    fetch_and_split(sections, folder)
    with np.load(folder / "train.npz") as archive:
        whole, rng = dict(archive), np.random.default_rng(0)
    sizes = {"train": num_train, "val": num_val, "confirmation": num_held_out}
    drawn = {part: rng.permutation(whole[part])[:size] for part, size in sizes.items()}
    rows = np.concatenate([*drawn.values()])
    ends = np.cumsum([len(part) for part in drawn.values()])
    parts = dict(zip(drawn, np.split(np.arange(len(rows)), ends[:-1]), strict=True))
    images, labels = whole["images"][rows], whole["labels"][rows]
    np.savez(folder / "train.npz", images=images, labels=labels, **parts)


def embed(folder: Path, bases: Mapping[str, Mapping[str, Any]]) -> float:
    """Embeds all bases as the stage does; returns images a second.

    Args:
        folder: As `write_subset` left it.
        bases: As `embed.bases`.
    """
    from pipeline.features.params import EmbedParams
    from pipeline.stages import embed as stage

    section = read_document(ROOT / "params.yaml")["embed"]
    params = EmbedParams.model_validate({**section, "bases": bases, "max_bytes": 10**10})
    start = time.perf_counter()
    stage.run(
        params,
        train_file=folder / "train.npz",
        features=folder / "features",
        store=folder / "store",
    )
    with np.load(folder / "train.npz") as archive:
        return len(archive["labels"]) * len(bases) / (time.perf_counter() - start)


def train(
    data: DataReference,
    changes: Mapping[str, Any],
    *,
    seed: int,
    epochs: int,
    file: Path | None = None,
) -> TrialResult:
    """Trains as a trial of a search does.

    Args:
        data: Features of a base.
        changes: To the section `defaults`, with a cut.
        seed: Of the training.
        epochs: Most of them.
        file: Where the model is saved, if at all.
    """
    defaults = read_document(ROOT / "params.yaml")["defaults"]
    spec = TrialSpec(
        uid="benchmark",
        hyperparameters=completed({}, SearchSpace({}, {**defaults, "unfreeze": 0, **changes})),
        seed=seed,
        epochs=epochs,
        model_file=None if file is None else str(file),
    )
    return run_trial(spec, data, lambda _: False)
