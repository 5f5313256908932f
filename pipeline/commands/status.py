"""Shows the studies: trials by state, best so far, what is missing.

Run: python -m pipeline status
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from pipeline.config import load_section, read_document
from pipeline.errors import StudyError
from pipeline.evaluation.metrics import OBJECTIVES
from pipeline.tuning.params import SearchParams
from pipeline.tuning.progress import duration
from pipeline.tuning.study import TrialDict, best_trial, num_finished, read_trials

HEADERS = ("study", "finished", "complete", "pruned", "failed", "running", "best", "trained for")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This command takes none."""


def main(_: argparse.Namespace) -> int:
    """Prints a line for each study of params.yaml."""
    search = load_section(SearchParams, "search")
    studies = list(read_document()["studies"])
    rows = [HEADERS, *(_row(name, search) for name in studies)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADERS))]
    for row in rows:
        print("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())
    return 0


def _row(name: str, search: SearchParams) -> tuple[str, ...]:
    try:
        trials = read_trials(Path.cwd(), f"{_dataset()}-{name}")
    except StudyError:
        trials = []
    states = Counter(trial["state"] for trial in trials)
    best = best_trial(trials, OBJECTIVES[search.objective].direction)
    return (
        name,
        f"{num_finished(trials)}/{search.trials}",
        *(str(states[state]) for state in ("COMPLETE", "PRUNED", "FAIL", "RUNNING")),
        f"{best['value']:.4f} (trial {best['number']})" if best else "-",
        duration(_worker_seconds(trials)),
    )


def _dataset() -> str:
    split = Path("data/split.json")
    if not split.exists():
        raise StudyError("Nothing has run here yet: there is no data/split.json. Run `dvc repro`.")
    content: Any = json.loads(split.read_text(encoding="utf-8"))
    return str(content["dataset"])


def _worker_seconds(trials: list[TrialDict]) -> float:
    return sum(trial["seconds"] or 0.0 for trial in trials)
