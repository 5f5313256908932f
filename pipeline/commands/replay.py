"""Trains one trial again, alone, and compares it with what the study holds; exit 1 if they differ.

Neither the study nor MLflow is changed. Run: python -m pipeline replay STUDY NUMBER
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.errors import ConfigError, StudyError
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.records.studies import trial_records
from pipeline.studies.described import CurrentStudy, load_current
from pipeline.training.data import DataReference
from pipeline.training.hyperparameters import described
from pipeline.training.messages import EpochRecord, TrialSpec
from pipeline.trials.record import TrialRecord

# On one machine's CPU a trial gives the same bits again, also one that ran beside others; another
# machine's instructions round otherwise.
TOLERANCE = 1e-6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    parser.add_argument("study", help="its name below `studies` in params.yaml")
    parser.add_argument("number", type=int, help="of the trial, as Optuna and MLflow show it")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        metavar="T",
        help="largest difference of the objective that counts as equal (default: %(default)s)",
    )


def main(args: argparse.Namespace) -> int:
    """Prints recorded and replayed objective, epoch by epoch.

    Returns:
        0 if they are equal within the tolerance, else 1.

    Raises:
        ConfigError: If the study has no such trial.
        StudyError: If the trial holds nothing to compare with, or the study is another one than
            params.yaml describes.
    """
    root = Path.cwd()
    current = load_current(args.study, root=root)
    trial = find_trial(trial_records(current.study), args.number, study=args.study)
    metric = OBJECTIVES[current.search.objective].metric
    print(f"{args.study}, trial {trial.number} ({trial.state}):")
    print(f"  {described(trial.hyperparameters)}")
    replayed = replay(trial, current, metric=metric, root=root)
    return 0 if compare(trial.curve, replayed, metric=metric, tolerance=args.tolerance) else 1


def find_trial(trials: Sequence[TrialRecord], number: int, *, study: str) -> TrialRecord:
    """Returns the trial to train: that of this number, or the one whose result it was given.

    Raises:
        ConfigError: If there is none.
        StudyError: If it was cut off before its first epoch.
    """
    if not 0 <= number < len(trials):
        raise ConfigError(
            f"NUMBER must be that of a trial of {study}, 0 to {len(trials) - 1}. "
            f"Received: {number}."
        )
    trial = trials[number]
    if trial.duplicate_of is not None:
        print(
            f"trial {number} has the result of trial {trial.duplicate_of}, the same configuration"
        )
        trial = trials[trial.duplicate_of]
    if not trial.hyperparameters or not trial.curve:
        raise StudyError(
            f"Trial {number} of {study} ({trial.state}) holds no epoch to compare with. "
            f"results/{study}/trials.csv lists the others."
        )
    return trial


def replay(
    trial: TrialRecord, current: CurrentStudy, *, metric: str, root: Path
) -> dict[int, float]:
    """Trains a trial from its stored hyperparameters and seed.

    One that was stopped is stopped again after as many epochs.

    Returns:
        The objective after each epoch.
    """
    from pipeline.training.devices import configure_tensorflow
    from pipeline.training.worker import run_trial

    configure_tensorflow(num_threads=1)  # As in a worker: more threads sum in another order.
    num_epochs = 1 + max(trial.curve)
    values: dict[int, float] = {}

    def report(record: EpochRecord) -> bool:
        value = record.metrics.get(metric)
        if value is not None and math.isfinite(value):  # As only such values are reported.
            values[record.epoch] = value
        return trial.state != "COMPLETE" and record.epoch + 1 >= num_epochs

    run_trial(
        TrialSpec(
            uid=f"replay-{trial.number}",
            hyperparameters=trial.hyperparameters,
            seed=trial.seed,
            epochs=current.search.num_epochs,
            objective=current.search.objective,
            share=trial.share,
        ),
        DataReference(
            features=str(root / "data/features" / current.params.base),
            train_file=str(root / "data/train.npz"),
        ),
        report,
    )
    return values


def compare(
    recorded: Mapping[int, float],
    replayed: Mapping[int, float],
    *,
    metric: str,
    tolerance: float,
) -> bool:
    """Prints both, epoch by epoch, and returns whether they are equal.

    Args:
        recorded: The objective by epoch, as the study holds it.
        replayed: The same, as it is now.
        metric: Its name.
        tolerance: Largest difference that counts as equal, >= 0.
    """
    print(f"{'epoch':>5}  {'recorded':>12}  {'replayed':>12}  {metric}")
    largest = 0.0
    for epoch in sorted({*recorded, *replayed}):
        both = [values.get(epoch) for values in (recorded, replayed)]
        cells = ["-" if value is None else f"{value:.8f}" for value in both]
        print(f"{epoch:>5}  {cells[0]:>12}  {cells[1]:>12}")
        is_known = epoch in recorded and epoch in replayed
        gap = abs(recorded[epoch] - replayed[epoch]) if is_known else float("inf")
        largest = max(largest, gap)
    is_equal = largest <= tolerance
    verdict = "equal" if is_equal else "not equal"
    exactly = "to the last bit" if largest == 0 else f"largest difference {largest:.3g}"
    print(f"{verdict}: {exactly}, over {len(recorded)} epochs; tolerance {tolerance:g}")
    return is_equal
