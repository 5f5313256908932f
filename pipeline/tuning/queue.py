"""A user's own trial: put into a study's queue, where a search takes it before it samples more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.hyperparameter import Value
from pipeline.tuning.study import FINISHED, TrialDict, canonical, trial_dicts

if TYPE_CHECKING:
    from optuna.study import Study

OPEN = ("RUNNING", "WAITING")


@dataclass(frozen=True)
class Match:
    """A trial of the study that is the same configuration already.

    Attributes:
        trial: The trial.
        kind: `queued`: it waits or runs; `tried`: it is finished.
    """

    trial: TrialDict
    kind: Literal["queued", "tried"]


def find_match(
    trials: Sequence[TrialDict],
    configuration: Mapping[str, Value],
    hyperparameters: Mapping[str, Value] | None,
) -> Match | None:
    """Returns the trial that a configuration would repeat: a queued one first, or None.

    Args:
        trials: All trials of a study.
        configuration: As from `configurations.normalized`.
        hyperparameters: As from `configurations.completed`: where a sampler adds some, a finished
            trial of the same beginning is another trial.
    """
    for trial in trials:
        if trial["state"] in OPEN and _is_same(trial, configuration, hyperparameters):
            return Match(trial, "queued")
    if hyperparameters is None:
        return None
    for trial in trials:
        is_finished = trial["state"] in FINISHED
        if is_finished and canonical(trial["hyperparameters"]) == canonical(hyperparameters):
            return Match(trial, "tried")
    return None


def enqueue(study: Study, configuration: Mapping[str, Value]) -> int:
    """Puts a checked configuration into the queue, also while the study is searched.

    Returns:
        The number of the new trial.
    """
    num_before = len(study.get_trials(deepcopy=False))
    study.enqueue_trial(dict(configuration), user_attrs={"enqueued": canonical(configuration)})
    # Optuna does not say which it is, and a search may be adding trials meanwhile.
    added = trial_dicts(study)[num_before:]
    numbers = [int(trial["number"]) for trial in added if _fixed(trial) == dict(configuration)]
    return numbers[0]


def num_wanted(trials: Sequence[TrialDict]) -> int:
    """Returns the target at which every trial that runs or waits now will have finished."""
    return sum(trial["state"] in (*FINISHED, *OPEN) for trial in trials)


def _is_same(
    trial: TrialDict,
    configuration: Mapping[str, Value],
    hyperparameters: Mapping[str, Value] | None,
) -> bool:
    if hyperparameters is not None and trial["hyperparameters"]:
        return canonical(trial["hyperparameters"]) == canonical(hyperparameters)
    return canonical(_fixed(trial)) == canonical(configuration)


def _fixed(trial: TrialDict) -> dict[str, Value]:
    fixed: dict[str, Value] = trial["system_attrs"].get("fixed_params", {})
    return fixed
