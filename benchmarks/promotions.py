"""Promotions to champion by several processes at once, and kill -9 in the middle of them.

First every process registers models of its own, all into one registry. All but one are about as
good as each other; that one is clearly better, and must be the champion in the end. Then models
that are better each time are registered by processes that are killed at random moments: at no time
is there no champion, or one whose file is not whole, and the next process goes on where the killed
one was.

Run: python -m benchmarks.promotions [--processes 8] [--each 20] [--kills 30]
"""

import argparse
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.machine import machine

NAME = "digits-classifier"
BEST = 0.99
USUAL = (0.85, 0.9)
FIRST, LAST = 0.55, 0.97
"""Accuracies of the models of the second part, from the first to the last."""
LONGEST_SECONDS = 20.0


def candidate(root: Path, *, seed: int, mean: float) -> object:
    """Returns a model of a known accuracy, in a folder of its own."""
    from testing.registering import made_model
    from testing.split import split_record

    split = split_record(
        class_names=("zero", "one", "two"), value_range=(0, 4095), per_class=(10, 12, 8)
    )
    return made_model(root, split, seed=seed, mean=mean, study=f"study-{seed}")


def promote(root: Path, *, seed: int, mean: float) -> None:
    """Registers a model, as stage `register` does."""
    from pipeline.records.mirror.store import open_store
    from pipeline.training.devices import fix_settings
    from testing.registering import register

    fix_settings()
    register(open_store(root), candidate(root, seed=seed, mean=mean))


def work(root: Path, number: int, each: int, best: int) -> None:
    """Registers `each` models, one after the other."""
    generator = random.Random(number)
    for turn in range(each):
        seed = number * each + turn
        mean = BEST if seed == best else generator.uniform(*USUAL)
        promote(root, seed=seed, mean=mean)


def together(root: Path, processes: int, each: int) -> None:
    """Registers models by several processes at once, and prints what came of it."""
    from pipeline.records.mirror.store import open_store
    from pipeline.training.devices import fix_settings

    fix_settings()
    candidate(root, seed=0, mean=USUAL[0])  # Writes the images that they are compared on.
    best = random.Random(0).randrange(processes * each)
    began = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    running = [
        context.Process(target=work, args=(root, number, each, best)) for number in range(processes)
    ]
    for process in running:
        process.start()
    for process in running:
        process.join()
    seconds = time.perf_counter() - began
    failures = sum(process.exitcode != 0 for process in running)
    client = open_store(root).client
    versions = list(client.search_model_versions(f"name = '{NAME}'", max_results=1000))
    numbers = Counter(int(version.version) for version in versions)
    champion = client.get_model_version_by_alias(NAME, "champion")
    runs = [client.get_run(version.run_id).info.status for version in versions]
    print(
        f"{processes * each} promotions by {processes} processes in {seconds:.0f} s: "
        f"{failures} processes failed, {len(versions)} versions, "
        f"{sum(count > 1 for count in numbers.values())} numbers doubled, "
        f"{processes * each - len(numbers)} missing, {runs.count('RUNNING')} runs left running; "
        f"champion is the best: {champion.tags['study'] == f'study-{best}'}"
    )


def killed(root: Path, kills: int) -> None:
    """Kills processes in the middle of promotions, and prints what came of it."""
    from pipeline.files import sha256_file
    from pipeline.records.mirror.moved import local_path
    from pipeline.records.mirror.store import open_store

    generator, store = random.Random(1), open_store(root)
    tally: Counter[str] = Counter()
    promote(root, seed=1000, mean=FIRST)
    context = multiprocessing.get_context("spawn")
    longest = LONGEST_SECONDS
    for number in range(kills):
        seed = 1001 + number
        told = {"seed": seed, "mean": FIRST + (LAST - FIRST) * (number + 1) / kills}
        before = store.client.get_model_version_by_alias(NAME, "champion").version
        process = context.Process(target=promote, args=(root,), kwargs=told)
        began = time.perf_counter()
        process.start()
        process.join(generator.uniform(0.3, 1.0) * longest)
        if process.exitcode is None:
            os.kill(process.pid or 0, signal.SIGKILL)
            tally["killed"] += 1
        else:
            tally["ended before"] += 1
            longest = min(longest, time.perf_counter() - began)
        process.join()
        found = store.client.get_registered_model(NAME).aliases
        tally["without a champion"] += "champion" not in found
        champion = store.client.get_model_version_by_alias(NAME, "champion")
        file = (local_path(champion.source) or Path()) / "data/model.keras"
        tally["champion's file not whole"] += sha256_file(file) != champion.tags["model_sha256"]
        tally["promoted before the kill"] += champion.version != before
        again = context.Process(target=promote, args=(root,), kwargs=told)
        again.start()
        again.join()
        champion = store.client.get_model_version_by_alias(NAME, "champion")
        tally["not champion after going on"] += champion.tags["study"] != f"study-{seed}"
        found = store.client.get_registered_model(NAME).aliases
        tally["wrong previous"] += str(found.get("previous")) != str(before)
    versions = store.client.search_model_versions(f"name = '{NAME}'", max_results=1000)
    weights = Counter(version.tags["weights_sha256"] for version in versions)
    tally["weights registered twice"] = sum(count > 1 for count in weights.values())
    print(f"{kills} kills: {dict(tally)}")


def main() -> None:
    """Parses the command line, and does both in registries of their own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--kills", type=int, default=30)
    args = parser.parse_args()
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        together(Path(folder), args.processes, args.each)
    with tempfile.TemporaryDirectory() as folder:
        killed(Path(folder), args.kills)


if __name__ == "__main__":
    main()
