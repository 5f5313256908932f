"""Part `budget` of `benchmarks.transfer`: what each way makes of the same minutes.

In a checkout of its own, with `params.yaml` as it is but for the data set and the time. Transfer:
the stages `plan` and `embed`, then the search `transfer` for what is left of the minutes. Scratch:
the search `scratch`, a dense network on pixels, for all of them. Beside them a convnet from scratch
with the same minutes on all cores. Starting Python and TensorFlow counts everywhere.

Then, not counted, each search's best trial is trained again with three seeds by `confirm`, whose
average `evaluate` measures on the test part. So it is for the convnet: it gets the minutes once for
each seed, and the average of the three is measured.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.transfer_figures import COLORS, ROOT, TITLES, Figures, plot, print_table, spread
from benchmarks.transfer_networks import BATCH_SIZE, convnet, train_until
from benchmarks.transfer_sizes import kept_files
from benchmarks.transfer_trainings import PIXELS, deployed, in_process, test_hits
from pipeline.evaluation.intervals import wilson_interval
from pipeline.files import read_json
from pipeline.processes import num_cores
from pipeline.training.data import DataReference
from testing.checkout import Checkout

SIDES = {
    "scratch": "dense network on pixels, searched",
    "convnet": "convnet from scratch",
    "transfer": "pretrained base, searched",
}
# More than any time allows: the clock ends a search, never the count.
ENDLESS = 100_000


def run(dataset: str, *, minutes: float, seeds: int, out: Path) -> None:
    """Prints the table and writes the plot."""
    out = out / f"budget-{dataset}"
    settings = {"dataset": dataset, "minutes": minutes, "seeds": seeds}
    figures = Figures(out / "figures.json", settings)
    seconds = 60 * minutes
    checkout = _checkout(out / "checkout", dataset, seeds)
    for stage in (["fetch"], ["split"], ["plan"], ["embed"]):
        _run_stage(checkout, figures, stage)
    embed_seconds = figures["plan"]["seconds"] + figures["embed"]["seconds"]
    if embed_seconds >= seconds:
        raise SystemExit(
            f"plan and embed must leave time to search. Received: they took {embed_seconds:.0f} s."
        )
    _search(checkout, figures, "transfer", seconds=seconds, before=embed_seconds)
    _search(checkout, figures, "scratch", seconds=seconds, before=0.0)
    _train_convnets(checkout.folder, figures, seconds=seconds, seeds=seeds)
    for stage in (["confirm", "transfer"], ["confirm", "scratch"], ["evaluate"]):
        _run_stage(checkout, figures, stage)
    figures["metrics"] = read_json(checkout.folder / "results/metrics.json")
    _report(figures, out, dataset, minutes=minutes, seeds=seeds)


def _checkout(folder: Path, dataset: str, seeds: int) -> Checkout:
    """Returns the checkout, made if it is not there, with this repository's params.yaml."""
    if folder.is_dir():
        found = Checkout.__new__(Checkout)
        found.folder = folder
        return found
    made = Checkout(folder)
    shutil.copy2(ROOT / "params.yaml", folder / "params.yaml")
    made.set(
        {
            "fetch": {"dataset": dataset, "mirror": kept_files(dataset)},
            "search": {"trials": ENDLESS},
            "confirm": {"top": 1, "seeds": seeds, "export": "ensemble", "max_slowdown": 2.0},
        }
    )
    return made


def _run_stage(checkout: Checkout, figures: Figures, stage: Sequence[str]) -> None:
    """Runs a stage that has not run yet, and keeps its seconds and what it said."""
    key = " ".join(stage)
    if key in figures:
        return
    began, start = datetime.now(), time.perf_counter()
    process = checkout.start(sys.executable, "-m", "pipeline", *stage)
    said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{key} ended with {process.returncode}:\n{said}")
    figures[key] = {
        "seconds": time.perf_counter() - start,
        "began": began.isoformat(),
        "last_line": said.splitlines()[-1] if said else "",
    }
    print(f"{key}: {figures[key]['seconds']:.1f} s", flush=True)


def _search(
    checkout: Checkout, figures: Figures, study: str, *, seconds: float, before: float
) -> None:
    """Searches for what is left of the time, and keeps when the best trial got better.

    Args:
        checkout: Where.
        figures: Of the part.
        study: A key of `studies`.
        seconds: All of the time.
        before: What was spent before the search.
    """
    key = f"search {study}"
    if key not in figures:
        if f"{key} began" in figures:
            raise SystemExit(
                f"{key} was cut off, and would have more than its minutes if it went on. Name "
                "another --out."
            )
        figures[f"{key} began"] = datetime.now().isoformat()
        checkout.set({"search": {"timeout": f"{max(1, round(seconds - before))}s"}})
    _run_stage(checkout, figures, ["search", study])
    trials = read_json(checkout.folder / "results" / study / "study.json")["trials"]
    began = datetime.fromisoformat(figures[key]["began"])
    looks = sorted(
        (
            before + (datetime.fromisoformat(t["datetime_complete"]) - began).total_seconds(),
            t["value"],
        )
        for t in trials
        if t["state"] == "COMPLETE"
    )
    states = [trial["state"] for trial in trials]
    figures[study] = {
        "looks": looks,
        "seconds": before + figures[key]["seconds"],
        "complete": states.count("COMPLETE"),
        "pruned": states.count("PRUNED"),
        "val_accuracy": max(value for _, value in looks),
    }


