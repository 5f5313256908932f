"""Optuna's grid sampler, for a search that is ended by its target and begins with a queue."""

from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import GridSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class TargetedGridSampler(GridSampler):  # type: ignore[misc]
    """Differs where Optuna's counts on `study.optimize` and on an empty queue."""

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        if "grid_id" not in trial.system_attrs:
            # A queued trial has no place in the grid; what it leaves open is drawn from the grid.
            values = self._search_space[param_name]
            return values[int(self._rng.rng.randint(len(values)))]
        return super().sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Does nothing: Optuna's calls `study.stop`, which is an error outside `optimize`."""
