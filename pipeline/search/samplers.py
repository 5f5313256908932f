"""Samplers by name; all of them are Optuna's.

A sampler is built anew for every trial, seeded by the trial's logical index: what is proposed then
depends on the seed and on the finished trials, not on how often the search was interrupted.
To add one, register a function below.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError
from pipeline.registry import Registry
from pipeline.search.space import SearchSpace
from pipeline.seeds import derive_seed

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@dataclass(frozen=True, kw_only=True)
class SamplerContext:
    """The trial that a sampler is built for.

    Attributes:
        seed: `search.seed`.
        index: The trial's logical index, >= 0; retries share it.
        target: `search.trials`, >= 1; None: as many as there is time for.
        space: Of the study.
    """

    seed: int
    index: int
    target: int | None
    space: SearchSpace

    @property
    def num_startup(self) -> int:
        """Trials that are drawn at random first: a quarter of the target, 1 to 10."""
        return 10 if self.target is None else max(1, min(10, self.target // 4))

    @property
    def own_seed(self) -> int:
        """A seed that no other trial's sampler has."""
        return derive_seed(self.seed, "sampler", self.index)

    @property
    def shared_seed(self) -> int:
        """A seed for samplers that go through one sequence over all trials."""
        return derive_seed(self.seed, "sampler")


LEARN_FROM_STOPPED = ("tpe",)
LEARN_FROM_WHOLE = ("cmaes", "gp")

# Optuna's grid sampler lists all combinations in memory; no search tries so many.
LARGEST_GRID = 100_000

SAMPLERS: Registry[Callable[[SamplerContext], BaseSampler]] = Registry("sampler")


@SAMPLERS.register("tpe")
def tpe(context: SamplerContext) -> BaseSampler:
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
            seed=context.own_seed,
            n_startup_trials=context.num_startup,
            multivariate=True,
            group=True,
        )


@SAMPLERS.register("random")
def random(context: SamplerContext) -> BaseSampler:
    """Independent uniform draws: the baseline of Bergstra and Bengio 2012, JMLR 13."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=context.own_seed)


@SAMPLERS.register("qmc")
def qmc(context: SamplerContext) -> BaseSampler:
    """A scrambled Sobol sequence: spreads more evenly than random draws.

    What the first trial did not have, since a choice switched it off, is drawn at random.
    """
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import QMCSampler, RandomSampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        # One seed for all trials: the sequence continues by the count kept in the study.
        return QMCSampler(
            seed=context.shared_seed,
            scramble=True,
            # Built anew for every trial, Optuna's own would draw the same number each time.
            independent_sampler=RandomSampler(seed=context.own_seed),
            warn_asynchronous_seeding=False,
            warn_independent_sampling=False,
        )


@SAMPLERS.register("cmaes")
def cmaes(context: SamplerContext) -> BaseSampler:
    """Covariance matrix adaptation over the numbers; choices are drawn at random.

    Good where few numbers matter and trials are many: it learns from complete trials alone.

    Reference: Hansen 2016, The CMA Evolution Strategy: A Tutorial, arXiv:1604.00772.
    """
    from optuna.samplers import CmaEsSampler

    return CmaEsSampler(
        seed=context.own_seed,
        n_startup_trials=context.num_startup,
        warn_independent_sampling=False,
    )


@SAMPLERS.register("gp")
def gp(context: SamplerContext) -> BaseSampler:
    """A Gaussian process with expected improvement; needs PyTorch, which is not installed here."""
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import GPSampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return GPSampler(seed=context.own_seed, n_startup_trials=context.num_startup)


@SAMPLERS.register("grid")
def grid(context: SamplerContext) -> BaseSampler:
    """Every combination once, in a shuffled order that the seed decides.

    Combinations that differ only in what another choice switches off are the same configuration;
    they are told apart by nothing, and `search.duplicates: reuse` trains them once. Those that
    unfreeze more than there is below their cut are left out.
    """
    from pipeline.search.grid import TargetedGridSampler

    return TargetedGridSampler(
        {name: setting.grid() or [] for name, setting in context.space.searched.items()},
        seed=context.shared_seed,
        own_seed=context.own_seed,
        allows=context.space.allows,
    )


def rungs_problem(name: str, num_rungs: int) -> str | None:
    """Says why a sampler cannot work with a study that has rungs, or None.

    Args:
        name: A key of `SAMPLERS`.
        num_rungs: `search.rungs`.
    """
    if num_rungs == 1 or name not in LEARN_FROM_WHOLE:
        return None
    return (
        f"sampler {name} learns from whole trainings alone, of which a study with rungs has few. "
        f"Received: rungs={num_rungs}. Set search.rungs to 1, or choose tpe."
    )


def sampler_problem(name: object, space: SearchSpace) -> str | None:
    """Says why a sampler cannot work with this space, or without a library; None if it can.

    Args:
        name: A key of `SAMPLERS`; of any other, nothing is said.
        space: Of the study.
    """
    if name == "gp" and importlib.util.find_spec("torch") is None:
        return (
            "search.sampler gp needs PyTorch, which Optuna's Gaussian process is written in. "
            "Received: search.sampler='gp'. Run `pip install torch`, or choose tpe."
        )
    if name != "grid":
        return None
    values = {name: setting.grid() for name, setting in space.searched.items()}
    endless = [name for name, found in values.items() if found is None]
    if endless:
        return (
            "search.sampler grid needs a `step` or choices for every hyperparameter. Received: "
            f"{', '.join(endless)} without one. Add `step`, or choose random or qmc."
        )
    count = math.prod(len(found or []) for found in values.values())
    if count > LARGEST_GRID:
        return (
            f"search.sampler grid takes at most {LARGEST_GRID} combinations. Received: {count} of "
            f"{', '.join(values)}. Search fewer values, or choose random or qmc."
        )
    return None


def build_sampler(
    name: str,
    *,
    seed: int,
    index: int,
    target: int | None,
    space: SearchSpace,
    has_rungs: bool = False,
) -> BaseSampler:
    """Builds the sampler that proposes one trial.

    Args:
        name: A key of `SAMPLERS`.
        seed: `search.seed`.
        index: The trial's logical index, >= 0; retries share it.
        target: `search.trials`, >= 1; None: as many as there is time for.
        space: Of the study.
        has_rungs: Whether the study's trials are of different rungs, and TPE is to learn of each
            configuration once, by its highest.

    Raises:
        ConfigError: If `name` is unknown, or cannot work with this space or without a library.
    """
    problem = sampler_problem(name, space)
    if problem is not None:
        raise ConfigError(problem)
    context = SamplerContext(seed=seed, index=index, target=target, space=space)
    sampler = SAMPLERS.get(name)(context)
    if not has_rungs or name not in LEARN_FROM_STOPPED:
        return sampler
    from pipeline.search.views import OverRungs

    return OverRungs(sampler)
