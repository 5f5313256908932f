"""Stage `confirm@STUDY`: results/STUDY/study.json -> confirm.json beside it, models/STUDY.keras.

Run: python -m pipeline confirm STUDY
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from pipeline.config import load_section
from pipeline.data.files import write_json
from pipeline.evaluation.metrics import OBJECTIVES
from pipeline.tuning.confirmation import (
    EXPORT_RULE,
    PART,
    Confirmation,
    candidates,
    choose,
    judge,
)
from pipeline.tuning.executors.local import LocalExecutor
from pipeline.tuning.lock import study_lock
from pipeline.tuning.params import ConfirmParams, SearchParams, StudyPlan, load_study
from pipeline.tuning.records import DataReference, TrialResult, TrialSpec

if TYPE_CHECKING:
    from pipeline.tracking.runs import StudyRuns

logger = logging.getLogger(__name__)


def run(
    name: str, plan: StudyPlan, params: ConfirmParams, search: SearchParams, *, root: Path
) -> None:
    """Trains the best trials again, judges them on the confirmation part, exports the winner.

    Raises:
        StudyError: If the study is being searched, or a training fails.
    """
    study = _read(root / "results" / name / "study.json")
    split = _read(root / "data/split.json")
    features = root / "data/features" / plan.base
    objective = OBJECTIVES[study["objective"]]
    data = DataReference(features=str(features), train_file=str(root / "data/train.npz"))
    with (
        study_lock(root, study["study_name"]),
        tempfile.TemporaryDirectory(prefix="confirm-") as folder,
        _open_runs(root, name, study=study, split=split) as runs,
        LocalExecutor(search.num_workers) as executor,
    ):
        runs.reconcile(study["trials"])
        planned = candidates(
            study,
            top=params.top,
            seeds=params.seeds,
            epochs=search.epochs,
            root_seed=search.seed,
            folder=folder,
        )
        total = sum(len(candidate.specs) for candidate in planned)
        with tqdm(total=total, desc=f"confirm {name}", unit="training", disable=None) as bar:
            confirmation = Confirmation(
                executor,
                runs,
                data,
                max_retries=search.max_retries,
                on_done=lambda: bar.update() and None,
            )
            results = confirmation.run(planned)
        judged = judge(planned, results, objective)
        winner, spec = choose(judged, planned, results, objective)
        exported = _export(root, name, spec, results[spec.uid], features=features, split=split)
    report = {
        "study": name,
        "study_name": study["study_name"],
        "base": plan.base,
        "dataset": split["dataset"],
        "objective": study["objective"],
        "part": PART,
        "n": split["counts"][PART]["images"],
        "candidates": judged,
        "winner": {**winner, "n": split["counts"][PART]["images"]},
        "exported": exported,
    }
    write_json(root / "results" / name / "confirm.json", report)
    stamp = {"identity": study["identity"], "top": params.top, "seeds": params.seeds}
    write_json(root / f"mlruns/stages/confirm-{name}.json", stamp)
    logger.info(
        "%s: trial %d wins with a mean %s of %.4f over %d seeds (%d images)",
        name,
        winner["number"],
        objective.metric_on(PART),
        winner["mean"],
        winner["num_seeds"],
        report["n"],
    )


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _open_runs(
    root: Path, name: str, *, study: Mapping[str, Any], split: Mapping[str, Any]
) -> StudyRuns:
    from pipeline.tracking.lineage import revision_tags
    from pipeline.tracking.runs import StudyRuns

    runs = StudyRuns.open(
        root,
        dataset=split["dataset"],
        study=name,
        study_name=study["study_name"],
        identity=study["identity"],
        tags={**revision_tags(root), "objective": study["objective"]},
        params={},
    )
    runs.log_inputs(split)
    return runs


def _export(
    root: Path,
    name: str,
    spec: TrialSpec,
    result: TrialResult,
    *,
    features: Path,
    split: Mapping[str, Any],
) -> dict[str, Any]:
    from pipeline.models.export import export, load_exported
    from pipeline.training.devices import configure_tensorflow

    configure_tensorflow(num_threads=1)
    manifest = _read(features / "manifest.json")
    file = Path("models") / f"{name}.keras"
    export(
        root / file,
        image_shape=tuple(split["image_shape"]),
        base=manifest["base"],
        image_size=manifest["image_size"],
        cut=str(spec.hyperparameters["cut"]),
        trained=load_exported(Path(str(result.model_file))),
    )
    return {"file": file.as_posix(), "weights_sha256": result.weights_sha256, "rule": EXPORT_RULE}


def main(name: str) -> None:
    """Runs the stage for the study `name` of `params.yaml`."""
    run(
        name,
        load_study(name),
        load_section(ConfirmParams, "confirm"),
        load_section(SearchParams, "search"),
        root=Path.cwd(),
    )
