"""The best trials of a study, trained again with seeds that no search has used.

A search picks the largest of many noisy values, so its best value flatters. Here the best few are
trained over several seeds and judged on a part that no search has seen.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import StudyError
from pipeline.evaluation.metrics import ObjectiveSpec
from pipeline.evaluation.significance import mean_interval
from pipeline.seeds import derive_seed
from pipeline.tuning.driver import Recorder, run_summary
from pipeline.tuning.executors.base import EpochDone, Executor, TrialDone, TrialLost, TrialRaised
from pipeline.tuning.records import DataReference, TrialResult, TrialSpec
from pipeline.tuning.study import TrialDict

if TYPE_CHECKING:
    from collections.abc import Callable

PART = "confirmation"
EXPORT_RULE = "of the winner's seeds, the one with the best validation value"


@dataclass(frozen=True)
class Candidate:
    """A configuration and its trainings.

    Attributes:
        trial: The trial of the search that it comes from.
        specs: One training per seed.
    """

    trial: TrialDict
    specs: tuple[TrialSpec, ...]


def top_trials(trials: Sequence[TrialDict], direction: str, top: int) -> list[TrialDict]:
    """Returns the best complete trials, best first, each configuration once."""
    sign = -1.0 if direction == "maximize" else 1.0
    complete = [trial for trial in trials if trial["state"] == "COMPLETE"]
    ranked = sorted(complete, key=lambda trial: (sign * trial["value"], trial["number"]))
    distinct: list[TrialDict] = []
    for trial in ranked:
        if all(trial["hyperparameters"] != kept["hyperparameters"] for kept in distinct):
            distinct.append(trial)
    return distinct[:top]


def candidates(
    study: Mapping[str, Any], *, top: int, seeds: int, epochs: int, root_seed: int, folder: str
) -> list[Candidate]:
    """Plans the trainings: the same seeds for every configuration, so that they compare in pairs.

    Args:
        study: `study.json`.
        top: Configurations, >= 1.
        seeds: Trainings of each, >= 1.
        epochs: Most epochs of each, as in the search.
        root_seed: `search.seed`; the seeds are derived from it.
        folder: Where the trained models go.
    """
    drawn = [derive_seed(root_seed, "confirm", position) for position in range(seeds)]
    return [
        Candidate(
            trial,
            tuple(_spec(study, trial, seed=seed, epochs=epochs, folder=folder) for seed in drawn),
        )
        for trial in top_trials(study["trials"], study["direction"], top)
    ]


def _spec(
    study: Mapping[str, Any], trial: TrialDict, *, seed: int, epochs: int, folder: str
) -> TrialSpec:
    uid = f"{study['identity'][:12]}-confirm-{trial['number']:04d}-{seed}"
    return TrialSpec(
        uid=uid,
        hyperparameters=trial["hyperparameters"],
        seed=seed,
        epochs=epochs,
        objective=study["objective"],
        judge=PART,
        model_file=f"{folder}/{uid}.keras",
    )


class Confirmation:
    """Trains every candidate over its seeds.

    Args:
        executor: Where they are trained.
        recorder: Where they are mirrored.
        data: What they are trained on.
        max_retries: How often a lost training is tried again, >= 0.
        on_done: Called after each training.
    """

    def __init__(
        self,
        executor: Executor,
        recorder: Recorder,
        data: DataReference,
        *,
        max_retries: int,
        on_done: Callable[[], None],
    ) -> None:
        self._executor = executor
        self._recorder = recorder
        self._data = data
        self._max_retries = max_retries
        self._on_done = on_done
        self._numbers: dict[str, int] = {}
        self._specs: dict[str, TrialSpec] = {}
        self._attempts: dict[str, int] = {}
        self._results: dict[str, TrialResult] = {}

    def run(self, planned: Sequence[Candidate]) -> dict[str, TrialResult]:
        """Returns the result of each training by its uid.

        Raises:
            StudyError: If a training fails, or is lost more often than it may be.
        """
        for candidate in planned:
            for spec in candidate.specs:
                self._specs[spec.uid] = spec
                self._numbers[spec.uid] = candidate.trial["number"]
        waiting = list(self._specs)
        while len(self._results) < len(self._specs):
            while waiting and self._executor.num_free:
                self._start(waiting.pop(0))
            for event in self._executor.wait(timeout_seconds=0.5):
                if isinstance(event, EpochDone):
                    self._executor.answer(event.uid, stop=False)
                    now = int(time.time() * 1000)
                    self._recorder.log_epoch(event.uid, event.record, at_ms=now)
                elif isinstance(event, TrialDone):
                    self._finish(event.uid, event.result)
                else:
                    waiting.append(self._fail(event))
        return self._results

    def _start(self, uid: str) -> None:
        spec = self._specs[uid]
        attempt = self._attempts.setdefault(uid, 0)
        tags = {"role": "confirm", "seed": str(spec.seed), "attempt": str(attempt)}
        self._recorder.start_trial(
            uid, number=self._numbers[uid], hyperparameters=spec.hyperparameters, tags=tags
        )
        self._executor.submit(spec, self._data)

    def _finish(self, uid: str, result: TrialResult) -> None:
        self._results[uid] = result
        value = result.metrics.get(self._specs[uid].objective)
        self._recorder.end_trial(
            uid,
            "COMPLETE",
            value=value,
            metrics=run_summary(result),
            tags={"outcome": result.outcome},
            traceback=None,
        )
        self._on_done()

    def _fail(self, event: TrialRaised | TrialLost) -> str:
        is_lost = isinstance(event, TrialLost)
        reason = event.reason if isinstance(event, TrialLost) else event.message
        trace = None if isinstance(event, TrialLost) else event.traceback
        self._recorder.end_trial(
            event.uid, "FAIL", value=None, metrics={}, tags={"reason": reason}, traceback=trace
        )
        self._attempts[event.uid] += 1
        if not is_lost or self._attempts[event.uid] > self._max_retries:
            raise StudyError(f"A confirmation training failed: {reason}.")
        return event.uid


def judge(
    planned: Sequence[Candidate], results: Mapping[str, TrialResult], objective: ObjectiveSpec
) -> list[dict[str, Any]]:
    """Returns what each configuration reached on the confirmation part, in the order of `planned`.

    Raises:
        StudyError: If a training diverged before it had any epoch to keep.
    """
    metric = objective.metric_on(PART)
    judged = []
    for candidate in planned:
        found = [results[spec.uid] for spec in candidate.specs]
        if any(metric not in result.metrics for result in found):
            raise StudyError(
                f"Trial {candidate.trial['number']} diverges with other seeds. Lower the learning "
                "rates in its space, or choose more candidates in confirm.top."
            )
        values = [result.metrics[metric] for result in found]
        interval = mean_interval(values)
        judged.append(
            {
                "number": candidate.trial["number"],
                "hyperparameters": candidate.trial["hyperparameters"],
                "search_value": candidate.trial["value"],
                "seeds": [spec.seed for spec in candidate.specs],
                "values": values,
                "mean": interval.mean,
                "std": interval.std,
                "low": interval.low,
                "high": interval.high,
                "num_seeds": len(values),
            }
        )
    return judged


def choose(
    judged: Sequence[Mapping[str, Any]],
    planned: Sequence[Candidate],
    results: Mapping[str, TrialResult],
    objective: ObjectiveSpec,
) -> tuple[dict[str, Any], TrialSpec]:
    """Returns the winner by its mean, and the training whose weights are exported.

    The exported seed is chosen by its validation value, not by its confirmation value, so that the
    latter stays an estimate that nothing was selected by but the configuration.
    """
    sign = -1.0 if objective.direction == "maximize" else 1.0
    position = min(range(len(judged)), key=lambda p: (sign * judged[p]["mean"], p))
    spec = min(
        planned[position].specs,
        key=lambda spec: sign * results[spec.uid].metrics[objective.metric],
    )
    metrics = results[spec.uid].metrics
    winner = {
        **{key: judged[position][key] for key in judged[position] if key not in ("seeds",)},
        "seed": spec.seed,
        "metrics": {
            "accuracy": metrics[f"{PART}_accuracy"],
            "log_loss": metrics[f"{PART}_loss"],
            "macro_f1": metrics[f"{PART}_macro_f1"],
        },
    }
    return winner, spec
