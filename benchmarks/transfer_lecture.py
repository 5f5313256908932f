"""Part `lecture` of `benchmarks.transfer`: what is learned on six classes helps with four others.

The lecture reuses a network that tells eight kinds of clothes apart for two others, with few images
of those. Here a small residual network learns CIFAR-10's six animals, from scratch on this machine;
its file is then an ordinary base of the pipeline for the four vehicles, with few images of each:
first frozen, with a head on the third of its four blocks, then with that block unfrozen, trained on
at a tenth of the rate. Beside it, the same network from scratch on the same images, with as many
steps. On the validation part, with 30 images a class and two seeds, the third block was the best
place for a head: 0.654, the second 0.600; the fourth and the average above it, with one seed, 0.621
and 0.556.

The vehicles are a user's own npz, which goes through fetch, split and embed. 1,000 of them, never
trained on, choose the epoch on every side; their 4,000 test images are read after each training.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.transfer_figures import Figures, draw_lines, over_seeds, plot, print_table, spread
from benchmarks.transfer_networks import BATCH_SIZE, residual_net, train_until
from benchmarks.transfer_sizes import (
    SHARED,
    configured,
    kept_files,
    prepare,
    reference,
    train_missing,
)
from benchmarks.transfer_trainings import PIXELS, Job, Subset, in_process, test_hits
from pipeline.processes import num_cores

ANIMALS = ("bird", "cat", "deer", "dog", "frog", "horse")
VEHICLES = ("airplane", "automobile", "ship", "truck")
BASE, LOWER, CUT = "animals", "block2_pool", "block3_pool"
NUM_VAL = 1000
NETWORK = "residual_net"
SIDES = {
    "scratch": "same network from scratch",
    "frozen": "animals' network, frozen",
    "unfrozen": "its last reused block unfrozen",
}
EPOCHS, MIN_STEPS, FEW = 20, 1000, 32
SCRATCH = {
    **SHARED,
    "cut": PIXELS,
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "batch_size": FEW,
}
HEAD = {
    **SCRATCH,
    "cut": CUT,
    "num_layers": 1,
    "units": 128,
    "activation": "relu",
    "dropout": "all",
    "dropout_rate": 0.4,
}
UNFROZEN = {"unfreeze": 1, "learning_rate_ratio": 0.1, "fine_tuning_share": 0.5}


def run(*, per_class: Sequence[int], seeds: int, minutes: float, out: Path) -> None:
    """Prints the table and writes the plot."""
    out = out / "lecture"
    figures = Figures(out / "figures.json", {"minutes": minutes, "network": NETWORK, "cut": CUT})
    if "animals" not in figures:
        figures["animals"] = in_process(_learn_animals, out, 60 * minutes)
    animals = figures["animals"]
    print(
        f"{out / 'animals.keras'}: {animals['test_accuracy']:.4f} of {animals['n']:,}", flush=True
    )
    base = {
        "model": str(out / "animals.keras"),
        "image_size": 32,
        "input_range": [0, 255],
        "cuts": [LOWER, CUT],
    }
    prepare(
        out / "vehicles",
        fetch={"dataset": "npz", "path": str(out / "vehicles.npz")},
        split={"val_size": NUM_VAL, "confirmation_size": NUM_VAL},
        bases={BASE: base},
    )
    jobs = [
        job
        for count in sorted(per_class, reverse=True)
        for seed in range(seeds)
        for job in _jobs(out / "vehicles", count, seed)
    ]
    train_missing(jobs, figures)
    _report(figures, out, per_class=sorted(per_class), seeds=seeds)


def _learn_animals(out: Path, seconds: float) -> dict[str, Any]:
    """Writes `vehicles.npz`, trains `animals.keras`, and measures it on the test animals."""
    from pipeline.training.devices import configure_tensorflow

    start = psutil.Process().create_time()
    _divide(out)
    configure_tensorflow(num_threads=num_cores())
    with np.load(out / "animals.npz") as archive:
        arrays = {name: archive[name] for name in archive}
    order = np.random.default_rng(0).permutation(len(arrays["y_train"]))
    images, labels = arrays["x_train"][order], arrays["y_train"][order]
    num_val = len(labels) // 10
    model = residual_net(images.shape[1:], len(ANIMALS), seed=0)
    looks, num_steps = train_until(
        model,
        (images[num_val:], labels[num_val:]),
        (images[:num_val], labels[:num_val]),
        start=start,
        seconds=seconds,
        flip=True,
    )
    model.save(out / "animals.keras")
    hits, n = test_hits(model, out / "animals-test.npz")
    return {
        "test_accuracy": hits / n,
        "n": n,
        "val_accuracy": max(accuracy for _, accuracy in looks),
        "looks": looks,
        "epochs": num_steps * BATCH_SIZE / (len(labels) - num_val),
        "num_parameters": model.count_params(),
        "seconds": time.time() - start,
    }


def _divide(out: Path) -> None:
    """Writes animals and vehicles as files of their own, as Keras and the pipeline read them."""
    from pipeline.config import read_document
    from pipeline.data.fetch_params import FetchParams
    from pipeline.data.labelled import load_raw
    from pipeline.stages import fetch

    section = read_document(Path(__file__).parents[1] / "params.yaml")["fetch"]
    section |= {"dataset": "cifar10", "mirror": kept_files("cifar10")}
    params = FetchParams.model_validate(section)
    fetch.run(params, raw=out / "raw", cache=out / "cache")
    _, data = load_raw(out / "raw")
    for file, names in ((out / "animals.npz", ANIMALS), (out / "vehicles.npz", VEHICLES)):
        ids = {data.class_names.index(name): label for label, name in enumerate(names)}
        arrays: dict[str, Any] = {}
        for part in ("train", "test"):
            rows = np.flatnonzero((data.parts == part) & np.isin(data.labels, list(ids)))
            arrays[f"x_{part}"] = data.images[rows]
            arrays[f"y_{part}"] = np.array([ids[int(label)] for label in data.labels[rows]])
        np.savez(file, class_names=np.array(names), **arrays)
        if names is ANIMALS:
            np.savez(out / "animals-test.npz", images=arrays["x_test"], labels=arrays["y_test"])


def _jobs(folder: Path, count: int, seed: int) -> list[Job]:
    sides = {
        "scratch": ("none", SCRATCH, NETWORK),
        "unfrozen": (BASE, {**HEAD, **UNFROZEN}, None),
        "frozen": (BASE, HEAD, None),
    }
    return [
        Job(
            key=f"{side} {count} {seed}",
            data=Subset(
                reference=reference(folder, base),
                num_per_class=(count,) * len(VEHICLES),
                seed=seed,
                min_rows=-(-MIN_STEPS // EPOCHS) * FEW,
            ),
            hyperparameters=configured(changes),
            epochs=EPOCHS,
            seed=seed,
            test_file=folder / "test.npz",
            network=network,
        )
        for side, (base, changes, network) in sides.items()
    ]


def _report(figures: Figures, out: Path, *, per_class: Sequence[int], seeds: int) -> None:
    keys = {
        side: [[f"{side} {count} {seed}" for seed in range(seeds)] for count in per_class]
        for side in SIDES
    }
    lines = {
        SIDES[side]: [figures.of("test_accuracy", of_count) for of_count in keys[side]]
        for side in SIDES
    }
    rows = [
        [f"{count:,}", *(spread(values[row]) for values in lines.values())]
        for row, count in enumerate(per_class)
    ]
    animals, n = figures["animals"], figures[keys["frozen"][0][0]]["n"]
    title = "CIFAR-10: the animals' network for the vehicles"
    print_table(["training images a class", *lines], rows)
    print(
        f"{title}: test accuracy, n = {n:,} images; {over_seeds(seeds)}. "
        f"The animals' own: {animals['test_accuracy']:.3f}, n = {animals['n']:,}, "
        f"{animals['num_parameters']:,} parameters, "
        f"{animals['epochs']:.1f} epochs, {animals['seconds']:.0f} s."
    )
    print(figures.where)
    file = out / "transfer-lecture.png"
    with plot(file, title=title, x="training images a class", y="test accuracy") as axes:
        draw_lines(axes, per_class, lines)
    print(f"{figures.file}\n{file}")
