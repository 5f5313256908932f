"""From `search.executor` in `params.yaml` to what runs the trials."""

from pipeline.errors import ConfigError
from pipeline.search.between_sections import RAY_IS_MISSING
from pipeline.search.executors.base import Executor, Train
from pipeline.search.executors.local import LocalExecutor, prepare
from pipeline.search.sections import SearchParams


def prepare_executor(params: SearchParams) -> None:
    """Begins to import what workers of this machine need, while the caller opens its stores.

    Args:
        params: Section `search`.
    """
    if params.executor == "local":
        prepare()


def build_executor(params: SearchParams, *, train: Train | None = None) -> Executor:
    """Returns the executor that `params.yaml` asks for, to be used as a context manager.

    Args:
        params: Section `search`.
        train: The worker function, importable by name; `training.worker.run_trial` unless given.

    Raises:
        ConfigError: If Ray is asked for and is not installed, or its cluster cannot be used.
    """
    if params.executor == "local":
        return LocalExecutor(
            params.num_workers, trial_timeout_seconds=params.trial_timeout, train=train
        )
    try:
        from pipeline.search.executors.ray import RayExecutor
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ConfigError(f"search.executor: {RAY_IS_MISSING}") from None
    return RayExecutor(
        params.ray.address,
        max_trials=None if params.workers == "auto" else params.workers,
        num_cpus=params.ray.num_cpus,
        num_gpus=params.ray.num_gpus,
        trial_timeout_seconds=params.trial_timeout,
        train=train,
    )
