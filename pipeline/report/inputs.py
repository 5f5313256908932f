"""What the stages before left in `data/` and `results/`, read for the report."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataIntegrityError, StudyError
from pipeline.planning.plan import PLAN_FILE, Plan, read_plan
from pipeline.split_record import SplitRecord, read_split

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """One study, from its search to the test part.

    Attributes:
        name: Its key in `params.yaml`.
        search: What the search found: `results/STUDY/study.json`.
        confirm: What the confirmation found: `results/STUDY/confirm.json`.
        metrics: By metric of the test part, `{"value", "low", "high", "n"}`.
        calibration: Its entry of `results/calibration.json`, `{"bins": [...], "ece"}`.
        probabilities: Its model's, of the test images, shape (n, num_classes).
        wrong_images: The test images it was most sure and wrong about, uint8.
        wrong_indices: Their places in the test part, surest first.
    """

    name: str
    search: Json
    confirm: Json
    metrics: Json
    calibration: Json
    probabilities: NDArray[np.float32]
    wrong_images: NDArray[np.uint8]
    wrong_indices: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Results:
    """All that the report shows.

    Attributes:
        split: The data set and how it was divided.
        labels: Class ids of the test images, shape (n,).
        studies: At least one; the registered one first, else the best of the confirmation part.
        registration: `results/registration.json`; None if nothing is registered yet.
        plan: `results/plan.json`; None where a checkout was run before there were plans.
    """

    split: SplitRecord
    labels: NDArray[np.int64]
    studies: list[StudyResults]
    registration: Json | None
    plan: Plan | None

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
    registration_file, plan_file = results / "registration.json", root / PLAN_FILE
    registration = _read_json(registration_file) if registration_file.exists() else None
    arrays = _read_arrays(results / "predictions.npz", studies=metrics)
    studies = [
        StudyResults(
            name=name,
            search=_read_json(results / name / "study.json"),
            confirm=_read_json(results / name / "confirm.json"),
            metrics=metrics[name],
            calibration=calibration[name],
            probabilities=arrays[name],
            wrong_images=arrays[f"{name}_wrong_images"],
            wrong_indices=arrays[f"{name}_wrong_indices"],
        )
        for name in metrics
    ]
    return Results(
        split=read_split(root),
        labels=arrays["labels"],
        studies=_in_order(studies, registration),
        registration=registration,
        plan=read_plan(plan_file) if plan_file.exists() else None,
    )


def _in_order(studies: list[StudyResults], registration: Json | None) -> list[StudyResults]:
    registered = (registration or {}).get("study")

    def rank(study: StudyResults) -> tuple[bool, float, str]:
        # Not by the test part: what is chosen by it would no longer be judged by it.
        mean = float(study.confirm["winner"]["mean"])
        sign = -1.0 if study.search["direction"] == "maximize" else 1.0
        return study.name != registered, sign * mean, study.name

    return sorted(studies, key=rank)


def _read_json(file: Path) -> Json:
    try:
        content: Json = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyError(f"{file} is not there yet. Run `dvc repro`, which writes it.") from None
    except ValueError as error:
        raise DataIntegrityError(
            f"{file} is not readable: {error}. Delete it and run `dvc repro`."
        ) from None
    return content


def _read_arrays(file: Path, *, studies: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
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
