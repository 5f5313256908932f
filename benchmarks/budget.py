"""The exact budget and the time contract, as a user meets them at the command line.

Real searches of scikit-learn's digits by `dvc repro`: 20 trials, one more activation in the space,
30 trials. Then, with `search.timeout: 60s`, a search whose trials with three hidden layers hang;
there alone the training is a double that takes no time otherwise.

Run: python -m benchmarks.budget
"""

import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from testing.checkout import Checkout

LIMIT_SECONDS = 60


def exported(checkout: Checkout) -> list[dict[str, Any]]:
    """Returns the trials of `study.json`."""
    file = checkout.folder / "results/scratch/study.json"
    trials: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["trials"]
    return trials


def is_finished(trial: dict[str, Any]) -> bool:
    """Whether a trial counts."""
    return trial["state"] in ("COMPLETE", "PRUNED")


def one_more_activation(checkout: Checkout) -> None:
    """Adds `gelu` to the activations that `scratch` searches."""
    yaml, file = YAML(), checkout.folder / "params.yaml"
    document = yaml.load(file.read_text(encoding="utf-8"))
    document["studies"]["scratch"]["space"]["activation"]["choices"].append("gelu")
    with file.open("w", encoding="utf-8") as stream:
        yaml.dump(document, stream)


def search(checkout: Checkout, what: str) -> None:
    """Runs the stage and says what it did."""
    file = checkout.folder / "results/scratch/study.json"
    before = exported(checkout) if file.exists() else []
    checkout.repro("search@scratch")
    after = exported(checkout)
    values = [trial["value"] for trial in before if is_finished(trial)]
    kept = [trial["value"] for trial in after if is_finished(trial)][: len(values)]
    print(
        f"{what}: {sum(map(is_finished, before))} -> {sum(map(is_finished, after))} finished "
        f"trials, the earlier ones {'kept' if kept == values else 'CHANGED'}; "
        f"{sum('taken_over_from' in t['user_attrs'] for t in after)} are marked as taken over",
        flush=True,
    )


def hang(checkout: Checkout) -> None:
    """Searches with trials that hang, and says when the stage ended."""
    checkout.set({"search": {"timeout": f"{LIMIT_SECONDS}s", "trials": 500, "seed": 9}})
    command = [sys.executable, "-m", "testing.faults", "hang", "none", "search", "scratch"]
    start = time.monotonic()
    process = checkout.start(*command)
    output, _ = process.communicate()
    seconds = time.monotonic() - start
    print(output.splitlines()[-2].split(": ", 1)[1])
    print(f"limit {LIMIT_SECONDS} s: exit {process.returncode} after {seconds:.1f} s")
    print(next(line for line in checkout.pipeline("audit").splitlines() if "differences" in line))


def main() -> None:
    """Prints what each search did."""
    print(f"n = 1, {os.cpu_count()} cores, {platform.machine()}")
    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout(Path(folder))
        checkout.set({"search": {"trials": 20, "epochs": 3}})
        search(checkout, "search.trials: 20")
        one_more_activation(checkout)
        search(checkout, "one more activation")
        checkout.set({"search": {"trials": 30}})
        search(checkout, "search.trials: 30")
        hang(checkout)


if __name__ == "__main__":
    main()
