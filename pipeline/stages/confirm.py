"""Stage `confirm@STUDY`: results/STUDY/study.json -> confirm.json beside it, models/STUDY.keras.

Run: python -m pipeline confirm STUDY
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config import load_section
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.plan_record import PLAN_FILE, planned_epochs
from pipeline.records.lock import study_lock
from pipeline.records.mirror.store import mirror_uid
from pipeline.records.mirror.thread import Mirror
from pipeline.records.storage import open_storage
from pipeline.records.studies import stored_trials
from pipeline.search.candidates import PART, candidates, is_of, trained
from pipeline.search.confirmation import EXPORT_RULES, Confirmation
from pipeline.search.executors.registry import build_executor, prepare_executor
from pipeline.search.judging import sound, winner_of
from pipeline.search.kept_trainings import KeptTrainings
from pipeline.search.params import load_study
from pipeline.search.sections import ConfirmParams, SearchParams
from pipeline.split_record import SplitRecord, read_split
from pipeline.steps import step
from pipeline.studies.exported import base_source, export_confirmed, judge_all
from pipeline.studies.timing import confirming
from pipeline.training.data import DataReference
from pipeline.training.messages import TrialResult, TrialSpec
from pipeline.trials.confirmation import (
    ConfirmationRecord,
    TrainingRecord,
    belongs,
    confirmation_of,
    has_answers,
    write_confirmation,
)
from pipeline.trials.identity import TRAINING_CODE, code_sha256
from pipeline.trials.study import StudyRecord, read_study
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
    "search/judging.py",
    "search/rounds.py",
    "training/answers.py",
    "training/choice.py",
    "training/ensemble.py",
    "training/price.py",
    "stages/confirm.py",
    "studies/exported.py",
    "trials/exported.py",
    "trials/ranking.py",
    "trials/record.py",
)


def run(
    name: str,
    base: str,
    params: ConfirmParams,
    search: SearchParams,
    *,
    root: Path,
    ends: float | None = None,
) -> None:
    """Trains the best trials again, judges them on the confirmation part, exports the winner.

    A training that was done before, by the same code on the same data, is not done again: the stage
    goes on where it was interrupted, and trains only what other settings add.

    Where the stage's stamp is gone, the databases were lost with it: if `confirm.json` and the
    model are whole and of the same trainings by the same code, only their runs are written again.

    Args:
        name: The study, below `studies`.
        base: Its base.
        params: Section `confirm`.
        search: Section `search`.
        root: The repository.
        ends: When the last training must have ended, in seconds of `time.time`; None: all are done.

    Raises:
        DataIntegrityError: If an earlier stage's file is missing.
        StudyError: If the study is being searched, or a training fails.
    """
    from pipeline.records.mirror.reconcile import restore_trainings

    study, split = read_study(root, name), read_split(root)
    storage = open_storage(root, search.storage)
    with (
        study_lock(root, study.study_name, storage=storage),
        _open_runs(root, study=study, split=split, url=search.storage) as runs,
        Mirror(runs) as recorder,
    ):
        # A search that goes on may have been interrupted, and has more by now than it put out.
        runs.reconcile(stored_trials(storage, study))
        ends, kept = ends if params.is_timed else None, _kept_trainings(root, study)
        planned = candidates(
            study,
            top=params.most_candidates,
            seeds=params.most_seeds(is_limited=ends is not None),
            epochs=search.num_epochs,
            root_seed=search.seed,
            folder=str(kept.folder),
            is_diverse=params.is_diverse,
        )
        record = _kept(root, study, planned, params=params, epochs=search.num_epochs)
        if record is None:
            work = _Work(study, search, ends, runs, recorder, kept, root)
            record = _train(work, base, params, planned)
            write_confirmation(root, record)
            kept.forget_others([training.uid for training in record.trainings])
        else:
            count = restore_trainings(runs, record.trials)
            logger.info("%s: %d runs written again, nothing trained", name, count)
    write_stamp(root, "confirm", record.stamp, study=name)
    logger.info("%s: %s", name, record.told)


def _kept(
    root: Path,
    study: StudyRecord,
    planned: Sequence[Candidate],
    *,
    params: ConfirmParams,
    epochs: int,
) -> ConfirmationRecord | None:
    record = confirmation_of(root, study.study)
    if record is None or stamp_file(root, "confirm", study.study).exists():
        return None
    is_same = (
        belongs(record, study, root=root)
        and has_answers(root, record)
        and is_of(record, planned, epochs=epochs)
        and record.exported.rule == EXPORT_RULES[params.export]
        and (params.export != "auto" or record.exported.max_slowdown == params.max_slowdown)
        and record.code_sha256 == code_sha256(*CODE)
    )
    return record if is_same else None


def _kept_trainings(root: Path, study: StudyRecord) -> KeptTrainings:
    return KeptTrainings(
        store_root(root) / TRAININGS / study.study_name,
        {"identity": study.identity, "code_sha256": code_sha256(*TRAINING_CODE)},
    )


@dataclass(frozen=True)
class _Work:
    study: StudyRecord
    search: SearchParams
    ends: float | None
    runs: StudyRuns
    recorder: Recorder
    kept: KeptTrainings
    root: Path


def _train(
    work: _Work, base: str, params: ConfirmParams, planned: Sequence[Candidate]
) -> ConfirmationRecord:
    study, root, objective = work.study, work.root, OBJECTIVES[work.study.objective]
    data = _data(root, base)
    results, trainings = _train_all(work, planned, data)
    done = trained(planned, results)
    planned = sound(done, results, objective)
    judged = judge_all(planned, results, data, objective)
    winner = winner_of(judged, objective)
    with step("putting the model together, and checking its file"):
        exported, metrics = export_confirmed(
            root,
            study.study,
            planned,
            results,
            data=data,
            objective=objective,
            winner=winner,
            params=params,
        )
    return ConfirmationRecord(
        study=study.study,
        study_name=study.study_name,
        identity=study.identity,
        dataset=study.dataset,
        objective=study.objective,
        base=base,
        base_source=base_source(Path(data.features)),
        code_sha256=code_sha256(*CODE),
        part=PART,
        n=read_split(root).counts[PART].images,
        top=params.top,
        seeds=params.seeds,
        epochs=work.search.num_epochs,
        candidates=judged,
        winner_number=judged[winner].number,
        metrics=metrics,
        exported=exported,
        trainings=trainings,
        left_out={c.trial.number: c.trial.hyperparameters for c in done if c not in planned},
    )


def _data(root: Path, base: str) -> DataReference:
    features = root / "data/features" / base
    return DataReference(features=str(features), train_file=str(root / "data/train.npz"))


def _train_all(
    work: _Work, planned: Sequence[Candidate], data: DataReference
) -> tuple[dict[str, TrialResult], list[TrainingRecord]]:
    from pipeline.records.mirror.reconcile import restore_trainings

    specs = [spec for candidate in planned for spec in candidate.specs]
    found = work.kept.find(specs)
    if found:
        logger.info("%d of %d trainings were done before", len(found), len(specs))
        told = [found[s.uid].record.as_trial(s.hyperparameters) for s in specs if s.uid in found]
        # Before the mirror's first record: until then the runs may be written from here.
        restore_trainings(work.runs, told)
    with (
        build_executor(work.search) as executor,
        step(
            "trained again",
            # Where time decides, not all that is planned is done.
            total=len(specs) if work.ends is None else None,
            unit="trainings",
            done=len(found),
            seconds_left=None if work.ends is None else work.ends - time.time(),
        ) as one,
    ):

        def on_done(spec: TrialSpec, result: TrialResult, record: TrainingRecord) -> None:
            work.kept.keep(spec, result, record)
            one.advance()

        confirmation = Confirmation(
            executor,
            work.recorder,
            data,
            max_retries=work.search.max_retries,
            ends=work.ends,
            on_done=on_done,
        )
        return confirmation.run(planned, kept=found), confirmation.trainings()


def _open_runs(root: Path, *, study: StudyRecord, split: SplitRecord, url: str) -> StudyRuns:
    from pipeline.records.lineage import revision_tags
    from pipeline.records.mirror.runs import StudyRuns

    runs = StudyRuns.open(
        root,
        dataset=split.dataset,
        study=study.study,
        study_name=study.study_name,
        study_uid=mirror_uid(root, study.study_uid, url),
        tags={
            **revision_tags(root),
            "objective": study.objective,
            "identity": study.identity,
        },
        params={},
    )
    runs.log_inputs(split)
    return runs


def main(name: str) -> None:
    """Runs the stage for the study `name` of `params.yaml`."""
    (study, _), root = load_study(name), Path.cwd()
    params, search = load_section(ConfirmParams, "confirm"), load_section(SearchParams, "search")
    search = search.with_epochs(planned_epochs(root / PLAN_FILE, study.base))
    prepare_executor(search)
    with confirming(name, identity=read_study(root, name).identity, root=root) as ends:
        run(name, study.base, params, search, root=root, ends=ends)
