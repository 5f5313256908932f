"""Part `sizes` of `benchmarks.transfer`: test accuracy over the size of the training set.

Three sides on the same images of the train part: the dense network that `params.yaml` enqueues
first for the study `scratch`; a convnet; a head on a frozen EfficientNet-Lite0. Each training takes
12 epochs; one of few images goes over them again and again, so that it too has 125 steps or more,
1,500 in all. The validation part, 5,000 images, chooses the epoch on every side and for every size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.transfer_figures import (
    ROOT,
    TITLES,
    Figures,
    draw_lines,
    over_seeds,
    plot,
    print_table,
    spread,
)
from benchmarks.transfer_trainings import PIXELS, Job, Subset, in_process, run_jobs
from pipeline.config import read_document
from pipeline.processes import num_cores
from pipeline.search.configurations import completed
from pipeline.search.space import SearchSpace
from pipeline.training.data import DataReference

BASE = "efficientnet_lite0"
# Each data set's best of those that were tried on its validation part.
CUTS = {"fashion_mnist": ("block4_add", 64), "cifar10": ("block10_add", 96)}
SIDES = {
    "scratch": "dense network on pixels",
    "convnet": "convnet from scratch",
    "transfer": "head on the frozen base",
}
EPOCHS, MIN_STEPS = 12, 1500
# The rate is lowered by a schedule, and nothing stops early: an epoch means the same everywhere.
SHARED = {"early_stopping": "none", "schedule": "cosine"}
CONVNET = {**SHARED, "cut": PIXELS, "optimizer": "adam", "learning_rate": 2e-3, "batch_size": 128}
HEAD = {
    **SHARED,
    "num_layers": 1,
    "units": 512,
    "activation": "relu",
    "dropout": "all",
    "dropout_rate": 0.4,
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "batch_size": 128,
}


def run(dataset: str, *, shares: Sequence[float], seeds: int, out: Path) -> None:
    """Prints the table and writes the plot."""
    out = out / f"sizes-{dataset}"
    cut, image_size = CUTS[dataset]
    base = {BASE: {"image_size": image_size, "cuts": [cut]}}
    figures = Figures(out / "figures.json", {"dataset": dataset, "cut": cut, "px": image_size})
    prepare(out, fetch={"dataset": dataset}, bases=base)
    jobs = [
        job
        for share in sorted(shares, reverse=True)
        for seed in range(seeds)
        for job in _jobs(out, cut, share, seed)
    ]
    train_missing(jobs, figures)
    _report(figures, out, dataset, shares=sorted(shares), seeds=seeds)


def prepare(
    folder: Path,
    *,
    fetch: Mapping[str, Any],
    bases: Mapping[str, Any],
    split: Mapping[str, Any] | None = None,
) -> None:
    """Runs fetch, split and embed of `params.yaml` with a few changes, where they have not run."""
    sections = read_document(ROOT / "params.yaml")
    sections["fetch"] |= {"mirror": kept_files(fetch["dataset"]), **fetch}
    sections["split"] |= split or {}
    sections["embed"] |= {"bases": dict(bases)}
    if not (folder / "split.json").is_file():
        in_process(fetch_and_split, sections, folder)
    in_process(_embed, sections["embed"], folder)


def kept_files(dataset: str) -> str | None:
    """Returns where the stage `fetch` of this checkout keeps a data set's files, if it does."""
    folder = ROOT / "data/cache" / dataset
    return str(folder) if folder.is_dir() else None


def fetch_and_split(sections: Mapping[str, Any], folder: Path) -> None:
    """Runs both stages with these sections: `raw`, `train.npz`, `test.npz` and `split.json`."""
    from pipeline.data.fetch_params import FetchParams
    from pipeline.data.split_params import SplitParams
    from pipeline.stages import fetch, split

    params = FetchParams.model_validate(sections["fetch"])
    fetch.run(params, raw=folder / "raw", cache=folder / "cache")
    split.run(
        SplitParams.model_validate(sections["split"]),
        raw=folder / "raw",
        train_file=folder / "train.npz",
        rows_file=folder / "train_rows.npy",
        test_file=folder / "test.npz",
        summary_file=folder / "split.json",
    )


