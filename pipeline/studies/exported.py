"""The model that a confirmation exports, and what `confirm.json` says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.data.rows import part_labels
from pipeline.evaluation.objectives import ObjectiveSpec
from pipeline.features.manifest import read_manifest
from pipeline.files import sha256_file, write_whole
from pipeline.processes import num_cores
from pipeline.search.candidates import PART, VERIFIED_IMAGES
from pipeline.search.confirmation import EXPORT_RULES
from pipeline.search.judging import in_order, judge, placed
from pipeline.split_record import read_split
from pipeline.training.data import DataReference
from pipeline.training.messages import TrialResult, answers_file
from pipeline.trials.candidate import CandidateRecord
from pipeline.trials.exported import ExportRecord, MemberRecord, PriceRecord
from pipeline.workspace import confirmed_answers_file

if TYPE_CHECKING:
    from pipeline.search.candidates import Candidate
    from pipeline.search.sections import ConfirmParams
    from pipeline.training.choice import Choice


def base_source(features: Path) -> dict[str, object]:
    """Returns what `embed` says of where a base came from; of pixels, nothing.

    Args:
        features: `data/features/BASE`.
    """
    manifest = read_manifest(features)
    if manifest.source is None:
        return {}
    return {**manifest.source.known(), "weights_sha256": manifest.weights_sha256}


def judge_all(
    planned: Sequence[Candidate],
    results: Mapping[str, TrialResult],
    data: DataReference,
    objective: ObjectiveSpec,
) -> list[CandidateRecord]:
    """Returns what each candidate reached on the confirmation part, and where it stands.

    Args:
        planned: The candidates, as from `judging.sound`.
        results: Of their trainings, by uid; each kept what it answers there.
        data: What they were trained on.
        objective: What they are compared by.
    """
    judged = judge(planned, results, objective)
    answers = [
        [np.load(answers_file(str(results[spec.uid].model_file))) for spec in one.specs]
        for one in planned
    ]
    cuts = read_manifest(Path(data.features)).cuts
    sizes = [
        max(
            results[spec.uid].num_parameters
            + cuts[results[spec.uid].starts_from].num_parameters_below
            for spec in one.specs
        )
        for one in planned
    ]
    return placed(judged, sizes, answers, part_labels(Path(data.train_file), PART), objective)


def _write_answers(
    root: Path, name: str, winner: Candidate, results: Mapping[str, TrialResult]
) -> str:
    """Writes what a winner's trainings answer on the confirmation part; returns its SHA-256.

    From it `register` compares the winners of two studies, over images and seeds.

    Args:
        root: The repository.
        name: Of the study, below `studies` in params.yaml.
        winner: The candidate.
        results: Of its trainings, by uid; each kept what it answers there.
    """
    answers = [np.load(answers_file(str(results[spec.uid].model_file))) for spec in winner.specs]
    with write_whole(confirmed_answers_file(root, name)) as part, part.open("wb") as stream:
        np.save(stream, np.stack(answers).astype(np.float32))
    return sha256_file(confirmed_answers_file(root, name))


def export_confirmed(
    root: Path,
    name: str,
    planned: Sequence[Candidate],
    results: Mapping[str, TrialResult],
    *,
    data: DataReference,
    objective: ObjectiveSpec,
    winner: int,
    params: ConfirmParams,
) -> tuple[ExportRecord, dict[str, float]]:
    """Writes `models/STUDY.keras`, and what the winner's trainings answer beside `confirm.json`.

    Args:
        root: The repository.
        name: Of the study, below `studies` in params.yaml.
        planned: The candidates.
        results: Of their trainings, by uid.
        data: What they were trained on.
        objective: What trainings are compared by.
        winner: The winner's position among the candidates.
        params: Section `confirm`, which says what is exported.

    Returns:
        What `confirm.json` says of the model, and its metrics on the confirmation part.

    Raises:
        DataIntegrityError: If the file does not answer on raw images as its trainings did.
    """
    from pipeline.training.devices import configure_tensorflow

    # Before what imports TensorFlow, which would start with settings of its own.
    configure_tensorflow(num_threads=num_cores())
    from pipeline.bases.model_files import weights_sha256
    from pipeline.training.choice import choose
    from pipeline.training.ensemble import export_winner
    from pipeline.training.export import load_exported

    answers = _write_answers(root, name, planned[winner], results)
    image_shape = read_split(root).image_shape
    file = Path("models") / f"{name}.keras"
    choice = choose(
        in_order(planned, results, objective, winner=winner),
        results,
        data,
        objective,
        rule=params.export,
        part=PART,
        image_shape=image_shape,
        max_slowdown=params.max_slowdown,
    )
    members = [member for _, member in choice.members]
    verified, metrics = export_winner(
        root / file, members, data, image_shape=image_shape, part=PART, most=VERIFIED_IMAGES
    )
    exported = ExportRecord(
        file=file.as_posix(),
        rule=EXPORT_RULES[params.export],
        file_sha256=sha256_file(root / file),
        # Of the whole model, as in registration.json; those of the members start from a cut.
        weights_sha256=weights_sha256(load_exported(root / file)),
        members=_members(choice, planned, results),
        answers_sha256=answers,
        compared=[PriceRecord(**asdict(one)) for one in choice.compared],
        reason=choice.reason,
        max_slowdown=params.max_slowdown,
        verified=asdict(verified),
    )
    return exported, metrics


def _members(
    choice: Choice, planned: Sequence[Candidate], results: Mapping[str, TrialResult]
) -> list[MemberRecord]:
    numbers = {spec.uid: one.trial.number for one in planned for spec in one.specs}
    return [
        MemberRecord(
            number=numbers[spec.uid],
            seed=spec.seed,
            starts_from=results[spec.uid].starts_from,
            weights_sha256=results[spec.uid].weights_sha256,
        )
        for spec, _ in choice.members
    ]
