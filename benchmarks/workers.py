"""Trials per minute with one worker and with two, on the same machine and the same trials.

Real searches on Fashion-MNIST-sized random images (20,000 of 28x28), without a base and without
pruning, so that each trial is the same work on both sides. Worker start-up is part of it. The two
take turns; the median of each is compared.

Run: python -m benchmarks.workers [--trials 24] [--repeats 3]
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from testing.checkout import Checkout


def prepare(folder: Path) -> Checkout:
    """Makes a checkout with random images, split and embedded."""
    checkout = Checkout(folder)
    draw = np.random.default_rng(1)
    own = folder / "data/own"
    own.mkdir(parents=True, exist_ok=True)
    np.savez(
        own / "images.npz",
        images=draw.integers(0, 256, (20_000, 28, 28), dtype=np.uint8),
        labels=draw.integers(0, 10, 20_000),
    )
    checkout.set(
        {
            "fetch": {"dataset": "npz"},
            "split": {"val_size": 2000, "confirmation_size": 2000, "test_size": 0.1},
            "embed": {"bases": {}},
            "search": {"epochs": 12, "pruner": {"name": "none"}},
        }
    )
    checkout.set({"studies": {"transfer": {"base": "none", "space": {}, "enqueue": []}}})
    checkout.set({"defaults": {"early_stopping": "none", "units": 256, "num_layers": 2}})
    checkout.repro("embed")
    return checkout


def trials_per_minute(checkout: Checkout, *, workers: int, trials: int, seed: int) -> float:
    """Runs one search."""
    space = {"learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}}
    checkout.set({"search": {"workers": workers, "trials": trials, "seed": seed}})
    checkout.set({"studies": {"scratch": {"base": "none", "space": space, "enqueue": []}}})
    start = time.monotonic()
    checkout.run(sys.executable, "-m", "pipeline", "search", "scratch")
    return 60 * trials / (time.monotonic() - start)


def main() -> None:
    """Prints both sides and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    rates: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        checkout = prepare(Path(folder))
        for repeat in range(args.repeats):
            for workers, found in rates.items():
                seed = 10 * repeat + workers
                found.append(
                    trials_per_minute(checkout, workers=workers, trials=args.trials, seed=seed)
                )
                print(f"{workers} worker(s): {found[-1]:.1f} trials a minute", flush=True)
    one, two = (statistics.median(rates[workers]) for workers in (1, 2))
    print(
        f"{args.trials} trials, n = {args.repeats} each, {os.cpu_count()} cores, "
        f"{platform.machine()}: one worker {one:.1f}, two workers {two:.1f} trials a minute, "
        f"{two / one:.2f} times"
    )


if __name__ == "__main__":
    main()