def _embed(section: Mapping[str, Any], folder: Path) -> None:
    from pipeline.features.params import EmbedParams
    from pipeline.stages import embed
    from pipeline.training.devices import configure_tensorflow

    configure_tensorflow(num_threads=num_cores())
    params = EmbedParams.model_validate(section)
    embed.run(
        params,
        train_file=folder / "train.npz",
        features=folder / "features",
        store=folder / "earlier-features",
    )


def reference(folder: Path, base: str) -> DataReference:
    """Returns the features of a base that `prepare` embedded."""
    return DataReference(
        features=str(folder / "features" / base), train_file=str(folder / "train.npz")
    )


def configured(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `params.yaml`'s defaults with changes, as a trial has them."""
    defaults = read_document(ROOT / "params.yaml")["defaults"]
    values = completed({}, SearchSpace({}, {**defaults, **changes}))
    if values is None:
        raise ValueError(f"Hyperparameters are missing. Received: {changes}.")
    return values


def _jobs(folder: Path, cut: str, share: float, seed: int) -> list[Job]:
    first = read_document(ROOT / "params.yaml")["studies"]["scratch"]["enqueue"][0]
    sides = {
        "convnet": ("none", CONVNET, "convnet"),
        "transfer": (BASE, {**HEAD, "cut": cut}, None),
        "scratch": ("none", {**first, **SHARED, "cut": PIXELS}, None),
    }
    return [
        Job(
            key=f"{side} {share:g} {seed}",
            data=Subset(
                reference=reference(folder, base),
                num_per_class=_num_per_class(folder, share),
                seed=seed,
                min_rows=-(-MIN_STEPS // EPOCHS) * int(changes["batch_size"]),
            ),
            hyperparameters=configured(changes),
            epochs=EPOCHS,
            seed=seed,
            test_file=folder / "test.npz",
            network=network,
        )
        for side, (base, changes, network) in sides.items()
    ]


def _num_per_class(folder: Path, share: float) -> tuple[int, ...]:
    with np.load(folder / "train.npz") as archive:
        counts = np.bincount(archive["labels"][archive["train"]])
    return tuple(max(1, round(share * int(count))) for count in counts)


def train_missing(jobs: Sequence[Job], figures: Figures) -> None:
    """Trains what has no figures yet, and says each."""
    missing = [job for job in jobs if job.key not in figures]
    for number, (job, found) in enumerate(run_jobs(missing), start=1):
        found["images"] = sum(job.data.num_per_class)
        figures[job.key] = found
        print(
            f"{number}/{len(missing)} {job.key}: test {found['test_accuracy']:.4f}, "
            f"val {found['val_accuracy']:.4f}, {found['steps']} steps, {found['seconds']:.0f} s",
            flush=True,
        )


def _report(
    figures: Figures, out: Path, dataset: str, *, shares: Sequence[float], seeds: int
) -> None:
    keys = {
        side: [[f"{side} {share:g} {seed}" for seed in range(seeds)] for share in shares]
        for side in SIDES
    }
    counts = [figures[of_share[0]]["images"] for of_share in keys["transfer"]]
    lines = {
        SIDES[side]: [figures.of("test_accuracy", of_share) for of_share in keys[side]]
        for side in SIDES
    }
    n = figures[keys["transfer"][0][0]]["n"]
    rows = [
        [f"{share:.0%}", f"{count:,}", *(spread(values[row]) for values in lines.values())]
        for row, (share, count) in enumerate(zip(shares, counts, strict=True))
    ]
    title = f"{TITLES[dataset]}: test accuracy over the size of the training set"
    print_table(["share", "training images", *lines], rows)
    print(f"{title}; n = {n:,} test images; {over_seeds(seeds)}.")
    print(figures.where)
    file = out / f"transfer-sizes-{dataset}.png"
    with plot(file, title=title, x="training images", y="test accuracy") as axes:
        draw_lines(axes, counts, lines)
    print(f"{figures.file}\n{file}")