def _train_convnets(folder: Path, figures: Figures, *, seconds: float, seeds: int) -> None:
    files = [folder / f"convnet-{seed}.keras" for seed in range(seeds)]
    for seed, file in enumerate(files):
        key = f"convnet {seed}"
        if key not in figures:
            figures[key] = in_process(_train_convnet, folder, file, seconds, seed)
            print(
                f"{key}: val {figures[key]['val_accuracy']:.4f}, {figures[key]['epochs']:.1f} "
                f"epochs, {figures[key]['seconds']:.1f} s",
                flush=True,
            )
    if "convnets" not in figures:
        figures["convnets"] = in_process(_measure_convnets, folder, files)


def _pixels(folder: Path) -> DataReference:
    return DataReference(
        features=str(folder / "data/features/none"), train_file=str(folder / "data/train.npz")
    )


def _train_convnet(folder: Path, file: Path, seconds: float, seed: int) -> dict[str, Any]:
    from pipeline.training.data import load_cut
    from pipeline.training.devices import configure_tensorflow

    start = psutil.Process().create_time()
    configure_tensorflow(num_threads=num_cores())
    cut_data = load_cut(_pixels(folder), PIXELS, judge=None)
    data = cut_data.training
    model = convnet(cut_data.shape, data.num_classes, seed=seed)
    train, val = (
        (np.asarray(data.features[rows]), data.labels[rows]) for rows in (data.train, data.val)
    )
    looks, num_steps = train_until(model, train, val, start=start, seconds=seconds)
    used = time.time() - start
    model.save(file)
    return {
        "looks": looks,
        "seconds": used,
        "val_accuracy": max(accuracy for _, accuracy in looks),
        "epochs": num_steps * BATCH_SIZE / len(data.train),
        "num_parameters": model.count_params(),
    }


def _measure_convnets(folder: Path, files: Sequence[Path]) -> dict[str, Any]:
    """Returns the test accuracy of each convnet, and that of their averaged probabilities."""
    from pipeline.training.devices import configure_tensorflow
    from pipeline.training.export import load_exported

    configure_tensorflow(num_threads=num_cores())
    models, test_file = [load_exported(file) for file in files], folder / "data/test.npz"
    pixels = _pixels(folder)
    single = [test_hits(deployed([model], pixels, PIXELS), test_file) for model in models]
    hits, n = test_hits(deployed(models, pixels, PIXELS), test_file)
    together = asdict(wilson_interval(hits, n))
    return {"test": together, "single_test_accuracies": [hits / n for hits, n in single], "n": n}


def _report(figures: Figures, out: Path, dataset: str, *, minutes: float, seeds: int) -> None:
    convnets = figures["convnets"]
    found = {
        "scratch": figures["scratch"],
        # The curve and the seconds of one: the first.
        "convnet": figures["convnet 0"],
        "transfer": figures["transfer"],
    }
    tests = {
        **{side: figures["metrics"][side]["accuracy"] for side in ("scratch", "transfer")},
        "convnet": convnets["test"],
    }
    rows = [
        [
            name,
            f"{tests[side]['value']:.4f} ({tests[side]['low']:.4f} to {tests[side]['high']:.4f})",
            f"{found[side]['val_accuracy']:.4f}",
            _amount(found[side]),
            f"{found[side]['seconds']:.0f}",
        ]
        for side, name in SIDES.items()
    ]
    title = f"{TITLES[dataset]}: the same {minutes:g} minutes"
    head = ["", "test accuracy", "best validation accuracy", "trained", "seconds"]
    print_table(head, rows)
    averaged = "one seed" if seeds == 1 else f"the average of {seeds} seeds"
    confirm = [figures[f"confirm {study}"]["seconds"] for study in ("scratch", "transfer")]
    print(
        f"{title}; n = {convnets['n']:,} test images, 95% intervals (Wilson), {averaged}; "
        f"single convnets {spread(convnets['single_test_accuracies'])}. Of transfer's seconds, "
        f"{figures['plan']['seconds'] + figures['embed']['seconds']:.0f} are plan's and embed's. "
        f"Not counted: confirm, {confirm[0]:.0f} s scratch, {confirm[1]:.0f} s transfer; "
        "the convnet's further seeds."
    )
    print(figures.where)
    file = out / f"transfer-budget-{dataset}.png"
    _draw(file, title, {name: found[side] for side, name in SIDES.items()}, minutes=minutes)
    print(f"{figures.file}\n{file}")


def _amount(found: dict[str, Any]) -> str:
    if "epochs" in found:
        return f"{found['epochs']:.1f} epochs"
    return f"{found['complete']} complete, {found['pruned']} pruned"


def _draw(file: Path, title: str, sides: dict[str, dict[str, Any]], *, minutes: float) -> None:
    """Draws the best validation accuracy so far of each side; while embedding there is none."""
    with plot(file, title=title, x="minutes", y="best validation accuracy so far") as axes:
        lowest = []
        for color, (name, found) in zip(COLORS, sides.items(), strict=False):
            at, values = np.transpose(found["looks"])
            end = max(at[-1], found["seconds"])
            best = np.maximum.accumulate(values)
            axes.step(
                [*at / 60, end / 60], [*best, best[-1]], where="post", color=color, label=name
            )
            lowest.append(best[0])
        axes.set_xlim(0, None)
        axes.axvline(minutes, color=COLORS[0], linewidth=0.6, linestyle=":")
