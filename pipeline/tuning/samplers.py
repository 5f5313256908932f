"""Samplers by name; all of them are Optuna's.

A sampler is built anew for every trial, seeded by the trial's logical index: what is proposed then
depends on the seed and on the finished trials, not on how often the search was interrupted.
To add one, register a function below.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.registry import Registry
from pipeline.seeds import derive_seed

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

SAMPLERS: Registry[Callable[[int, int, int], BaseSampler]] = Registry("sampler")


@SAMPLERS.register("tpe")
def tpe(seed: int, index: int, target: int) -> BaseSampler:
    """Tree-structured Parzen estimator, jointly over the hyperparameters that exist together.

    Random for the first quarter of the target, at most 10 trials.

    Reference: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization, section 4; the
    joint form: Falkner et al. 2018 (BOHB), arXiv:1807.01774, section 3.2.
    """
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import TPESampler

    with warnings.catch_warnings():
        # group=True is what makes the joint form work with conditional hyperparameters.
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(
            seed=derive_seed(seed, "sampler", index),
            n_startup_trials=max(1, min(10, target // 4)),
            multivariate=True,
            group=True,
        )


@SAMPLERS.register("random")
def random(seed: int, index: int, target: int) -> BaseSampler:
    """Independent uniform draws: the baseline of Bergstra and Bengio 2012, JMLR 13."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=derive_seed(seed, "sampler", index))


@SAMPLERS.register("qmc")
def qmc(seed: int, index: int, target: int) -> BaseSampler:
    """A scrambled Sobol sequence: spreads more evenly than random draws."""
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import QMCSampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        # One seed for all trials: the sequence continues by the count kept in the study.
        return QMCSampler(
            seed=derive_seed(seed, "sampler"),
            scramble=True,
            warn_asynchronous_seeding=False,
            warn_independent_sampling=False,
        )


def build_sampler(name: str, *, seed: int, index: int, target: int) -> BaseSampler:
    """Builds the sampler that proposes one trial.

    Args:
        name: A key of `SAMPLERS`.
        seed: `search.seed`.
        index: The trial's logical index, >= 0; retries share it.
        target: `search.trials`, >= 1.

    Raises:
        ConfigError: If `name` is unknown.
    """
    return SAMPLERS.get(name)(seed, index, target)
