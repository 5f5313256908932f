"""Stage `search@STUDY`: data/features/BASE, data/train.npz -> results/STUDY/study.json.

Run: python -m pipeline search STUDY
"""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import load_section
from pipeline.data.files import write_json, write_whole
from pipeline.errors import StudyError
from pipeline.evaluation.metrics import OBJECTIVES
from pipeline.tuning.driver import Driver, SearchPlan
from pipeline.tuning.executors.local import LocalExecutor
from pipeline.tuning.lock import study_lock
from pipeline.tuning.params import SearchParams, StudyPlan, load_study, with_cuts
from pipeline.tuning.progress import Progress
from pipeline.tuning.records import DataReference
from pipeline.tuning.retries import close_orphans
from pipeline.tuning.space import Setting, describe_space
from pipeline.tuning.storage import open_storage
from pipeline.tuning.study import (
    TrialDict,
    best_trial,
    enqueue_missing,
    identity_hash,
    import_trials,
    num_finished,
    open_study,
    trial_dicts,
)

if TYPE_CHECKING:
    from optuna.study import Study

    from pipeline.tracking.runs import StudyRuns

logger = logging.getLogger(__name__)


def study_identity(
    plan: StudyPlan,
    params: SearchParams,
    *,
    settings: Mapping[str, Setting],
    split: Mapping[str, Any],
    manifest: Mapping[str, Any],
) -> str:
    """Hashes what makes trials comparable: data, base, space, and how each is trained.

    Neither the target, the workers, the sampler nor the pruner is part of it: changing them goes on
    with the same study.
    """
    fixed = {n: s for n, s in settings.items() if isinstance(s, str | int | float | bool)}
    return identity_hash(
        {
            "data": split["sha256"]["train"],
            "base": {key: manifest[key] for key in ("base", "image_size", "weights_sha256")},
            "space": describe_space(settings),
            "fixed": {**plan.defaults, **fixed},
            "enqueue": plan.enqueue,
            "objective": params.objective,
            "epochs": params.epochs,
            "seed": params.seed,
        }
    )


def run(name: str, plan: StudyPlan, params: SearchParams, *, root: Path) -> None:
    """Searches until the study holds `search.trials` finished trials, then exports it.

    Raises:
        StudyError: If another process searches this study, or trials keep failing.
    """
    split = json.loads((root / "data/split.json").read_text(encoding="utf-8"))
    features = root / "data/features" / plan.base
    manifest = json.loads((features / "manifest.json").read_text(encoding="utf-8"))
    settings = with_cuts(plan.settings, plan.defaults, list(manifest["cuts"]))
    identity = study_identity(plan, params, settings=settings, split=split, manifest=manifest)
    study_name = f"{split['dataset']}-{name}"
    with study_lock(root, study_name):
        study = _open(study_name, identity, params, root=root, name=name)
        enqueue_missing(study, plan.enqueue)
        orphans = close_orphans(
            study, max_retries=params.max_retries, reason="the search was killed"
        )
        if orphans:
            logger.info("trials %s were cut off and are tried again", orphans)
        with _open_runs(study, params, name=name, plan=plan, split=split, root=root) as runs:
            runs.reconcile(trial_dicts(study))
            data = DataReference(features=str(features), train_file=str(root / "data/train.npz"))
            _search(study, params, plan, settings=settings, data=data, runs=runs)
            export = _export(study, name=name, params=params, split=split, settings=settings)
            _write(root, name, export)
            runs.log_artifacts(root / "results" / name)
    best = export["trials"][export["best_number"]]
    logger.info("best: trial %d, %s %.4f", best["number"], params.objective, best["value"])


def _open(study_name: str, identity: str, params: SearchParams, *, root: Path, name: str) -> Study:
    study = open_study(
        open_storage(root),
        name=study_name,
        identity=identity,
        direction=OBJECTIVES[params.objective].direction,
    )
    exported = root / "results" / name / "study.json"
    if not study.get_trials(deepcopy=False) and exported.exists():
        content = json.loads(exported.read_text(encoding="utf-8"))
        if content["identity"] == identity:
            import_trials(study, content["trials"])
            logger.info("took %d trials over from %s", len(content["trials"]), exported)
    study.pruner = params.pruner.build(params.epochs)
    return study


