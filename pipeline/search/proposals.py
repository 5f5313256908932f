"""What the driver tries next: a trial with its hyperparameters, its seed and its logical index.

A trial's index is its place among the configurations of the study. A retry shares it with the
attempt before, so the seeds of sampler and training depend on the configuration, not on how often
the search was cut off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.hyperparameter import Value
from pipeline.search.params import SearchParams
from pipeline.search.samplers import build_sampler
from pipeline.search.space import SearchSpace
from pipeline.seeds import derive_seed
from pipeline.trials.identity import training_code
from pipeline.trials.record import FINISHED, canonical

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One attempt to make.

    Attributes:
        trial: Optuna's.
        uid: Names this attempt, also across restarts of the driver.
        hyperparameters: All active ones.
        seed: Of the training, in [0, 2**31); where a result is reused, that of its training.
        duplicate: A finished trial with the same hyperparameters and code, whose result can be
            reused.
    """

    trial: Trial
    uid: str
    hyperparameters: dict[str, Value]
    seed: int
    duplicate: FrozenTrial | None

    @property
    def tags(self) -> dict[str, str]:
        """What else is worth knowing of it, for the record."""
        attrs = self.trial.user_attrs
        named = {name: attrs.get(name) for name in ("retry_of", "attempt", "code_sha256")}
        named |= {
            "seed": self.seed,
            "duplicate_of": self.duplicate.number if self.duplicate else None,
        }
        return {name: str(value) for name, value in named.items() if value is not None}


class Proposals:
    """Asks a study for trials.

    Args:
        study: The study. Nobody else may ask it.
        space: What its trials can be.
        params: Section `search`. Where its `duplicates` is `reuse`, a configuration that this code
            has tried is given the result that it had.
    """

    def __init__(self, study: Study, space: SearchSpace, params: SearchParams) -> None:
        self._study = study
        self._space = space
        self._params = params
        self._code = training_code()

    def ask(self) -> Proposal:
        """Returns the next attempt: what waits in the queue first, then what the sampler says."""
        trials = self._study.get_trials(deepcopy=False)
        index = next_index(trials)
        self._study.sampler = build_sampler(
            self._params.sampler,
            seed=self._params.seed,
            index=index,
            target=self._params.trials,
            space=self._space,
        )
        trial = self._study.ask()
        index = int(trial.user_attrs.get("index", index))
        hyperparameters = self._space.suggest(trial)
        duplicate = (
            _find_duplicate(trials, hyperparameters, code=self._code)
            if self._params.duplicates == "reuse"
            else None
        )
        own_seed = derive_seed(self._params.seed, "training", index)
        seed = own_seed if duplicate is None else int(duplicate.user_attrs["seed"])
        uid = f"{self._study.user_attrs['study_uid'][:12]}-{trial.number:04d}"
        attrs = {
            "trial_uid": uid,
            "index": index,
            "seed": seed,
            "hyperparameters": hyperparameters,
            "code_sha256": self._code,
        }
        if duplicate is not None:
            attrs["duplicate_of"] = duplicate.number
        for name, value in attrs.items():
            trial.set_user_attr(name, value)
        return Proposal(
            trial=trial, uid=uid, hyperparameters=hyperparameters, seed=seed, duplicate=duplicate
        )


def next_index(trials: list[FrozenTrial]) -> int:
    """Returns the logical index of the trial that a study gives next, >= 0.

    Args:
        trials: Every trial of the study, by number.
    """
    waiting = next((trial for trial in trials if trial.state.name == "WAITING"), None)
    if waiting is not None and "index" in waiting.user_attrs:
        return int(waiting.user_attrs["index"])
    return max((int(trial.user_attrs.get("index", -1)) for trial in trials), default=-1) + 1


def _find_duplicate(
    trials: list[FrozenTrial], hyperparameters: Mapping[str, Value], *, code: str
) -> FrozenTrial | None:
    wanted = canonical(hyperparameters)
    for trial in trials:
        attrs = trial.user_attrs
        # A result is reused since training again would give it again, which is known of the same
        # code alone: who has changed the training and finds a configuration tried once more
        # expects what the new code makes of it.
        is_same_code = trial.state.name in FINISHED and attrs.get("code_sha256") == code
        # Of several equal ones the first, which is the one that was trained.
        if is_same_code and canonical(attrs.get("hyperparameters", {})) == wanted:
            return trial
    return None
