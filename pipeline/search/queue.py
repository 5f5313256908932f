"""A user's own trial: put into a study's queue, where a search takes it before it samples more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipeline.hyperparameter import Value
from pipeline.trials.record import TrialRecord, canonical

if TYPE_CHECKING:
    from optuna.study import Study


@dataclass(frozen=True)
class Match:
    """A trial of the study that is the same configuration already.

    Attributes:
        trial: The trial.
        kind: `queued`: it waits or runs; `tried`: it is finished.
    """

    trial: TrialRecord
    kind: Literal["queued", "tried"]


def find_match(
    trials: Sequence[TrialRecord],
    configuration: Mapping[str, Value],
    hyperparameters: Mapping[str, Value] | None,
    *,
    code: str,
) -> Match | None:
    """Returns the trial that a configuration would repeat: a queued one first, or None.

    Args:
        trials: All trials of a study.
        configuration: As from `configurations.normalized`.
        hyperparameters: As from `configurations.completed`: where a sampler adds some, a finished
            trial of the same beginning is another trial.
        code: As from `identity.training_code`: what other code made of it is no answer.
    """
    for trial in trials:
        if trial.is_open and _is_same(trial, configuration, hyperparameters):
            return Match(trial, "queued")
    if hyperparameters is None:
        return None
    tried = [
        trial
        for trial in trials
        if trial.is_finished
        and trial.attributes.get("code_sha256") == code
        and canonical(trial.hyperparameters) == canonical(hyperparameters)
    ]
    # The largest part of a training says most.
    return Match(max(tried, key=lambda trial: trial.share), "tried") if tried else None


def enqueue(study: Study, configuration: Mapping[str, Value]) -> int:
    """Puts a checked configuration into the queue, also while the study is searched.

    Returns:
        The number of the new trial.
    """
    num_before = len(study.get_trials(deepcopy=False))
    study.enqueue_trial(dict(configuration), user_attrs={"enqueued": canonical(configuration)})
    # Optuna does not say which it is, and a search may be adding trials meanwhile.
    added = study.get_trials(deepcopy=False)[num_before:]
    wanted = dict(configuration)
    return int(next(t.number for t in added if t.system_attrs.get("fixed_params") == wanted))


def num_wanted(trials: Sequence[TrialRecord]) -> int:
    """Returns the target at which every configuration that runs or waits now will be tried."""
    configurations = [trial for trial in trials if trial.promoted_from is None]
    return sum(trial.is_finished or trial.is_open for trial in configurations)


def _is_same(
    trial: TrialRecord,
    configuration: Mapping[str, Value],
    hyperparameters: Mapping[str, Value] | None,
) -> bool:
    if hyperparameters is not None and trial.hyperparameters:
        return canonical(trial.hyperparameters) == canonical(hyperparameters)
    return canonical(trial.queued) == canonical(configuration)


def close_orphans(study: Study, *, max_retries: int, reason: str) -> list[int]:
    """Ends every RUNNING trial as FAIL and queues its hyperparameters again.

    Only the holder of the study's lock may call this: then nobody can be running them. A crash
    between the two steps is repaired by the next call.

    Returns:
        The numbers of the trials that were ended.
    """
    from optuna.trial import TrialState

    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in running:
        fail_trial(study, trial.number, reason=reason, retry="free")
    retry_failed(study, max_retries=max_retries)
    return [trial.number for trial in running]


def retire(study: Study) -> None:
    """Ends what a killed search left RUNNING in a study that nobody will search again.

    Its hyperparameters wait in the study, for a search of the same space that comes back.
    """
    close_orphans(study, max_retries=0, reason="the search was killed")


def fail_trial(
    study: Study, number: int, *, reason: str, retry: Literal["no", "counted", "free"]
) -> None:
    """Ends a running trial as FAIL.

    Args:
        study: Its study.
        number: Its number.
        reason: What happened, in one line.
        retry: `counted`: try again, at most `max_retries` times, since the trial itself may be
            what kills its worker; `free`: the search was interrupted, which is nobody's fault.
    """
    from optuna.trial import TrialState

    trial_id = study.get_trials(deepcopy=False)[number]._trial_id
    study._storage.set_trial_user_attr(trial_id, "reason", reason)
    study._storage.set_trial_user_attr(trial_id, "retry", retry)
    study.tell(number, state=TrialState.FAIL)


def retry_failed(study: Study, *, max_retries: int) -> None:
    """Queues every retriable failed trial that has no successor yet, as a new trial.

    Not one that was promoted: its rung promotes the configuration again, as soon as it has room.

    A trial killed right after it was asked for has only `fixed_params`, its place in a grid, or
    nothing at all: then its successor is sampled anew under the same logical index.
    """
    from optuna.trial import TrialState, create_trial

    trials = study.get_trials(deepcopy=False)
    retried = {trial.user_attrs.get("retry_of") for trial in trials}
    for trial in trials:
        retry = trial.user_attrs.get("retry", "no")
        attempt = int(trial.user_attrs.get("attempt", 0)) + (retry == "counted")
        is_promoted = "promoted_from" in trial.user_attrs
        is_open = trial.state.name == "FAIL" and not is_promoted and trial.number not in retried
        if not is_open or retry == "no" or attempt > max_retries:
            continue
        params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        if trial.user_attrs.get("is_frozen"):
            params["unfreeze"] = 0
        fixed = {"fixed_params": params} if params else {}
        kept = _kept(trial.user_attrs, "enqueued", "index")
        # As `study.enqueue_trial` does, which cannot keep the place in a grid.
        study.add_trial(
            create_trial(
                state=TrialState.WAITING,
                system_attrs={**fixed, **_kept(trial.system_attrs, "grid_id", "search_space")},
                user_attrs={**kept, "retry_of": trial.number, "attempt": attempt},
            )
        )


def _kept(attrs: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: attrs[name] for name in names if name in attrs}


def enqueue_missing(study: Study, configurations: list[dict[str, Value]]) -> None:
    """Queues the configurations of `studies.NAME.enqueue` that were not queued yet."""
    queued = {trial.user_attrs.get("enqueued") for trial in study.get_trials(deepcopy=False)}
    for params in configurations:
        key = canonical(params)
        if key not in queued:
            study.enqueue_trial(params, user_attrs={"enqueued": key})
