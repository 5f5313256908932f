"""What the claims of the lectures are worth: one factor at a time, paired seeds, on three grounds.

All comparisons of `python -m pipeline lecture`, bagging and boosting, on Fashion-MNIST's pixels,
and on the features that EfficientNet-Lite0 makes of Fashion-MNIST and of CIFAR-10. Printed is a
line for each claim: the effect in percentage points with its interval, and whether it held.
Intervals of one comparison hold together in 95% of cases. An answer with a star holds where all
claims of the whole table are to hold together (Bonferroni over all of them), by widening each.

What was found is appended to a file; what is in it is not trained again, by whatever code it was
trained: the file names the commit of each row. The images are fetched
into a folder of their own by `python -m pipeline fetch`.

Run: python -m benchmarks.lectures [NAME...] [--images 4000] [--seeds 5] [--folder lectures]
"""

import argparse
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import machine
from pipeline.bases.table import NO_BASE
from pipeline.commands.lecture import prepared
from pipeline.lectures.comparisons import COMPARISONS
from pipeline.lectures.demonstration import Ground
from pipeline.lectures.demonstrations import DEMONSTRATIONS
from pipeline.lectures.ensembles import BAGGING, BOOSTING
from pipeline.lectures.variants import BASE
from pipeline.processes import num_cores
from pipeline.search.executors.base import Executor
from pipeline.search.executors.local import LocalExecutor, prepare
from pipeline.training.devices import configure_tensorflow

ROOT: Final = Path(__file__).parents[1]
SHORT: Final = {"held": "held", "did not hold": "no", "cannot be told": "?"}
JUDGING: Final = (*COMPARISONS, BAGGING.name, BOOSTING.name)


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the table.

    Attributes:
        title: At its head.
        dataset: Whose images.
        on_features: Whether networks that are given pixels elsewhere have a base's features.
    """

    title: str
    dataset: str
    on_features: bool


COLUMNS: Final = (
    Column(title="Fashion-MNIST", dataset="fashion_mnist", on_features=False),
    Column(title="Fashion-MNIST, features", dataset="fashion_mnist", on_features=True),
    Column(title="CIFAR-10, features", dataset="cifar10", on_features=True),
)


def is_asked(name: str, column: Column) -> bool:
    """Whether a column has a comparison: one of a base is made once for each data set."""
    is_first = column == next(one for one in COLUMNS if one.dataset == column.dataset)
    return is_first or not DEMONSTRATIONS[name].has_base


def fetched(folder: Path, dataset: str) -> Path:
    """Returns a checkout's folder with nothing but params.yaml and the images of a data set."""
    place = folder.absolute() / dataset
    place.mkdir(parents=True, exist_ok=True)
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    changed = re.sub(r"(?m)^  dataset: \w+", f"  dataset: {dataset}", text, count=1)
    (place / "params.yaml").write_text(changed, encoding="utf-8")
    if not (place / "data/raw/manifest.json").exists():
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
        command = [sys.executable, "-m", "pipeline", "fetch"]
        subprocess.run(command, cwd=place, env=environment, check=True)
    return place


def shown(name: str, ground: Ground, executor: Executor, column: Column) -> list[dict[str, Any]]:
    """Returns a row for each claim of a comparison."""
    is_on_pixels = not column.on_features or DEMONSTRATIONS[name].has_base
    if not is_on_pixels:
        ground = replace(
            ground,
            data={**ground.data, NO_BASE: ground.data[BASE]},
            cuts={**ground.cuts, NO_BASE: ground.cuts[BASE]},
        )
    began = time.monotonic()
    judged = DEMONSTRATIONS[name].show(ground, executor).judged
    seconds = round(time.monotonic() - began)
    return [
        {
            "column": column.title,
            "comparison": name,
            "claim": one.claim.text,
            "value": one.effect.value,
            "low": one.effect.low,
            "high": one.effect.high,
            "answer": one.answer,
            "num_claims": len(judged),
            "seconds": seconds,
        }
        for one in judged
    ]


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Prints the table."""
    by_claim: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        cells = by_claim.setdefault((row["comparison"], row["claim"]), {})
        cells[row["column"]] = cell(row, num_all=len(rows))
    print("| comparison | the lecture says |", *(f"{one.title} |" for one in COLUMNS))
    print("|---|---|" + "---|" * len(COLUMNS))
    for (comparison, claim), cells in by_claim.items():
        own = (cells.get(one.title, "") for one in COLUMNS)
        print(f"| {comparison} | {claim} |", *(f"{text} |" for text in own))
    for column in COLUMNS:
        own = [row for row in rows if row["column"] == column.title]
        counts = {
            answer: sum(row["answer"] == answer for row in own)
            for answer in ("held", "did not hold", "cannot be told")
        }
        together = sum(cell(row, num_all=len(rows)).endswith("*") for row in own)
        print(f"{column.title}: {len(own)} claims, {counts}, together {together}")


def cell(row: dict[str, Any], *, num_all: int) -> str:
    """Returns what is said of a claim in a column."""
    from scipy.stats import norm

    wider = norm.isf(0.025 / num_all) / norm.isf(0.025 / row["num_claims"])
    half = wider * (row["high"] - row["low"]) / 2
    star = "*" if abs(row["value"]) > half else ""
    span = f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}"
    return f"{100 * row['value']:+.1f} ({span}) {SHORT[row['answer']]}{star}"


def main() -> None:
    """Trains what is missing, and prints all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="(default: all)")
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("lectures"))
    args = parser.parse_args()
    names = args.names or list(JUDGING)
    args.folder.mkdir(parents=True, exist_ok=True)
    file = args.folder.absolute() / "rows.jsonl"
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.check_output(command, cwd=ROOT, text=True).strip()
    known = {"images": args.images, "seeds": args.seeds}
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    rows = [row for row in map(json.loads, lines) if known.items() <= row.items()]
    logging.basicConfig(level=logging.WARNING)
    prepare()
    configure_tensorflow(num_threads=num_cores())
    print(f"{args.images:,} images, {args.seeds} seeds, {commit}; {machine()}", flush=True)
    began, here = time.monotonic(), Path.cwd()
    for column in COLUMNS:
        done = {row["comparison"] for row in rows if row["column"] == column.title}
        missing = [name for name in names if name not in done and is_asked(name, column)]
        if not missing:
            continue
        os.chdir(fetched(here / args.folder, column.dataset))
        with tempfile.TemporaryDirectory(prefix="lectures-") as folder:
            ground = prepared(
                Path(folder),
                num_images=args.images,
                num_seeds=args.seeds,
                epochs_factor=1.0,
                has_base=column.on_features or any(DEMONSTRATIONS[n].has_base for n in missing),
                needed_by=[DEMONSTRATIONS[name] for name in missing],
            )
            with LocalExecutor(num_cores()) as executor:
                for name in missing:
                    found = shown(name, ground, executor, column)
                    rows += [{**known, "commit": commit, **one} for one in found]
                    print(f"  {column.title}, {name}: {found[0]['seconds']} s", flush=True)
                    with file.open("a", encoding="utf-8") as stream:
                        stream.writelines(json.dumps(row) + "\n" for row in rows[-len(found) :])
    asked = [row for row in rows if row["comparison"] in names]
    show(asked)
    print("by the code of", ", ".join(dict.fromkeys(row["commit"] for row in asked)))
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
