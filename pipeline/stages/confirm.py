"""Stage `confirm@STUDY`: results/STUDY/study.json -> confirm.json beside it, models/STUDY.keras.

Run: python -m pipeline confirm STUDY
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from pipeline.config import load_section
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.files import read_json, sha256_file, write_json
from pipeline.records.lock import study_lock
from pipeline.records.mirror.store import mirror_uid
from pipeline.records.mirror.thread import Mirror
from pipeline.records.storage import open_storage
from pipeline.records.studies import stored_trials
from pipeline.search.candidates import PART, candidates, is_of
from pipeline.search.confirmation import EXPORT_RULES, Confirmation, judge, winner_of
from pipeline.search.executors.registry import build_executor
from pipeline.search.kept_trainings import KeptTrainings
from pipeline.search.params import ConfirmParams, SearchParams, load_study
from pipeline.split_record import SplitRecord, read_split
from pipeline.studies.exported import base_source, export_confirmed
from pipeline.training.data import DataReference
from pipeline.training.messages import TrialResult, TrialSpec
from pipeline.trials.identity import TRAINING_CODE, code_sha256
from pipeline.workspace import TRAININGS, stamp_file, store_root, write_stamp

if TYPE_CHECKING:
    from pipeline.records.mirror.runs import StudyRuns
    from pipeline.search.candidates import Candidate
    from pipeline.trials.recorder import Recorder

logger = logging.getLogger(__name__)

# What the report depends on beside the trainings: who is trained, what is exported and how it is
# judged. Which trainings are done again only `TRAINING_CODE` says.
CODE = (
    *TRAINING_CODE,
    "evaluation",
    "search/candidates.py",
    "search/confirmation.py",
    "training/ensemble.py",
    "stages/confirm.py",
    "studies/exported.py",
)


def run(name: str, base: str, params: ConfirmParams, search: SearchParams, *, root: Path) -> None:
    """Trains the best trials again, judges them on the confirmation part, exports the winner.

    A training that was done before, by the same code on the same data, is not done again: the stage
    goes on where it was interrupted, and trains only what other settings add.

    Where the stage's stamp is gone, the databases were lost with it: if `confirm.json` and the
    model are whole and of the same trainings by the same code, only their runs are written again.

    Raises:
        DataIntegrityError: If an earlier stage's file is missing.
        StudyError: If the study is being searched, or a training fails.
    """
    from pipeline.records.mirror.reconcile import restore_trainings

    study = read_json(root / "results" / name / "study.json")
    split = read_split(root)
    storage = open_storage(root, search.storage)
    with (
        study_lock(root, study["study_name"], storage=storage),
        _open_runs(root, name, study=study, split=split, url=search.storage) as runs,
        Mirror(runs) as recorder,
    ):
        # A search that goes on may have been interrupted, and has more by now than it put out.
        runs.reconcile(stored_trials(storage, study))
        report = _kept(root, name, study, params=params, search=search)
        if report is None:
            kept = _kept_trainings(root, study)
            report = _train(
                name, base, params, search, root=root, runs=runs, recorder=recorder, kept=kept
            )
            write_json(root / "results" / name / "confirm.json", report)
            kept.forget_others([training["uid"] for training in report["trainings"]])
        else:
            count = restore_trainings(runs, report)
            logger.info("%s: %d runs written again, nothing trained", name, count)
    write_stamp(root, "confirm", report, study=name)
    _log_winner(report)


def belongs(report: Mapping[str, Any], study: Mapping[str, Any], *, root: Path) -> bool:
    """Whether a `confirm.json` is about trials of a study, and its model file still as it was.

    Args:
        report: `confirm.json`; one of an earlier release lacks what is asked here.
        study: `study.json`.
        root: The repository.
    """
    configurations = {trial["number"]: trial["hyperparameters"] for trial in study["trials"]}
    if "trainings" not in report or report["identity"] != study["identity"]:
        return False
    file = root / report["exported"]["file"]
    return (
        all(configurations.get(c["number"]) == c["hyperparameters"] for c in report["candidates"])
        and file.is_file()
        and sha256_file(file) == report["exported"]["file_sha256"]
    )


def _kept(
    root: Path,
    name: str,
    study: Mapping[str, Any],
    *,
    params: ConfirmParams,
    search: SearchParams,
) -> Any | None:
    file = root / "results" / name / "confirm.json"
    if stamp_file(root, "confirm", name).exists() or not file.exists():
        return None
    report = read_json(file)
    planned = _planned(study, params, search, folder="")
    is_same = (
        belongs(report, study, root=root)
        and is_of(report, planned, epochs=search.epochs)
        and report["exported"]["rule"] == EXPORT_RULES[params.export]
        and report["code_sha256"] == code_sha256(*CODE)
    )
    return report if is_same else None


def _planned(
    study: Mapping[str, Any], params: ConfirmParams, search: SearchParams, *, folder: str
) -> list[Candidate]:
    return candidates(
        study,
        top=params.top,
        seeds=params.seeds,
        epochs=search.epochs,
        root_seed=search.seed,
        folder=folder,
        is_diverse=params.export == "ensemble",
    )


def _kept_trainings(root: Path, study: Mapping[str, Any]) -> KeptTrainings:
    return KeptTrainings(
        store_root(root) / TRAININGS / study["study_name"],
        {"identity": study["identity"], "code_sha256": code_sha256(*TRAINING_CODE)},
    )


def _train(
    name: str,
    base: str,
    params: ConfirmParams,
    search: SearchParams,
    *,
    root: Path,
    runs: StudyRuns,
    recorder: Recorder,
    kept: KeptTrainings,
) -> dict[str, Any]:
    study = read_json(root / "results" / name / "study.json")
    split = read_split(root)
    objective = OBJECTIVES[study["objective"]]
    data = DataReference(
        features=str(root / "data/features" / base), train_file=str(root / "data/train.npz")
    )
    planned = _planned(study, params, search, folder=str(kept.folder))
    results, trainings = _train_all(
        planned, data, search, runs=runs, recorder=recorder, kept=kept, title=f"confirm {name}"
    )
    judged = judge(planned, results, objective)
    winner = winner_of(judged, objective)
    exported, metrics = export_confirmed(
        root,
        name,
        planned,
        results,
        data=data,
        objective=objective,
        winner=winner,
        rule=params.export,
    )
    num_images = split.counts[PART].images
    return {
        **{key: study[key] for key in ("study", "study_name", "identity", "dataset", "objective")},
        "base": base,
        "base_source": base_source(Path(data.features)),
        "code_sha256": code_sha256(*CODE),
        "part": PART,
        "n": num_images,
        "top": params.top,
        "seeds": params.seeds,
        "epochs": search.epochs,
        "candidates": judged,
        "winner": {**_without_seeds(judged[winner]), "n": num_images, "metrics": metrics},
        "exported": exported,
        "trainings": trainings,
    }


def _train_all(
    planned: Sequence[Candidate],
    data: DataReference,
    search: SearchParams,
    *,
    runs: StudyRuns,
    recorder: Recorder,
    kept: KeptTrainings,
    title: str,
) -> tuple[dict[str, TrialResult], list[dict[str, Any]]]:
    from pipeline.records.mirror.reconcile import restore_trainings

    specs = [spec for candidate in planned for spec in candidate.specs]
    found = kept.find(specs)
    if found:
        logger.info("%d of %d trainings were done before", len(found), len(specs))
        told = {
            "candidates": [candidate.trial for candidate in planned],
            "trainings": [one.report for one in found.values()],
        }
        # Before the mirror's first record: until then the runs may be written from here.
        restore_trainings(runs, told)
    with (
        build_executor(search) as executor,
        tqdm(
            total=len(specs), initial=len(found), desc=title, unit="training", disable=None
        ) as bar,
    ):

        def on_done(spec: TrialSpec, result: TrialResult, report: Mapping[str, Any]) -> None:
            kept.keep(spec, result, report)
            bar.update()

        confirmation = Confirmation(
            executor, recorder, data, max_retries=search.max_retries, on_done=on_done
        )
        return confirmation.run(planned, kept=found), confirmation.trainings()


def _log_winner(report: Mapping[str, Any]) -> None:
    winner = report["winner"]
    logger.info(
        "%s: trial %d wins with a mean %s of %.4f over %d seeds (%d images)",
        report["study"],
        winner["number"],
        OBJECTIVES[report["objective"]].metric_on(PART),
        winner["mean"],
        winner["num_seeds"],
        report["n"],
    )


def _open_runs(
    root: Path, name: str, *, study: Mapping[str, Any], split: SplitRecord, url: str
) -> StudyRuns:
    from pipeline.records.lineage import revision_tags
    from pipeline.records.mirror.runs import StudyRuns

    runs = StudyRuns.open(
        root,
        dataset=split.dataset,
        study=name,
        study_name=study["study_name"],
        study_uid=mirror_uid(root, study["study_uid"], url),
        tags={
            **revision_tags(root),
            **{key: study[key] for key in ("objective", "identity")},
        },
        params={},
    )
    runs.log_inputs(split)
    return runs


def _without_seeds(judged: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in judged.items() if key != "seeds"}


def main(name: str) -> None:
    """Runs the stage for the study `name` of `params.yaml`."""
    study, _ = load_study(name)
    run(
        name,
        study.base,
        load_section(ConfirmParams, "confirm"),
        load_section(SearchParams, "search"),
        root=Path.cwd(),
    )
