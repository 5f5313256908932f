"""What the stages before left in `data/` and `results/`, read for the report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataIntegrityError
from pipeline.evaluation.intervals import Interval
from pipeline.evaluation.metrics import CalibrationBin
from pipeline.evaluation.record import ComparisonRecord, EvaluationRecord, StudyEvaluation
from pipeline.files import read_json
from pipeline.plan_record import PLAN_FILE
from pipeline.planning.plan import Plan, read_plan
from pipeline.report.review import Review, read_review
from pipeline.split_record import SplitRecord, read_split
from pipeline.trials.confirmation import ConfirmationRecord, read_confirmation
from pipeline.trials.diagnosis import DiagnosisRecord, diagnosis_of
from pipeline.trials.registration import RegistrationRecord, registration_of
from pipeline.trials.study import StudyRecord, read_study
from pipeline.workspace import confirmation_file


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """One study, from its search to the test part.

    Attributes:
        name: Its key in `params.yaml`.
        search: What the search found.
        confirm: What the confirmation found.
        metrics: What it reached on the test part, by metric.
        bins: How sure it was there, and how often right.
        probabilities: Its model's, of the test images, shape (n, num_classes).
        wrong_images: The test images it was most sure and wrong about, uint8.
        wrong_indices: Their places in the test part, surest first.
        evaluation: What else was found out there.
        images_per_second: Through its model, there.
        diagnosis: What limits its winner; None where an earlier release made none.
    """

    name: str
    search: StudyRecord
    confirm: ConfirmationRecord
    metrics: Mapping[str, Interval]
    bins: Sequence[CalibrationBin]
    probabilities: NDArray[np.float32]
    wrong_images: NDArray[np.uint8]
    wrong_indices: NDArray[np.int64]
    evaluation: StudyEvaluation
    images_per_second: float
    diagnosis: DiagnosisRecord | None = None


@dataclass(frozen=True, kw_only=True)
class Results:
    """All that the report shows.

    Attributes:
        split: The data set and how it was divided.
        labels: Class ids of the test images, shape (n,).
        studies: At least one; the registered one first, else the best of the confirmation part.
        registration: The registered version; None if nothing is registered yet.
        plan: `results/plan.json`; None where a checkout was run before there were plans.
        comparisons: Of each two studies on the same test images.
        review: What may be wrong with the data; None where an earlier release ran.
    """

    split: SplitRecord
    labels: NDArray[np.int64]
    studies: list[StudyResults]
    registration: RegistrationRecord | None
    plan: Plan | None
    comparisons: Sequence[ComparisonRecord] = ()
    review: Review | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """By class id."""
        return self.split.class_names


def read_results(root: Path) -> Results:
    """Reads everything that the report shows.

    Args:
        root: The folder that holds `data/` and `results/`.

    Raises:
        DataIntegrityError: If a stage has not written its results yet, a file is damaged, or files
            are of different runs.
    """
    results = root / "results"
    metrics = read_json(results / "metrics.json")
    calibration, speeds = read_json(results / "calibration.json"), read_json(results / "speed.json")
    evaluation = EvaluationRecord.from_json(read_json(results / "evaluation.json"))
    arrays = _read_arrays(results / "predictions.npz", studies=metrics)
    studies = [
        StudyResults(
            name=name,
            search=read_study(root, name),
            confirm=read_confirmation(confirmation_file(root, name)),
            metrics={metric: Interval(**one) for metric, one in metrics[name].items()},
            bins=[CalibrationBin(**one) for one in calibration[name]["bins"]],
            probabilities=arrays[name],
            wrong_images=arrays[f"{name}_wrong_images"],
            wrong_indices=arrays[f"{name}_wrong_indices"],
            evaluation=evaluation.studies[name],
            images_per_second=speeds[name],
            diagnosis=diagnosis_of(root, name),
        )
        for name in metrics
    ]
    registration, plan_file = registration_of(root), root / PLAN_FILE
    return Results(
        split=read_split(root),
        labels=arrays["labels"],
        studies=_in_order(studies, registration),
        registration=registration,
        plan=read_plan(plan_file) if plan_file.exists() else None,
        comparisons=evaluation.comparisons,
        review=read_review(root),
    )


def _in_order(
    studies: list[StudyResults], registration: RegistrationRecord | None
) -> list[StudyResults]:
    registered = registration and registration.study

    def rank(study: StudyResults) -> tuple[bool, float, str]:
        # Not by the test part: what is chosen by it would no longer be judged by it.
        sign = -1.0 if study.search.direction == "maximize" else 1.0
        return study.name != registered, sign * study.confirm.winner.mean, study.name

    return sorted(studies, key=rank)


def _read_arrays(file: Path, *, studies: Iterable[str]) -> dict[str, NDArray[Any]]:
    wanted = ["labels"]
    for name in studies:
        wanted += [name, f"{name}_wrong_images", f"{name}_wrong_indices"]
    if not file.exists():
        raise DataIntegrityError(f"There is no {file.name} yet: {file}. Run `dvc repro` first.")
    with np.load(file) as archive:
        if missing := sorted(set(wanted) - set(archive.files)):
            raise DataIntegrityError(
                f"{file} must hold what results/metrics.json names. Received: no "
                f"{', '.join(missing)}. Run `dvc repro -f evaluate`, which writes both."
            )
        return {name: archive[name] for name in wanted}