def _open_runs(
    study: Study,
    params: SearchParams,
    *,
    name: str,
    plan: StudyPlan,
    split: Mapping[str, Any],
    root: Path,
) -> StudyRuns:
    from pipeline.tracking.lineage import revision_tags
    from pipeline.tracking.runs import StudyRuns

    runs = StudyRuns.open(
        root,
        dataset=split["dataset"],
        study=name,
        study_name=study.study_name,
        identity=study.user_attrs["identity"],
        tags={**revision_tags(root), "objective": params.objective},
        params={"base": plan.base, **_flat("search", params.model_dump())},
    )
    runs.log_inputs(split)
    return runs


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        where = f"{prefix}.{key}"
        flat |= _flat(where, value) if isinstance(value, dict) else {where: value}
    return flat


def _search(
    study: Study,
    params: SearchParams,
    plan: StudyPlan,
    *,
    settings: Mapping[str, Setting],
    data: DataReference,
    runs: StudyRuns,
) -> None:
    objective = OBJECTIVES[params.objective]
    trials = trial_dicts(study)
    best = best_trial(trials, objective.direction)
    progress = Progress(
        params.trials,
        maximize=objective.direction == "maximize",
        states=[trial["state"] for trial in trials],
        best=best["value"] if best else None,
    )
    search_plan = SearchPlan(
        settings=settings,
        defaults=plan.defaults,
        objective=params.objective,
        target=params.trials,
        epochs=params.epochs,
        seed=params.seed,
        sampler=params.sampler,
        max_retries=params.max_retries,
        max_failures=params.max_failures,
    )
    logger.info("%s: %s", study.study_name, progress.line())
    with LocalExecutor(params.num_workers) as executor:
        Driver(
            study,
            search_plan,
            objective,
            executor=executor,
            recorder=runs,
            data=data,
            progress=progress,
        ).run()
    progress.close()


def _export(
    study: Study,
    *,
    name: str,
    params: SearchParams,
    split: Mapping[str, Any],
    settings: Mapping[str, Setting],
) -> dict[str, Any]:
    trials = trial_dicts(study)
    direction = OBJECTIVES[params.objective].direction
    best = best_trial(trials, direction)
    if best is None:
        raise StudyError(
            f"No trial of {study.study_name} ran to its end: {num_finished(trials)} were pruned or "
            "diverged. Lower the learning rates in its space, or choose a milder search.pruner."
        )
    return {
        "study_name": study.study_name,
        "study": name,
        "dataset": split["dataset"],
        "identity": study.user_attrs["identity"],
        "objective": params.objective,
        "direction": direction,
        "target": params.trials,
        "space": describe_space(settings),
        "best_number": best["number"],
        "trials": trials,
    }


def _write(root: Path, name: str, export: Mapping[str, Any]) -> None:
    folder = root / "results" / name
    write_json(folder / "study.json", export)
    best = export["trials"][export["best_number"]]
    keys = ("number", "value", "hyperparameters")
    write_json(folder / "best.json", {key: best[key] for key in keys})
    _write_table(folder / "trials.csv", export["trials"])
    stamp = {"identity": export["identity"], "target": export["target"]}
    write_json(root / f"mlruns/stages/search-{name}.json", stamp)


def _write_table(file: Path, trials: list[TrialDict]) -> None:
    names = list(dict.fromkeys(n for trial in trials for n in trial["hyperparameters"]))
    plain = ("number", "state", "value", "seconds")
    with write_whole(file) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*plain, "epochs", *names])
        writer.writeheader()
        for trial in trials:
            own = {key: trial[key] for key in plain}
            epochs = len(trial["intermediate_values"])
            writer.writerow({**own, "epochs": epochs, **trial["hyperparameters"]})


def main(name: str) -> None:
    """Runs the stage for the study `name` of `params.yaml`."""
    run(name, load_study(name), load_section(SearchParams, "search"), root=Path.cwd())
