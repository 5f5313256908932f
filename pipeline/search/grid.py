"""Optuna's grid sampler, for a search that is ended by its target and begins with a queue."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import GridSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class TargetedGridSampler(GridSampler):  # type: ignore[misc]
    """Differs where Optuna's counts on `study.optimize`, on an empty queue and on no kills.

    Args:
        search_space: The values of each hyperparameter.
        seed: Of the order of the combinations; the same for all trials.
        own_seed: Of what this trial draws, where it has no place in the grid.
        allows: Whether a combination can be tried; of the others the grid has none.
    """

    _all_grids: list[tuple[Any, ...]]

    def __init__(
        self,
        search_space: Mapping[str, Sequence[Any]],
        *,
        seed: int,
        own_seed: int,
        allows: Callable[[Mapping[str, Any]], bool] = lambda values: True,
    ) -> None:
        super().__init__(search_space, seed=seed)
        names = self._param_names
        self._all_grids = [
            values for values in self._all_grids if allows(dict(zip(names, values, strict=True)))
        ]
        self._n_min_trials = len(self._all_grids)
        self._draws = random.Random(own_seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Gives a trial the next combination in the order, unless it is queued with values.

        Optuna's goes by the trial's number, which a queue and retries use up.
        """
        if "grid_id" in trial.system_attrs or trial.system_attrs.get("fixed_params"):
            return
        unvisited = self._get_unvisited_grid_ids(study)
        grid_id = min(unvisited) if unvisited else self._draws.randrange(len(self._all_grids))
        for name, value in {"search_space": self._search_space, "grid_id": grid_id}.items():
            study._storage.set_trial_system_attr(trial._trial_id, name, value)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        if "grid_id" not in trial.system_attrs:
            # A queued trial has no place in the grid; what it leaves open is drawn from the grid,
            # as far as the range goes that is left beside what it says.
            values = self._search_space[param_name]
            return self._draws.choice([v for v in values if _holds(param_distribution, v)])
        return super().sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Does nothing: Optuna's calls `study.stop`, which is an error outside `optimize`."""


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    return bool(distribution._contains(distribution.to_internal_repr(value)))
