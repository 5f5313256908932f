"""Trials of an earlier space that a new space could have given: taken over, not trained again.

Optuna refuses a study whose choices changed, so they are added anew, under the new distributions.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.hyperparameter import Value
from pipeline.search.configurations import configuration_problems, normalized
from pipeline.search.queue import OPEN
from pipeline.search.space import SearchSpace
from pipeline.training.hyperparameters import described
from pipeline.trials.identity import Identity
from pipeline.trials.record import FINISHED, TrialDict
from pipeline.trials.study import EarlierStudy, archived_name

if TYPE_CHECKING:
    from pathlib import Path

    from optuna.distributions import BaseDistribution

logger = logging.getLogger(__name__)

# Of an attempt in its old study: numbers and names that mean nothing in the new one.
LEFT_BEHIND = ("trial_uid", "retry_of", "attempt", "duplicate_of")


class _Misfit(Exception):
    """A recorded value lies outside the new space."""


class _Recorded:
    """Answers a space with the values that a trial had, and keeps the distributions asked with."""

    def __init__(self, hyperparameters: Mapping[str, Value]) -> None:
        self._values = hyperparameters
        self.distributions: dict[str, BaseDistribution] = {}
        self.params: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float, **kwargs: Any) -> float:
        from optuna.distributions import FloatDistribution

        return float(self._answer(name, FloatDistribution(low, high, **kwargs)))

    def suggest_int(self, name: str, low: int, high: int, **kwargs: Any) -> int:
        from optuna.distributions import IntDistribution

        return int(self._answer(name, IntDistribution(low, high, **kwargs)))

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        from optuna.distributions import CategoricalDistribution

        return self._answer(name, CategoricalDistribution(choices))

    def _answer(self, name: str, distribution: BaseDistribution) -> Any:
        value = self._values.get(name)
        if value is None or not _holds(distribution, value):
            raise _Misfit(name)
        self.distributions[name] = distribution
        self.params[name] = value
        return value


def _holds(distribution: BaseDistribution, value: Value) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except ValueError:  # What Optuna raises for a value that is no choice, or no number.
        return False


def fitting(
    trials: Iterable[TrialDict],
    space: SearchSpace,
    *,
    source: str,
) -> list[TrialDict]:
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

    taken: list[TrialDict] = []
    numbers: dict[int, int] = {}
    for trial in trials:
        if trial["state"] not in FINISHED:
            continue
        recorded = _Recorded(trial["hyperparameters"])
        try:
            hyperparameters = space.suggest(recorded)
        except _Misfit:
            continue
        if hyperparameters != trial["hyperparameters"]:
            continue
        attrs = {k: v for k, v in trial["user_attrs"].items() if k not in LEFT_BEHIND}
        original = trial["user_attrs"].get("duplicate_of")
        if original in numbers:
            attrs["duplicate_of"] = numbers[original]
        numbers[trial["number"]] = len(taken)
        taken.append(
            {
                **trial,
                "number": len(taken),
                "params": recorded.params,
                "distributions": {
                    name: json.loads(distribution_to_json(distribution))
                    for name, distribution in recorded.distributions.items()
                },
                "user_attrs": {**attrs, "taken_over_from": f"{source}#{trial['number']}"},
                "system_attrs": {},
            }
        )
    return taken


def still_queued(
    trials: Iterable[TrialDict],
    space: SearchSpace,
    *,
    source: str,
) -> list[TrialDict]:
    """Returns the trials that wait or were cut off and that a space allows, as waiting ones.

    Says of each other one why it does not fit. The arguments are those of `fitting`.
    """
    waiting: list[TrialDict] = []
    for trial in trials:
        asked = {**trial["system_attrs"].get("fixed_params", {}), **trial["params"]}
        if trial["state"] not in OPEN or not asked:
            continue
        # What is no longer searched is no problem where it has that value anyway.
        wanted = {
            n: v for n, v in asked.items() if n in space.settings or v != space.defaults.get(n)
        }
        problems = configuration_problems("", wanted, space)
        if problems:
            logger.warning(
                "trial %d of %s (%s) was queued and is not any more: %s",
                *(trial["number"], source, described(asked), " ".join(problems)),
            )
            continue
        attrs = trial["user_attrs"]
        cleared = dict.fromkeys(("value", "seconds", "datetime_start", "datetime_complete"))
        cleared |= {key: {} for key in ("params", "distributions", "intermediate_values")}
        waiting.append(
            {
                **trial,
                **cleared,
                "state": "WAITING",
                "hyperparameters": {},
                "user_attrs": {key: attrs[key] for key in ("enqueued", "index") if key in attrs},
                "system_attrs": {"fixed_params": normalized(wanted, space)},
            }
        )
    return waiting


def first_trials(
    exported: Path,
    previous: EarlierStudy | None,
    identity: Identity,
    space: SearchSpace,
) -> list[TrialDict]:
    """Returns the trials that a new study begins with.

    Args:
        exported: The `study.json` of this name, if there is one: if it is of this identity, the
            database was lost and all of it is taken.
        previous: The study that had the name until now. If only the space has changed since, its
            finished trials that still fit are taken over, and its queued ones wait again;
            likewise those of `exported`.
        identity: Of the new study.
        space: Of the new study.
    """
    content = json.loads(exported.read_text(encoding="utf-8")) if exported.exists() else {}
    if content.get("identity") == identity.whole:
        return list(content["trials"])
    if previous is not None and identity.can_take_over(previous.comparable):
        return _taken(previous.trials, space, source=previous.name)
    if identity.can_take_over(content.get("comparable")):
        source = archived_name(content["study_name"], content["identity"])
        return _taken(content["trials"], space, source=source)
    return []


def _taken(
    trials: list[TrialDict],
    space: SearchSpace,
    *,
    source: str,
) -> list[TrialDict]:
    finished = fitting(trials, space, source=source)
    queued = still_queued(trials, space, source=source)
    logger.info(
        "a new space: %d finished trials of %s fit and are taken over, %d are queued again",
        *(len(finished), source, len(queued)),
    )
    return [{**trial, "number": number} for number, trial in enumerate([*finished, *queued])]
