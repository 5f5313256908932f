"""What a sampler and a pruner of Optuna's see of a study that has rungs.

Values of different rungs do not compare: a poor configuration with all images beats a good one with
a ninth of them. Both classes here hand Optuna's own the study with some of its trials.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Container, Iterable
from typing import TYPE_CHECKING, Any, Final, cast

from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from pipeline.search.rungs import share_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

DIVERGED_STEP: Final = -(10**9)


class _View:
    """A study with some of its trials; all else is the study's own."""

    def __init__(
        self, study: Study, seen: Callable[[list[FrozenTrial]], Iterable[FrozenTrial]]
    ) -> None:
        self._viewed = study
        self._seen = seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._viewed, name)

    def get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        trials = self._seen(self._viewed.get_trials(deepcopy=deepcopy))
        return [trial for trial in trials if states is None or trial.state in states]

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        return self.get_trials(deepcopy, states)


def configurations(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Returns each configuration once: by the highest rung that it has finished.

    What ended below the top counts as stopped there, so that a sampler which prefers what was
    stopped later, as Optuna's TPE does, ranks by rung first and within a rung by value; what
    diverged counts as stopped before all others. (BOHB,
    arXiv:1807.01774, looks at one rung alone, the highest with enough trials: of a search of
    minutes that is the lowest almost to its end, and what the higher ones say is lost.)

    Args:
        trials: Of a study, by number.
    """
    gone_on = {trial.user_attrs.get("promoted_from") for trial in trials if _has_finished(trial)}
    return [
        _stopped(trial)
        for trial in trials
        if trial.number not in gone_on
        and (_has_finished(trial) or trial.user_attrs.get("promoted_from") is None)
    ]


def _has_finished(trial: FrozenTrial) -> bool:
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED)


def _stopped(trial: FrozenTrial) -> FrozenTrial:
    share = share_of(trial)
    is_pruned = trial.state == TrialState.PRUNED
    has_diverged = is_pruned and (share < 1.0 or trial.user_attrs.get("outcome") == "diverged")
    if not has_diverged and (share == 1.0 or not _has_finished(trial)):
        return trial
    stopped = copy.copy(trial)
    stopped.values = None
    stopped.state = TrialState.PRUNED
    # Before the first epoch of a whole training: one that was stopped in it has come further. One
    # without any value TPE would take for better than all of these.
    stopped.intermediate_values = (
        {DIVERGED_STEP: math.nan}
        if has_diverged
        else {-round(1 / share): float(trial.user_attrs["value"])}
    )
    return stopped


class OverRungs(BaseSampler):  # type: ignore[misc]
    """Lets a sampler learn from `configurations` instead of all trials.

    Args:
        sampler: Optuna's.
    """

    def __init__(self, sampler: BaseSampler) -> None:
        self._sampler = sampler

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        view = self._view(study)
        space: dict[str, BaseDistribution] = self._sampler.infer_relative_search_space(view, trial)
        return space

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, object]:
        view = self._view(study)
        drawn: dict[str, object] = self._sampler.sample_relative(view, trial, search_space)
        return drawn

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        view = self._view(study)
        return self._sampler.sample_independent(view, trial, param_name, param_distribution)

    def _view(self, study: Study) -> Study:
        return cast("Study", _View(study, configurations))


class WithinTop(BasePruner):  # type: ignore[misc]
    """Lets a pruner compare whole trainings with whole ones; the others are short as they are.

    Args:
        pruner: Optuna's.
    """

    def __init__(self, pruner: BasePruner) -> None:
        self._pruner = pruner

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        if share_of(trial) < 1.0:
            return False
        view = _View(study, lambda trials: [one for one in trials if share_of(one) == 1.0])
        return bool(self._pruner.prune(cast("Study", view), trial))
