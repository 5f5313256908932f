"""Trials of an earlier space that a new space could have given: taken over, not trained again.

Optuna refuses a study whose choices changed, so they are added anew, under the new distributions.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipeline.search.configurations import (
    MisfitError,
    Recorded,
    configuration_problems,
    normalized,
)
from pipeline.search.space import SearchSpace
from pipeline.training.hyperparameters import HYPERPARAMETERS, described
from pipeline.trials.identity import Identity
from pipeline.trials.record import TrialRecord
from pipeline.trials.study import EarlierStudy, StudyRecord, archived_name

logger = logging.getLogger(__name__)

# Of an attempt in its old study: numbers and names that mean nothing in the new one.
LEFT_BEHIND = ("trial_uid", "retry_of", "attempt", "duplicate_of", "promoted_from")

FORMER = {name: one.former for name, one in HYPERPARAMETERS.items() if one.former is not None}
"""What trials had of which they say nothing."""


def fitting(
    trials: Iterable[TrialRecord],
    space: SearchSpace,
    *,
    source: str,
) -> list[TrialRecord]:
    """Returns the finished trials that a space could have given, as trials of a new study.

    A trial fits if each of its hyperparameters lies in the new space, and the new space would have
    asked for the same ones. What was fixed may be searched now, and the other way round.

    Args:
        trials: Of the old study.
        space: Of the new study.
        source: The old study's name; each trial says it, with its old number, in its attribute
            `taken_over_from`.

    Returns:
        Copies numbered from 0, with the new study's distributions.
    """
    from optuna.distributions import distribution_to_json

    taken: list[TrialRecord] = []
    numbers: dict[int, int] = {}
    for trial in trials:
        if not trial.is_finished:
            continue
        had = {**FORMER, **trial.hyperparameters}
        recorded = Recorded(had)
        try:
            hyperparameters = space.suggest(recorded)
        except MisfitError:
            continue
        if hyperparameters != had:
            continue
        attributes = {k: v for k, v in trial.attributes.items() if k not in LEFT_BEHIND}
        for name, number in (
            ("duplicate_of", trial.duplicate_of),
            ("promoted_from", trial.promoted_from),
        ):
            if number in numbers:
                attributes[name] = numbers[number]
        numbers[trial.number] = len(taken)
        taken.append(
            replace(
                trial,
                number=len(taken),
                hyperparameters=hyperparameters,
                params=recorded.params,
                distributions={
                    name: json.loads(distribution_to_json(distribution))
                    for name, distribution in recorded.distributions.items()
                },
                attributes={**attributes, "taken_over_from": f"{source}#{trial.number}"},
                system_attributes={},
            )
        )
    return taken


def still_queued(
    trials: Iterable[TrialRecord],
    space: SearchSpace,
    *,
    source: str,
) -> list[TrialRecord]:
    """Returns the trials that wait or were cut off and that a space allows, as waiting ones.

    Says of each other one why it does not fit. The arguments are those of `fitting`.
    """
    waiting: list[TrialRecord] = []
    for trial in trials:
        asked = {**trial.queued, **trial.params}
        # One that was promoted is so again, by the rung that it came from.
        if not trial.is_open or not asked or trial.promoted_from is not None:
            continue
        # What is no longer searched is no problem where it has that value anyway.
        wanted = {
            n: v for n, v in asked.items() if n in space.settings or v != space.defaults.get(n)
        }
        problems = configuration_problems("", wanted, space)
        if problems:
            logger.warning(
                "trial %d of %s (%s) was queued and is not any more: %s",
                *(trial.number, source, described(asked), " ".join(problems)),
            )
            continue
        kept = {k: v for k, v in trial.attributes.items() if k in ("enqueued", "index")}
        waiting.append(
            TrialRecord(
                number=trial.number,
                state="WAITING",
                attributes=kept,
                system_attributes={"fixed_params": normalized(wanted, space)},
            )
        )
    return waiting


def first_trials(
    exported: StudyRecord | None,
    previous: EarlierStudy | None,
    identity: Identity,
    space: SearchSpace,
) -> Sequence[TrialRecord]:
    """Returns the trials that a new study begins with.

    Args:
        exported: The `study.json` of this name, or None: if it is of this identity, the database
            was lost and all of it is taken.
        previous: The study that had the name until now. If only the space has changed since, its
            finished trials that still fit are taken over, and its queued ones wait again;
            likewise those of `exported`.
        identity: Of the new study.
        space: Of the new study.
    """
    if exported is not None and exported.identity == identity.whole:
        return exported.trials
    if previous is not None and identity.can_take_over(previous.comparable):
        return _taken(previous.trials, space, source=previous.name)
    if exported is not None and identity.can_take_over(exported.comparable):
        source = archived_name(exported.study_name, exported.identity)
        return _taken(exported.trials, space, source=source)
    return ()


def _taken(
    trials: Sequence[TrialRecord],
    space: SearchSpace,
    *,
    source: str,
) -> list[TrialRecord]:
    finished = fitting(trials, space, source=source)
    queued = still_queued(trials, space, source=source)
    logger.info(
        "a new space: %d finished trials of %s fit and are taken over, %d are queued again",
        *(len(finished), source, len(queued)),
    )
    return [replace(trial, number=number) for number, trial in enumerate([*finished, *queued])]
