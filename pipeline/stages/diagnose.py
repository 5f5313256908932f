"""Stage `diagnose@STUDY`: study.json, confirm.json -> results/diagnosis/STUDY.json.

What limits the winner, whether more data would help, and what each hyperparameter does.
Run: python -m pipeline diagnose STUDY
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import psutil

from pipeline.clock import read_budget, weights
from pipeline.config import load_section, study_bases
from pipeline.evaluation.objectives import OBJECTIVES, ObjectiveSpec
from pipeline.features.manifest import read_manifest
from pipeline.plan_record import PLAN_FILE, planned_epochs
from pipeline.search.ablation import changes
from pipeline.search.executors.local import LocalExecutor, prepare
from pipeline.search.importance import importances
from pipeline.search.measuring import Measurements
from pipeline.search.params import StudyParams, embedded_space, load_study
from pipeline.search.random_reference import random_reference
from pipeline.search.samplers import SamplerContext
from pipeline.search.sections import DiagnoseParams, SearchParams
from pipeline.search.space import SearchSpace
from pipeline.split_record import read_split
from pipeline.studies.ablation import ablation
from pipeline.studies.diagnosed import Subject
from pipeline.studies.learning_curve import curve_sizes, learning_curve
from pipeline.training.data import DataReference
from pipeline.trials.advice import advice_of
from pipeline.trials.bounds import Distribution, near_bounds
from pipeline.trials.confirmation import ConfirmationRecord, read_confirmation
from pipeline.trials.diagnosis import DiagnosisRecord, write_diagnosis
from pipeline.trials.ranking import num_finished, ranked
from pipeline.trials.record import as_record
from pipeline.trials.study import StudyRecord, read_study
from pipeline.workspace import confirmation_file

if TYPE_CHECKING:
    from pipeline.hyperparameter import Hyperparameters

logger = logging.getLogger(__name__)

CURVE_SHARE = 0.6
"""Of the time, until the learning curve must be there; the rest is the ablation's."""


def run(
    name: str,
    params: StudyParams,
    space: SearchSpace,
    search: SearchParams,
    *,
    root: Path,
    seconds: float | None,
) -> None:
    """Says what limits a study's winner, as far as there is time to find out.

    First what the search and the confirmation have found already says, which costs seconds; then
    trainings on fewer images; then the winner with one change at a time.

    Args:
        name: The study, below `studies`.
        params: What params.yaml says of it.
        space: Its space.
        search: Section `search`.
        root: The repository.
        seconds: That the stage may take, from the start of this process; None: it trains nothing.

    Raises:
        DataIntegrityError: If an earlier stage's file is missing.
        StudyError: If a training fails.
    """
    study, confirmation = read_study(root, name), read_confirmation(confirmation_file(root, name))
    split = read_split(root)
    features = root / "data/features" / params.base
    space = embedded_space(params, space, search, read_manifest(features).cuts)
    if seconds is not None:
        prepare()
    num_images = split.counts["train"].images
    record = _without_training(study, confirmation, space, search, seconds)
    num_sizes = len(curve_sizes(num_images, len(split.class_names))) + 1
    record = replace(record, num_images=num_images, num_sizes=num_sizes)
    with tempfile.TemporaryDirectory(prefix="diagnose-") as folder:
        subject = Subject(
            study=study,
            confirmation=confirmation,
            data=DataReference(features=str(features), train_file=str(root / "data/train.npz")),
            epochs=search.num_epochs,
            root_seed=search.seed,
            num_images=num_images,
            num_classes=len(split.class_names),
            folder=Path(folder),
        )
        record = _measured(record, subject, space, search)
    write_diagnosis(root, record)
    advice = advice_of(record)
    for sentence in (advice.limits, advice.more_data, advice.next_step):
        logger.info("%s: %s", name, sentence)


