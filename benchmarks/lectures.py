"""What the claims of the lectures are worth on a data set: one factor at a time, paired seeds.

All comparisons of `python -m pipeline lecture`, one after another, on more images. Printed is a
line for each claim: the effect in percentage points with its interval, and whether it held.
Intervals of one comparison hold together in 95% of cases; the last column has the answer where all
claims of all comparisons are to hold together (Bonferroni over all of them), by widening each.

What was found is appended to a file; what is in it is not trained again.

Run in a checkout with images in data/raw (`python -m pipeline fetch`):
python -m benchmarks.lectures [NAME...] [--images 10000] [--seeds 5] [--to lectures.jsonl]
"""

import argparse
import json
import logging
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.machine import machine
from pipeline.commands.lecture import prepared
from pipeline.lectures.compare import Findings, compare
from pipeline.lectures.comparisons import COMPARISONS
from pipeline.lectures.demonstrations import DEMONSTRATIONS
from pipeline.processes import num_cores
from pipeline.search.executors.local import LocalExecutor, prepare
from pipeline.training.devices import configure_tensorflow

ROOT = Path(__file__).parents[1]


def rows_of(found: Findings, known: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns a row for each claim."""
    reached = {name: round(fmean(one.values), 4) for name, one in found.reached.items()}
    return [
        {
            **known,
            "comparison": found.comparison.name,
            "claim": one.claim.text,
            "value": one.effect.value,
            "low": one.effect.low,
            "high": one.effect.high,
            "answer": one.answer,
            "reached": reached,
            "n": found.num_judging,
            "num_claims": len(found.judged),
            "seconds": round(found.seconds),
        }
        for one in found.judged
    ]


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Prints the table."""
    from scipy.stats import norm

    total = len(rows)
    print("| comparison | the lecture says | points | answer | of all together |")
    print("|---|---|---|---|---|")
    for row in rows:
        wider = norm.isf(0.025 / total) / norm.isf(0.025 / row["num_claims"])
        half = wider * (row["high"] - row["low"]) / 2
        low, high = row["value"] - half, row["value"] + half
        together = "held" if low > 0 else "did not hold" if high < 0 else "cannot be told"
        span = f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}"
        print(
            f"| {row['comparison']} | {row['claim']} | {100 * row['value']:+.1f} ({span}) "
            f"| {row['answer']} | {together} |"
        )


def main() -> None:
    """Trains what is missing, and prints all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="(default: all)")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--to", type=Path, default=Path("lectures.jsonl"))
    args = parser.parse_args()
    names = args.names or list(COMPARISONS)
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.check_output(command, cwd=ROOT, text=True).strip()
    dataset = json.loads(Path("data/raw/manifest.json").read_text())["dataset"]
    known = {"dataset": dataset, "images": args.images, "seeds": args.seeds, "commit": commit}
    lines = args.to.read_text(encoding="utf-8").splitlines() if args.to.exists() else []
    rows = [row for row in map(json.loads, lines) if known.items() <= row.items()]
    missing = [name for name in names if name not in {row["comparison"] for row in rows}]
    logging.basicConfig(level=logging.WARNING)
    prepare()
    configure_tensorflow(num_threads=num_cores())
    print(
        f"{dataset}, {args.images:,} images, {args.seeds} seeds, {commit}; {machine()}", flush=True
    )
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lectures-") as folder:
        ground = prepared(
            Path(folder),
            num_images=args.images,
            num_seeds=args.seeds,
            epochs_factor=1.0,
            has_base=any(DEMONSTRATIONS[name].has_base for name in missing),
            needed_by=[DEMONSTRATIONS[name] for name in missing],
        )
        with LocalExecutor(num_cores()) as executor:
            for name in missing:
                found = rows_of(compare(COMPARISONS[name], ground, executor), known)
                rows += found
                print(f"  {name}: {found[0]['seconds']} s", flush=True)
                with args.to.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(row) + "\n" for row in found)
    show([row for row in rows if row["comparison"] in names])
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
