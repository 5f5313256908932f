"""What the driver tries next: a trial with its hyperparameters, its seed and its logical index.

A trial's index is its place among the configurations of the study. A retry shares it with the
attempt before, so the seeds of sampler and training depend on the configuration, not on how often
the search was cut off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pipeline.hyperparameter import Value
from pipeline.search.rungs import Promotion, Training, share_of, shares
from pipeline.search.samplers import build_sampler
from pipeline.search.sections import SearchParams
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
        duplicate: A finished trial with the same hyperparameters, share and code, whose result can
            be reused.
        share: What it is given of a whole training, in (0, 1].
        rung: Of successive halving, counted from 0; None where a study has no rungs.
        promoted_from: The trial of the rung below that it goes on with, or None.
    """

    trial: Trial
    uid: str
    hyperparameters: dict[str, Value]
    seed: int
    duplicate: FrozenTrial | None
    share: float = 1.0
    rung: int | None = None
    promoted_from: int | None = None

    @property
    def tags(self) -> dict[str, str]:
        """What else is worth knowing of it, for the record."""
        attrs = self.trial.user_attrs
        kept = ("retry_of", "attempt", "code_sha256", "rung", "share", "promoted_from")
        named = {name: attrs.get(name) for name in kept}
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
        self._lowest = shares(params.num_rungs)[0]

    def ask(self, *, is_frozen: bool = False) -> Proposal:
        """Returns the next attempt: what waits in the queue first, then what the sampler says.

        Args:
            is_frozen: Whether what the sampler says leaves the base as it is.
        """
        trials = self._study.get_trials(deepcopy=False)
        index = next_index(trials)
        is_waiting = any(trial.state.name == "WAITING" for trial in trials)
        is_frozen = is_frozen and not is_waiting and self._space.can_stay_frozen
        space = self._space.without_unfreezing() if is_frozen else self._space
        self._study.sampler = build_sampler(
            self._params.sampler,
            seed=self._params.seed,
            index=index,
            target=self._params.target,
            space=space,
            has_rungs=self._params.num_rungs > 1 or any(share_of(trial) < 1 for trial in trials),
        )
        trial = self._study.ask()
        index = int(trial.user_attrs.get("index", index))
        hyperparameters = space.suggest(trial)
        lowest: dict[str, int | float] = {"rung": 0, "share": self._lowest}
        attrs = lowest if self._params.num_rungs > 1 else {}
        if is_frozen:
            # Of a retry it must be settled, too.
            trial.set_user_attr("is_frozen", True)
        return self._proposal(trial, hyperparameters, trials, index=index, attrs=attrs)

    def promote(self, promotion: Promotion) -> Proposal:
        """Returns a configuration that goes on, as a trial of the next rung.

        It is added as a trial that runs already, with all that its configuration is, in one
        request: it stands in no queue, and a kill leaves a trial that is cut off or none.
        """
        from optuna.samplers import RandomSampler
        from optuna.trial import Trial, TrialState, create_trial

        trials = self._study.get_trials(deepcopy=False)
        former = trials[promotion.number]
        attrs: dict[str, int | float] = {
            "rung": promotion.rung,
            "share": promotion.share,
            "promoted_from": promotion.number,
        }
        if promotion.retry_of is not None:
            attrs |= {"retry_of": promotion.retry_of, "attempt": promotion.attempt}
        template = create_trial(
            state=TrialState.RUNNING,
            params=former.params,
            distributions=former.distributions,
            user_attrs=attrs,
        )
        storage = self._study._storage
        trial_id = storage.create_new_trial(self._study._study_id, template_trial=template)
        # Any: nothing is drawn.
        self._study.sampler = RandomSampler()
        return self._proposal(
            Trial(self._study, trial_id),
            former.user_attrs["hyperparameters"],
            trials,
            index=int(former.user_attrs["index"]),
            attrs=attrs,
        )

    def trainings(self) -> list[Training]:
        """Returns all trials as what promotion knows of them, by number."""
        return trainings_of(self._study)

    def _proposal(
        self,
        trial: Trial,
        hyperparameters: dict[str, Value],
        trials: list[FrozenTrial],
        *,
        index: int,
        attrs: Mapping[str, int | float],
    ) -> Proposal:
        share = float(attrs.get("share", 1.0))
        duplicate = (
            _find_duplicate(trials, hyperparameters, share=share, code=self._code)
            if self._params.duplicates == "reuse"
            else None
        )
        own_seed = derive_seed(self._params.seed, "training", index)
        seed = own_seed if duplicate is None else int(duplicate.user_attrs["seed"])
        uid = f"{self._study.user_attrs['study_uid'][:12]}-{trial.number:04d}"
        noted = {
            "trial_uid": uid,
            "index": index,
            "seed": seed,
            "hyperparameters": hyperparameters,
            "code_sha256": self._code,
            **attrs,
        }
        if duplicate is not None:
            noted["duplicate_of"] = duplicate.number
        for name, value in noted.items():
            trial.set_user_attr(name, value)
        return Proposal(
            trial=trial,
            uid=uid,
            hyperparameters=hyperparameters,
            seed=seed,
            duplicate=duplicate,
            share=share,
            rung=trial.user_attrs.get("rung"),
            promoted_from=trial.user_attrs.get("promoted_from"),
        )


def trainings_of(study: Study) -> list[Training]:
    """Returns the trials of a study as what promotion knows of them, by number."""
    sign, now = -1.0 if study.direction.name == "MINIMIZE" else 1.0, datetime.now()
    return [_training(trial, sign, now) for trial in study.get_trials(deepcopy=False)]


def _training(trial: FrozenTrial, sign: float, now: datetime) -> Training:
    attrs, retry = trial.user_attrs, trial.user_attrs.get("retry", "no")
    value = trial.value if trial.state.name == "COMPLETE" else None
    return Training(
        number=trial.number,
        state=trial.state.name,
        share=share_of(trial),
        value=None if value is None else sign * value,
        loss=(attrs.get("metrics") or {}).get("val_loss", math.inf),
        seconds=_seconds(trial, now),
        promoted_from=attrs.get("promoted_from"),
        is_fine_tuned=bool(attrs.get("hyperparameters", {}).get("unfreeze")),
        is_copy="duplicate_of" in attrs,
        attempt=int(attrs.get("attempt", 0)) + (retry == "counted"),
        can_retry=retry != "no",
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


def _seconds(trial: FrozenTrial, now: datetime) -> float | None:
    """Returns how long a trial took, or has taken so far; None if it has not begun.

    As its training said: what its worker took to start is no part of it.
    """
    measured = (trial.user_attrs.get("metrics") or {}).get("training_seconds")
    if measured is not None:
        return float(measured)
    if trial.datetime_start is None:
        return None
    return float(((trial.datetime_complete or now) - trial.datetime_start).total_seconds())


def _find_duplicate(
    trials: list[FrozenTrial], hyperparameters: Mapping[str, Value], *, share: float, code: str
) -> FrozenTrial | None:
    wanted = canonical(hyperparameters)
    for trial in trials:
        attrs = trial.user_attrs
        # A result is reused since training again would give it again, which is known of the same
        # code alone: who has changed the training and finds a configuration tried once more
        # expects what the new code makes of it.
        is_same_code = trial.state.name in FINISHED and attrs.get("code_sha256") == code
        is_same_code = is_same_code and math.isclose(share_of(trial), share)
        # Of several equal ones the first, which is the one that was trained.
        if is_same_code and canonical(attrs.get("hyperparameters", {})) == wanted:
            return trial
    return None
