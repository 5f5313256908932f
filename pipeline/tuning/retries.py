"""Trials that were cut off: ended as FAIL, and queued again as new trials that name them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from optuna.study import Study


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

    A trial killed right after it was asked for has only `fixed_params`, its place in a grid, or
    nothing at all: then its successor is sampled anew under the same logical index.
    """
    from optuna.trial import TrialState, create_trial

    trials = study.get_trials(deepcopy=False)
    retried = {trial.user_attrs.get("retry_of") for trial in trials}
    for trial in trials:
        retry = trial.user_attrs.get("retry", "no")
        attempt = int(trial.user_attrs.get("attempt", 0)) + (retry == "counted")
        is_open = trial.state.name == "FAIL" and trial.number not in retried
        if not is_open or retry == "no" or attempt > max_retries:
            continue
        params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
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
