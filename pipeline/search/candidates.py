"""Which trials of a study are trained again, and with which seeds."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.seeds import derive_seed
from pipeline.training.messages import TrialSpec
from pipeline.trials.confirmation import ConfirmationRecord
from pipeline.trials.ranking import ranked
from pipeline.trials.record import TrialRecord
from pipeline.trials.study import StudyRecord

PART = "confirmation"
VERIFIED_IMAGES: Final = 1000
"""Most raw images of `PART` that an exported file is run on before it has its name. More would tell
no other file from the right one, and are embedded at the end of a budget: 5,000 of CIFAR-10 at 192
pixels take 40 s."""
MOST_CANDIDATES: Final = 5
MOST_SEEDS: Final = 3
"""What `auto` is where no time ends it."""
MOST_SEEDS_IN_TIME: Final = 6
"""What it is at most where one does: of a small training part whole trainings take seconds, seeds
differ by more than configurations do, and what is left of the time is good for nothing else."""


@dataclass(frozen=True)
class Candidate:
    """A configuration and its trainings.

    Attributes:
        trial: The trial of the search that it comes from.
        specs: One training per seed.
    """

    trial: TrialRecord
    specs: tuple[TrialSpec, ...]


def top_trials(
    trials: Sequence[TrialRecord], direction: str, top: int, *, is_diverse: bool = False
) -> list[TrialRecord]:
    """Returns the best complete trials, best first, each configuration once.

    Args:
        trials: Of a study.
        direction: `maximize` or `minimize`.
        top: Most of them, >= 1.
        is_diverse: Whether the best trial of each cut goes before the second of any: networks that
            start from different layers err on different images.
    """
    distinct: list[TrialRecord] = []
    for trial in ranked(trials, direction):
        if all(trial.hyperparameters != kept.hyperparameters for kept in distinct):
            distinct.append(trial)
    if not is_diverse:
        return distinct[:top]
    cuts = [trial.hyperparameters["cut"] for trial in distinct]
    # Sorting is stable: the best of each cut, then the rest, each as they were ranked.
    first = sorted(range(len(distinct)), key=lambda position: cuts.index(cuts[position]) < position)
    return [distinct[position] for position in sorted(first[:top])]


def candidates(
    study: StudyRecord,
    *,
    top: int,
    seeds: int,
    epochs: int,
    root_seed: int,
    folder: str,
    is_diverse: bool = False,
) -> list[Candidate]:
    """Plans the trainings: the same seeds for every configuration, so that they compare in pairs.

    Args:
        study: Its record.
        top: Configurations, >= 1.
        seeds: Trainings of each, >= 1.
        epochs: Most epochs of each, as in the search.
        root_seed: `search.seed`; the seeds are derived from it.
        folder: Where the trained models go.
        is_diverse: As for `top_trials`.
    """
    drawn = [derive_seed(root_seed, "confirm", position) for position in range(seeds)]
    return [
        Candidate(
            trial,
            tuple(_spec(study, trial, seed=seed, epochs=epochs, folder=folder) for seed in drawn),
        )
        for trial in top_trials(study.trials, study.direction, top, is_diverse=is_diverse)
    ]


def _spec(
    study: StudyRecord, trial: TrialRecord, *, seed: int, epochs: int, folder: str
) -> TrialSpec:
    uid = f"{study.study_uid[:12]}-confirm-{trial.number:04d}-{seed}"
    return TrialSpec(
        uid=uid,
        hyperparameters=trial.hyperparameters,
        seed=seed,
        epochs=epochs,
        objective=study.objective,
        judge=PART,
        model_file=f"{folder}/{uid}.keras",
    )


def is_of(record: ConfirmationRecord, planned: Sequence[Candidate], *, epochs: int) -> bool:
    """Whether a confirmation holds just the trainings that are planned, each as it is planned.

    Of what diverged and was left out it may lack further seeds. Uids name the study, the trial and
    the seed; a study has one space, one base and one training, and always the same data.

    Args:
        record: The confirmation.
        planned: As from `candidates`; of a confirmation that had a time to end at, some of them.
        epochs: Most epochs of each.
    """
    specs = {spec.uid: one.trial.number for one in planned for spec in one.specs}
    done = {one.uid: one.number for one in record.trainings}
    whole = [[uid for uid, n in each.items() if n not in record.left_out] for each in (done, specs)]
    is_same = done.keys() <= specs.keys() and (record.is_timed or whole[0] == whole[1])
    return is_same and record.epochs == epochs


def trained(planned: Sequence[Candidate], uids: Collection[str]) -> list[Candidate]:
    """Returns the candidates that were trained, each with those of its trainings that were done.

    Args:
        planned: As from `candidates`.
        uids: Of the trainings that were done.
    """
    found = [
        Candidate(one.trial, tuple(spec for spec in one.specs if spec.uid in uids))
        for one in planned
    ]
    return [candidate for candidate in found if candidate.specs]
