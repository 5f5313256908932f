"""How far a search is: trials by state and rung, best so far, rate, time left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pipeline.durations import at_most, left
from pipeline.plural import plural
from pipeline.search.rungs import Ladder, work_left
from pipeline.trials.pace import time_left
from pipeline.trials.ranking import best_trial
from pipeline.trials.record import CUT_OFF, FINISHED, TrialRecord

NUM_RECENT: Final = 20
"""Trainings of which the rate is told."""


@dataclass(frozen=True, kw_only=True)
class SearchState:
    """What is shown of a search.

    Attributes:
        target: Configurations wanted; None: as many as there is time for.
        shares: What each rung gives of a whole training, lowest first; one: there are no rungs.
        counts: Trials by state, or `CUT_OFF`, without those that went on from a rung.
        promoted: The same of those that did.
        finished: Trainings that gave a result, by rung.
        num_running: Trials that are being trained.
        best: The best value, of the highest rung that any complete trial has reached.
        best_rung: That rung, counted from 0.
        untimed: What each training was given that gave a result without taking time of this
            search: those before it, and copies.
        ended_at: When each other one ended, seconds of `time.monotonic`, rising.
        trained: What each of these was given of a whole training.
        began: When this search began, of the same clock.
        ends: When it must end whatever its target, or None.
    """

    target: int | None
    shares: Sequence[float]
    counts: Mapping[str, int]
    promoted: Mapping[str, int]
    finished: Sequence[int]
    num_running: int = 0
    best: float | None = None
    best_rung: int = 0
    untimed: tuple[float, ...] = ()
    ended_at: tuple[float, ...] = ()
    trained: tuple[float, ...] = ()
    began: float
    ends: float | None

    @property
    def num_finished(self) -> int:
        """Configurations that gave a result."""
        return sum(self.counts.get(state, 0) for state in FINISHED)


def search_lines(state: SearchState, now: float) -> list[str]:
    """Returns how far a search is, in a few lines.

    Args:
        state: The search.
        now: Seconds of `time.monotonic`.
    """
    both = Counter(state.counts) + Counter(state.promoted)
    promoted = sum(state.promoted.get(one, 0) for one in FINISHED)
    done = (
        plural(state.num_finished, "trial")
        if state.target is None
        else f"{state.num_finished}/{plural(state.target, 'trial')}"
    )
    on = f" and {promoted} promoted" if promoted else ""
    cut_off = f", {both[CUT_OFF]} cut off" if both[CUT_OFF] else ""
    first = (
        f"{done}{on} done, {state.num_running} running, "
        f"{both['PRUNED']} pruned, {both['FAIL']} failed{cut_off}"
    )
    rungs = [_rungs(state)] if len(state.shares) > 1 and any(state.finished) else []
    return [first, *rungs, ", ".join([_best(state), *_rate(state, now), _time_left(state, now)])]


def _rungs(state: SearchState) -> str:
    names = [_rung_name(share) for share in state.shares]
    return ", ".join(
        f"{count} {name}" for name, count in zip(names, state.finished, strict=True) if count
    )


def _rung_name(share: float) -> str:
    parts = round(1 / share)
    return "whole" if parts == 1 else f"by 1/{parts}"


def _best(state: SearchState) -> str:
    if state.best is None:
        return "best -"
    on = f" ({_rung_name(state.shares[state.best_rung])})" if len(state.shares) > 1 else ""
    return f"best {state.best:.4f}{on}"


def _rate(state: SearchState, now: float) -> list[str]:
    recent = state.ended_at[-NUM_RECENT:]
    since = [state.began, *state.ended_at][-len(recent) - 1]
    if not recent or now <= since:
        return []
    return [f"{60 * len(recent) / (now - since):.1f} trainings a minute"]


def _time_left(state: SearchState, now: float) -> str:
    most = None if state.ends is None else max(0.0, state.ends - now)
    if state.target is None:
        return "no end" if most is None else at_most(most)
    found = time_left(
        state.ended_at,
        state.trained,
        began=state.began,
        now=now,
        left=work_left(
            state.target,
            len(state.shares),
            [*state.untimed, *state.trained],
            num_configurations=state.num_finished,
        ),
    )
    if found is None:
        return "time left unknown" if most is None else at_most(most)
    return left(*found, most=most)


class Progress:
    """Keeps the state of a search that goes on, to be shown: see `pipeline.steps`.

    Args:
        target: Configurations wanted; None: as many as there is time for.
        direction: Where better lies, in Optuna's words.
        trials: Those that are there already.
        num_rungs: Of successive halving; 1: every training is whole.
        limit_seconds: When the search ends whatever its target, or None.
    """

    def __init__(
        self,
        target: int | None,
        *,
        direction: str,
        trials: Sequence[TrialRecord] = (),
        num_rungs: int = 1,
        limit_seconds: float | None = None,
    ) -> None:
        self._maximize = direction == "maximize"
        ladder, began = Ladder(num_rungs, max_retries=0), time.monotonic()
        best = best_trial(trials, direction)
        rungs = Counter(ladder.rung_of(one.share) for one in trials if one.is_finished)
        # Replaced and never changed: whoever shows it looks from another thread.
        self.state = SearchState(
            target=target,
            shares=ladder.shares,
            counts=Counter(one.ending for one in trials if one.promoted_from is None),
            promoted=Counter(one.ending for one in trials if one.promoted_from is not None),
            finished=[rungs[rung] for rung in range(num_rungs)],
            best=best.value if best else None,
            best_rung=ladder.rung_of(best.share) if best else 0,
            untimed=tuple(one.share for one in trials if one.is_finished),
            began=began,
            ends=None if limit_seconds is None else began + limit_seconds,
        )

    def trial_ended(
        self, state: str, value: float | None, *, rung: int | None = None, is_copy: bool = False
    ) -> None:
        """Takes note of a trial's end.

        Args:
            state: As Optuna calls it, or `CUT_OFF`.
            value: The objective it reached, or None.
            rung: Where, counted from 0; None where a study has no rungs.
            is_copy: Whether it was given the result of another, which took no time.
        """
        before, at = self.state, rung or 0
        share = before.shares[at]
        if at:
            changed = replace(before, promoted=Counter(before.promoted) + Counter([state]))
        else:
            changed = replace(before, counts=Counter(before.counts) + Counter([state]))
        if state in FINISHED:
            finished = [count + (own == at) for own, count in enumerate(before.finished)]
            changed = replace(changed, finished=finished)
        if state in FINISHED and is_copy:
            changed = replace(changed, untimed=(*before.untimed, share))
        elif state in FINISHED:
            ended_at = (*before.ended_at, time.monotonic())
            changed = replace(changed, ended_at=ended_at, trained=(*before.trained, share))
        if state == "COMPLETE" and value is not None:
            changed = self._with_best(changed, value, at)
        self.state = replace(changed, num_running=max(0, before.num_running - 1))

    def _with_best(self, state: SearchState, value: float, rung: int) -> SearchState:
        # Values of different rungs do not compare.
        if state.best is None or rung > state.best_rung:
            return replace(state, best=value, best_rung=rung)
        if rung == state.best_rung:
            better = max if self._maximize else min
            return replace(state, best=better(value, state.best))
        return state

    def running(self, num_running: int) -> None:
        """Takes note of how many trials are being trained."""
        if num_running != self.state.num_running:
            self.state = replace(self.state, num_running=num_running)

    def lines(self, now: float) -> list[str]:
        """Returns how far it is: see `search_lines`."""
        return search_lines(self.state, now)

    def line(self) -> str:
        """Returns how far it is at present, in one line."""
        return "; ".join(self.lines(time.monotonic()))

    def outcome(self) -> str:
        """Returns what came of it, in one line."""
        *counts, _ = self.lines(time.monotonic())
        return "; ".join([*counts, _best(self.state)])
