"""Stage evaluate: models/STUDY.keras + data/test.npz -> results/metrics.json and its companions.

The only stage that reads the test part. It judges the exported models themselves, on raw images.
Run: python -m pipeline evaluate
"""

import csv
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import load_section, study_bases
from pipeline.data.rows import whole_array
from pipeline.errors import StudyError
from pipeline.evaluation.classes import most_confident_mistakes
from pipeline.evaluation.intervals import Interval, metric_intervals
from pipeline.evaluation.metrics import METRICS, calibration_bins
from pipeline.evaluation.params import EvaluateParams
from pipeline.evaluation.record import EvaluationRecord
from pipeline.files import write_json, write_whole
from pipeline.processes import num_cores
from pipeline.split_record import read_split
from pipeline.steps import step
from pipeline.studies.judged import Judged, compare, judge

logger = logging.getLogger(__name__)

# Four rows of six in the report: enough to see a pattern, few enough to look at each.
NUM_MISTAKES = 24
# What `np.savez` takes for itself, and the labels' own entry.

Metrics = dict[str, dict[str, Interval]]


@dataclass(frozen=True, kw_only=True)
class TestPart:
    """What the models are judged on.

    Attributes:
        images: uint8, shape (n, height, width) or (n, height, width, 3).
        labels: Class ids, shape (n,).
        class_names: By class id.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: Sequence[str]


def run(
    params: EvaluateParams,
    *,
    studies: Sequence[str],
    root: Path = Path(),
    num_threads: int | None = None,
) -> Metrics:
    """Judges the exported model of each study on the test part.

    Args:
        params: The section `evaluate`.
        studies: Names of the studies, each with a model in `models/`.
        root: The folder that holds `data/`, `models/` and `results/`.
        num_threads: CPU threads for TensorFlow; None where it runs already.

    Returns:
        By study and metric, the value with its interval; what `results/metrics.json` holds.

    Raises:
        StudyError: If a study's model is missing.
        DataIntegrityError: If a model does not fit the data.
    """
    files = {study: root / "models" / f"{study}.keras" for study in studies}
    _check_models(files)
    test = _read_test(root)
    if num_threads is not None:
        # After the refusals, which should not wait for TensorFlow to load.
        from pipeline.training.devices import configure_tensorflow

        configure_tensorflow(num_threads=num_threads)
    results = root / "results"
    judged = {study: _judge(study, file, test, params) for study, file in files.items()}
    probabilities = {study: one.probabilities for study, one in judged.items()}
    metrics = {
        study: metric_intervals(
            list(METRICS), rows, test.labels, num_resamples=params.bootstrap, seed=params.seed
        )
        for study, rows in probabilities.items()
    }
    _write_predictions(results / "predictions.npz", probabilities, test)
    _write_confusion(results / "confusion", probabilities, test)
    _write_calibration(results / "calibration.json", probabilities, metrics, test)
    record = EvaluationRecord(
        studies={study: one.evaluation for study, one in judged.items()},
        comparisons=compare(probabilities, test.labels, params),
    )
    write_json(results / "evaluation.json", record.to_json())
    speeds = {study: round(one.images_per_second, 1) for study, one in judged.items()}
    # By itself, since it is another one in each run: who depends on it runs again.
    write_json(results / "speed.json", speeds)
    write_json(results / "metrics.json", _plain(metrics))
    reached = ", ".join(f"{study} {one['accuracy'].value:.4f}" for study, one in metrics.items())
    logger.info("accuracy on the test part: %s", reached)
    return metrics


def main() -> None:
    """Runs the stage on the files of the checkout."""
    studies = list(study_bases())
    params = load_section(EvaluateParams, "evaluate")
    run(params, studies=studies, num_threads=num_cores())


def _check_models(files: dict[str, Path]) -> None:
    if missing := [study for study, file in files.items() if not file.is_file()]:
        named = ", ".join(str(files[study]) for study in missing)
        stages = " ".join(f"confirm@{study}" for study in missing)
        raise StudyError(f"Not there: {named}. Run `dvc repro {stages}`, which writes it.")


def _read_test(root: Path) -> TestPart:
    images, labels = (whole_array(root / "data/test.npz", name) for name in ("images", "labels"))
    return TestPart(images=images, labels=labels, class_names=read_split(root).class_names)


def _judge(study: str, file: Path, test: TestPart, params: EvaluateParams) -> Judged:
    from pipeline.training.export import load_exported

    logger.info("%s: classifying %d test images with %s", study, len(test.labels), file)
    with step(f"{study}: judging its answers"):
        return judge(
            load_exported(file),
            test.images,
            test.labels,
            num_classes=len(test.class_names),
            file=file,
            params=params,
        )


def _write_predictions(
    file: Path, probabilities: dict[str, NDArray[np.float32]], test: TestPart
) -> None:
    # The report shows mistakes but may not read the test part, so the few images travel along.
    arrays: dict[str, NDArray[Any]] = {"labels": test.labels}
    for study, rows in probabilities.items():
        wrong = most_confident_mistakes(rows, test.labels, limit=NUM_MISTAKES)
        arrays[study] = rows
        arrays[f"{study}_wrong_indices"] = wrong
        arrays[f"{study}_wrong_images"] = test.images[wrong]
    with write_whole(file) as part:
        # mypy cannot tell these names from `allow_pickle`, which _check_models refuses.
        np.savez(part, **arrays)  # type: ignore[arg-type]


def _write_confusion(
    folder: Path, probabilities: dict[str, NDArray[np.float32]], test: TestPart
) -> None:
    # Whole and anew: a study that was removed from params.yaml leaves nothing.
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for study, rows in probabilities.items():
        with (folder / f"{study}.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["actual", "predicted"])
            writer.writerows(
                (test.class_names[label], test.class_names[predicted])
                for label, predicted in zip(test.labels, rows.argmax(axis=1), strict=True)
            )


def _write_calibration(
    file: Path, probabilities: dict[str, NDArray[np.float32]], metrics: Metrics, test: TestPart
) -> None:
    content = {
        study: {
            "bins": [asdict(one) for one in calibration_bins(rows, test.labels)],
            "ece": metrics[study]["ece"].value,
        }
        for study, rows in probabilities.items()
    }
    write_json(file, content)


def _plain(metrics: Metrics) -> dict[str, dict[str, dict[str, float]]]:
    return {
        study: {name: asdict(interval) for name, interval in values.items()}
        for study, values in metrics.items()
    }
