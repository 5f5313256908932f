"""Files beside the page for `dvc plots` and `dvc metrics`, whatever studies are called."""

import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Final

from pipeline.files import write_json, write_whole
from pipeline.report.inputs import Results, StudyResults
from pipeline.report.summary import best_so_far, summarize_search
from pipeline.trials.ranking import num_finished

EPOCHS: Final = "epochs.csv"
SEARCH: Final = "search.csv"
METRICS: Final = "metrics.json"
_CURVES: Final = ("accuracy", "val_accuracy")

Table = list[Sequence[object]]


def write_tables(results: Results, folder: Path) -> None:
    """Writes `epochs.csv` and `search.csv` of the first study, and `metrics.json` of all.

    Args:
        results: All results.
        folder: Where they are written, beside the page.
    """
    first = results.studies[0]
    for name, table in ((EPOCHS, epochs_of(first)), (SEARCH, search_of(first))):
        with write_whole(folder / name) as part, part.open("w", newline="") as stream:
            csv.writer(stream).writerows(table)
    write_json(folder / METRICS, {study.name: few_metrics(study) for study in results.studies})


def few_metrics(study: StudyResults) -> dict[str, float]:
    """Returns what two runs are compared by: `results/metrics.json` has 20 figures a study."""
    winner = study.confirm.winner
    values = {
        "test_accuracy": study.metrics["accuracy"].value,
        "test_log_loss": study.metrics["log_loss"].value,
        "confirmed": winner.mean,
        "searched": winner.search_value or 0.0,
        "configurations": num_finished(study.search.trials),
    }
    return {name: round(value, 6) for name, value in values.items()}


def epochs_of(study: StudyResults) -> Table:
    """Returns accuracy on training and validation images by epoch, of the winner's trainings.

    Each row is a mean over those trainings that had the epoch; without any, which an early release
    did not note, there is only the head.
    """
    confirm = study.confirm
    by_epoch: dict[int, list[tuple[float, ...]]] = {}
    for training in confirm.trainings:
        if training.number != confirm.winner_number:
            continue
        for epoch in training.epochs:
            if all(name in epoch.metrics for name in _CURVES):
                values = tuple(epoch.metrics[name] for name in _CURVES)
                by_epoch.setdefault(epoch.epoch + 1, []).append(values)
    means = [
        [epoch, *(round(fmean(each), 6) for each in zip(*rows, strict=True))]
        for epoch, rows in sorted(by_epoch.items())
    ]
    return [["epoch", *_CURVES], *means]


def search_of(study: StudyResults) -> Table:
    """Returns the best value so far by the number of the trial that was complete."""
    return [["trial", "best"], *map(list, best_so_far(summarize_search(study.search)))]