def _without_training(
    study: StudyRecord,
    confirmation: ConfirmationRecord,
    space: SearchSpace,
    search: SearchParams,
    seconds: float | None,
) -> DiagnosisRecord:
    """Returns what the records of search and confirmation say by themselves."""
    from pipeline.evaluation.intervals import wilson_interval

    winner, objective = confirmation.winner, OBJECTIVES[study.objective]
    is_share = objective.direction == "maximize"
    low, high = None, None
    if objective.measure == "accuracy":
        around = wilson_interval(round((1 - winner.mean) * confirmation.n), confirmation.n)
        low, high = around.low, around.high
    distributions = {name: as_record(Distribution, one) for name, one in study.space.items()}
    context = SamplerContext(seed=search.seed, index=0, target=study.target, space=space)
    return DiagnosisRecord(
        study=study.study,
        objective=study.objective,
        base=confirmation.base,
        number=winner.number,
        hyperparameters=winner.hyperparameters,
        part=confirmation.part,
        n=confirmation.n,
        num_images=0,
        num_sizes=0,
        num_seeds=winner.num_seeds,
        error=1 - winner.mean if is_share else winner.mean,
        low=low,
        high=high,
        epoch_error=_epoch_error(confirmation, objective),
        seconds=seconds,
        importances=importances(study),
        bounds=near_bounds(
            winner.hyperparameters, distributions, num_tried=num_finished(study.trials)
        ),
        num_duplicates=sum(one.duplicate_of is not None for one in study.trials),
        random=random_reference(study, sampler=search.sampler, num_startup=context.num_startup),
    )


def _epoch_error(confirmation: ConfirmationRecord, objective: ObjectiveSpec) -> float | None:
    own = [one for one in confirmation.trainings if one.number == confirmation.winner_number]
    found = [one.metrics[objective.measure] for one in own if objective.measure in one.metrics]
    if not found:
        return None
    return 1 - fmean(found) if objective.direction == "maximize" else fmean(found)


def _measured(
    record: DiagnosisRecord, subject: Subject, space: SearchSpace, search: SearchParams
) -> DiagnosisRecord:
    """Returns the record with what trainings say, as many as there is time for."""
    if record.seconds is None:
        return replace(record, sizes=[subject.known()])
    began = psutil.Process().create_time()
    order = [one.name for one in record.importances.found] if record.importances else []
    wanted = changes(subject.values, _others(subject), space, order)
    with LocalExecutor(
        # Whatever hangs longer is killed.
        search.num_workers,
        trial_timeout_seconds=record.seconds,
    ) as executor:
        measurements = Measurements(executor, max_retries=search.max_retries)
        sizes, more_data = learning_curve(
            subject, measurements, ends=began + CURVE_SHARE * record.seconds
        )
        found = ablation(
            subject,
            wanted,
            measurements,
            num_workers=search.num_workers,
            ends=began + record.seconds,
        )
    return replace(record, sizes=sizes, more_data=more_data, ablation=found)


def _others(subject: Subject) -> list[Hyperparameters]:
    """Returns other good configurations, those of the confirmation first, best first."""
    confirmation, study = subject.confirmation, subject.study
    sign = -1.0 if study.direction == "maximize" else 1.0
    candidates = sorted(confirmation.candidates, key=lambda one: sign * one.mean)
    found = [one.hyperparameters for one in candidates]
    found += [one.hyperparameters for one in ranked(study.trials, study.direction)]
    return [one for one in found if one != subject.values]


def main(name: str) -> None:
    """Runs the stage for the study `name` of `params.yaml`."""
    (study, space), root = load_study(name), Path.cwd()
    search = load_section(SearchParams, "search")
    search = search.with_epochs(planned_epochs(root / PLAN_FILE, study.base))
    params, shares = load_section(DiagnoseParams, "diagnose"), weights(study_bases())
    own = {key: share for key, share in shares.items() if key.startswith("confirm@")}
    seconds = params.seconds(read_budget(), own[f"confirm@{name}"] / sum(own.values()))
    run(name, study, space, search, root=root, seconds=seconds)
