"""The live line of a search: trials by state, best so far, time left."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import TextIO

from pipeline.search.rungs import shares, work_left
from pipeline.trials.pace import time_left
from pipeline.trials.ranking import best_trial
from pipeline.trials.record import FINISHED, TrialRecord

logger = logging.getLogger(__name__)


def duration(seconds: float) -> str:
    """Returns a duration for people.

    >>> duration(75)
    '1:15'
    >>> duration(3675)
    '1:01:15'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def duration_range(low: float, high: float, *, most: float | None = None) -> str:
    """Returns a range of durations for people.

    Args:
        low: Seconds.
        high: Seconds.
        most: Seconds after which all is over in any case; None: no such limit.

    >>> duration_range(75, 130), duration_range(75, 130, most=100), duration_range(3, 3)
    ('1:15 to 2:10', '1:15 to 1:40', '0:03')
    """
    ends = [duration(one if most is None else min(one, most)) for one in (low, high)]
    return " to ".join(dict.fromkeys(ends))


class Progress:
    """Says how far a search is: a line that is rewritten or, without a terminal, one a trial.

    Args:
        target: Configurations wanted; None: as many as there is time for.
        direction: Where better lies, in Optuna's words.
        trials: Those that are there already.
        num_rungs: Of successive halving; 1: every training is whole.
        limit_seconds: When the search ends whatever its target, or None.
        stream: Where the line goes.
    """

    def __init__(
        self,
        target: int | None,
        *,
        direction: str,
        trials: Sequence[TrialRecord] = (),
        num_rungs: int = 1,
        limit_seconds: float | None = None,
        stream: TextIO = sys.stderr,
    ) -> None:
        self._target = target
        self._maximize = direction == "maximize"
        self._counts = Counter[str](one.state for one in trials if one.promoted_from is None)
        self._promoted = Counter[str](one.state for one in trials if one.promoted_from is not None)
        best = best_trial(trials, direction)
        self._best, self._best_rung = (best.value, best.rung) if best else (None, None)
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._shares = shares(num_rungs)
        # Of finished trainings that took no time of this search: those before it, and copies.
        self._untimed = [one.share for one in trials if one.is_finished]
        self._began = time.monotonic()
        self._ends = None if limit_seconds is None else self._began + limit_seconds
        self._ended_at: list[float] = []
        self._trained: list[float] = []
        self._num_running = 0

    def _num_finished(self) -> int:
        return self._counts["COMPLETE"] + self._counts["PRUNED"]

    def trial_ended(
        self, state: str, value: float | None, *, rung: int | None = None, is_copy: bool = False
    ) -> None:
        """Takes note of a trial's end.

        Args:
            state: As Optuna calls it.
            value: The objective it reached, or None.
            rung: Where, counted from 0; None where a study has no rungs.
            is_copy: Whether it was given the result of another, which took no time.
        """
        (self._promoted if rung else self._counts)[state] += 1
        if state in FINISHED and is_copy:
            self._untimed.append(self._shares[rung or 0])
        elif state in FINISHED:
            self._trained.append(self._shares[rung or 0])
            self._ended_at.append(time.monotonic())
        if state == "COMPLETE" and value is not None:
            self._keep_best(value, rung or 0)
        self._num_running = max(0, self._num_running - 1)
        if not self._is_terminal:
            logger.info("%s", self.line())

    def _keep_best(self, value: float, rung: int) -> None:
        # Values of different rungs do not compare.
        if self._best is None or rung > (self._best_rung or 0):
            self._best, self._best_rung = value, rung
        elif rung == (self._best_rung or 0):
            self._best = (max if self._maximize else min)(value, self._best)

    def show(self, *, num_running: int) -> None:
        """Rewrites the line, where a terminal looks."""
        self._num_running = num_running
        if self._is_terminal:
            self._stream.write(f"\r\x1b[K{self.line()}")
            self._stream.flush()

    def close(self) -> None:
        """Leaves the last line standing."""
        if self._is_terminal:
            self._stream.write("\n")

    def line(self) -> str:
        """Returns the line."""
        best = "-" if self._best is None else f"{self._best:.4f}"
        if self._best_rung:
            best += f" on rung {self._best_rung}"
        of = "" if self._target is None else f"/{self._target}"
        both = self._counts + self._promoted
        promoted = self._promoted["COMPLETE"] + self._promoted["PRUNED"]
        on = f" and {promoted} promoted" if promoted else ""
        return (
            f"{self._num_finished()}{of} trials{on} done, {self._num_running} running, "
            f"{both['PRUNED']} pruned, {both['FAIL']} failed, best {best}, {self._time_left()}"
        )

    def _time_left(self) -> str:
        left = None if self._ends is None else max(0.0, self._ends - time.monotonic())
        if self._target is None:
            return "no end" if left is None else f"at most {duration(left)} left"
        done = [*self._untimed, *self._trained]
        found = time_left(
            self._ended_at,
            self._trained,
            began=self._began,
            now=time.monotonic(),
            left=work_left(
                self._target,
                len(self._shares),
                done,
                num_configurations=self._num_finished(),
            ),
        )
        if found is None:
            return "time left unknown" if left is None else f"at most {duration(left)} left"
        return f"{duration_range(*found, most=left)} left"
