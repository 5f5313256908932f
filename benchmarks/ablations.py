"""What each part of the search is worth: the same minutes without it.

Each run is a clone of this checkout's last commit with the study `transfer` alone, from the plan to
the test part, and differs from the default in one thing: the base and size are given instead of
planned (EfficientNet-Lite0 at 64 pixels), every trial is a whole training, the sampler is random,
nothing is fine-tuned, or the queue has the lectures' procedure alone. Printed is, for each, the
mean difference of test accuracy to the default with the same seed, and its 95% interval over the
seeds.

What was run is appended to a file; what is in it is not run again.

Run: python -m benchmarks.ablations --dataset cifar10 [--path FOLDER] [--budget 5m] [--seeds 3]
         [--only probe halving tpe fine_tuning portfolio] [--to ablations.jsonl]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks.machine import machine
from pipeline.evaluation.intervals import mean_interval
from pipeline.trials.ranking import num_finished
from pipeline.trials.record import TrialRecord

ROOT = Path(__file__).parents[1]
STUDY, DEFAULT = "transfer", "default"
PORTFOLIO = 4  # Entries at the beginning of the queue that come from `benchmarks.portfolio`.
GIVEN = {"model": "efficientnet_lite0", "image_size": 64, "cuts": "auto", "views": "auto"}


def _without_probe(document: Any) -> None:
    document["embed"]["bases"] = {"auto": GIVEN}


def _without_halving(document: Any) -> None:
    document["search"]["rungs"] = 1


def _without_tpe(document: Any) -> None:
    document["search"]["sampler"] = "random"


def _without_fine_tuning(document: Any) -> None:
    study = document["studies"][STUDY]
    study["space"]["unfreeze"] = 0
    study["enqueue"] = [one for one in study["enqueue"] if not one.get("unfreeze")]


def _without_portfolio(document: Any) -> None:
    document["studies"][STUDY]["enqueue"] = document["studies"][STUDY]["enqueue"][PORTFOLIO:]


CHANGES: dict[str, Callable[[Any], None]] = {
    "probe": _without_probe,
    "halving": _without_halving,
    "tpe": _without_tpe,
    "fine_tuning": _without_fine_tuning,
    "portfolio": _without_portfolio,
}


def run(left_out: str, args: argparse.Namespace, *, seed: int) -> dict[str, Any]:
    """Returns what a run reached.

    Args:
        left_out: A key of `CHANGES`, or `DEFAULT`.
        args: Data set, path and budget.
        seed: Of the search.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "checkout"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        yaml, file = YAML(), folder / "params.yaml"
        document = yaml.load(file.read_text(encoding="utf-8"))
        document["studies"] = {STUDY: document["studies"][STUDY]}
        document["fetch"].update(dataset=args.dataset, path=args.path)
        document["budget"], document["search"]["seed"] = args.budget, seed
        CHANGES.get(left_out, lambda document: None)(document)
        with file.open("w", encoding="utf-8") as stream:
            yaml.dump(document, stream)
        programs = Path(sys.executable).parent
        environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        command = ["dvc", "repro", "-q", "evaluate"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        accuracy = json.loads((folder / "results/metrics.json").read_text())[STUDY]["accuracy"]
        confirmed = json.loads((folder / f"results/{STUDY}/confirm.json").read_text())
        spent = json.loads((folder / "mlruns/clock.json").read_text())
        study = json.loads((folder / f"results/{STUDY}/study.json").read_text())
    return {
        "test": accuracy["value"],
        "n": accuracy["n"],
        "confirmation": max(one["mean"] for one in confirmed["candidates"]),
        "configurations": num_finished(map(TrialRecord.from_json, study["trials"])),
        "seconds": sum(one["seconds"] for one in spent.values()),
    }


def show(found: Sequence[dict[str, Any]]) -> None:
    """Prints the default, and the difference of each run without something."""
    tests = {(one["left_out"], one["seed"]): one["test"] for one in found}
    default = [value for (left_out, _), value in tests.items() if left_out == DEFAULT]
    if not default:
        return
    print(f"  default: test accuracy {sum(default) / len(default):.4f}, {len(default)} seeds")
    for name in CHANGES:
        seeds = [seed for (left_out, seed) in tests if left_out == name]
        pairs = [tests[name, s] - tests[DEFAULT, s] for s in seeds if (DEFAULT, s) in tests]
        if not pairs:
            continue
        interval = mean_interval(pairs)
        span = "" if interval.low is None else f" [{interval.low:+.4f}, {interval.high:+.4f}]"
        print(f"  without {name}: {interval.mean:+.4f}{span}, {len(pairs)} seeds")


def main() -> None:
    """Runs what is missing, and prints what there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--path", type=lambda name: str(Path(name).resolve()), default="data/own")
    parser.add_argument("--budget", default="5m")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(CHANGES), choices=list(CHANGES))
    parser.add_argument("--to", type=Path, default=Path("ablations.jsonl"))
    args = parser.parse_args()
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.check_output(command, cwd=ROOT, text=True).strip()
    known = {
        "dataset": args.dataset,
        "path": args.path,
        "budget": args.budget,
        "commit": commit,
    }
    print(f"{args.dataset}, {args.budget}, {commit}; {machine()}", flush=True)
    lines = args.to.read_text(encoding="utf-8").splitlines() if args.to.exists() else []
    found = [one for one in map(json.loads, lines) if known.items() <= one.items()]
    done = {(one["left_out"], one["seed"]) for one in found}
    for seed in range(1, args.seeds + 1):
        for left_out in (DEFAULT, *args.only):
            if (left_out, seed) in done:
                continue
            one = {**known, "left_out": left_out, "seed": seed, **run(left_out, args, seed=seed)}
            print(f"  {one}", flush=True)
            with args.to.open("a", encoding="utf-8") as file:
                file.write(json.dumps(one) + "\n")
            found.append(one)
    show(found)


if __name__ == "__main__":
    main()
