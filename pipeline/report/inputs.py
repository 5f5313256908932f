"""What the stages before left in `data/` and `results/`, read for the report."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataIntegrityError, StudyError
from pipeline.evaluation.intervals import Interval
from pipeline.evaluation.metrics import CalibrationBin
from pipeline.evaluation.record import ComparisonRecord, EvaluationRecord, StudyEvaluation
from pipeline.plan_record import PLAN_FILE
from pipeline.planning.plan import Plan, read_plan
from pipeline.report.review import Review, read_review
from pipeline.split_record import SplitRecord, read_split
from pipeline.trials.confirmation import ConfirmationRecord
from pipeline.trials.diagnosis import DiagnosisRecord, diagnosis_of
from pipeline.trials.registration import RegistrationRecord
from pipeline.trials.study import StudyRecord
from pipeline.workspace import REGISTRATION_FILE, confirmation_file, study_file


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
        evaluation: What else was found out there; None where an earlier release judged it.
        images_per_second: Through its model, there; None likewise.
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
    evaluation: StudyEvaluation | None = None
    images_per_second: float | None = None
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
        StudyError: If a stage has not written its results yet.
        DataIntegrityError: If a file is damaged, or files are of different runs.
    """
    results = root / "results"
    metrics = _read_json(results / "metrics.json")
    calibration = _read_json(results / "calibration.json")
    registration_file, plan_file = root / REGISTRATION_FILE, root / PLAN_FILE
    arrays = _read_arrays(results / "predictions.npz", studies=metrics)
    evaluation, speeds = _read_evaluation(results)
    studies = [
        StudyResults(
            name=name,
            search=StudyRecord.from_json(_read_json(study_file(root, name))),
            confirm=ConfirmationRecord.from_json(_read_json(confirmation_file(root, name))),
            metrics={metric: Interval(**one) for metric, one in metrics[name].items()},
            bins=[CalibrationBin(**one) for one in calibration[name]["bins"]],
            probabilities=arrays[name],
            wrong_images=arrays[f"{name}_wrong_images"],
            wrong_indices=arrays[f"{name}_wrong_indices"],
            evaluation=evaluation.studies.get(name),
            images_per_second=speeds.get(name),
            diagnosis=diagnosis_of(root, name),
        )
        for name in metrics
    ]
    registration = (
        RegistrationRecord.from_json(_read_json(registration_file))
        if registration_file.exists()
        else None
    )
    return Results(
        split=read_split(root),
        labels=arrays["labels"],
        studies=_in_order(studies, registration),
        registration=registration,
        plan=read_plan(plan_file) if plan_file.exists() else None,
        comparisons=evaluation.comparisons,
        review=read_review(root),
    )


def _read_evaluation(results: Path) -> tuple[EvaluationRecord, Mapping[str, float]]:
    """Returns what was found out beside the metrics, and images a second by study.

    Both are empty where an earlier release judged the models.
    """
    file, speeds = results / "evaluation.json", results / "speed.json"
    if not (file.exists() and speeds.exists()):
        return EvaluationRecord(studies={}, comparisons=()), {}
    return EvaluationRecord.from_json(_read_json(file)), _read_json(speeds)


def _in_order(
    studies: list[StudyResults], registration: RegistrationRecord | None
) -> list[StudyResults]:
    registered = registration and registration.study

    def rank(study: StudyResults) -> tuple[bool, float, str]:
        # Not by the test part: what is chosen by it would no longer be judged by it.
        sign = -1.0 if study.search.direction == "maximize" else 1.0
        return study.name != registered, sign * study.confirm.winner.mean, study.name

    return sorted(studies, key=rank)


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyError(f"{file} is not there yet. Run `dvc repro`, which writes it.") from None
    except ValueError as error:
        raise DataIntegrityError(
            f"{file} is not readable: {error}. Delete it and run `dvc repro`."
        ) from None


def _read_arrays(file: Path, *, studies: Iterable[str]) -> dict[str, NDArray[Any]]:
    wanted = ["labels"]
    for name in studies:
        wanted += [name, f"{name}_wrong_images", f"{name}_wrong_indices"]
    if not file.exists():
        raise StudyError(f"{file} is not there yet. Run `dvc repro`, which writes it.")
    with np.load(file) as archive:
        if missing := sorted(set(wanted) - set(archive.files)):
            raise DataIntegrityError(
                f"{file} must hold what results/metrics.json names. Received: no "
                f"{', '.join(missing)}. Run `dvc repro -f evaluate`, which writes both."
            )
        return {name: archive[name] for name in wanted}
