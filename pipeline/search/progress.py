"""The live line of a search: trials by state, best so far, time left."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import TextIO

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


class Progress:
    """Says how far a search is: a line that is rewritten or, without a terminal, one a trial.

    Args:
        target: Configurations wanted; None: as many as there is time for.
        maximize: Whether larger values are better.
        states: States of the trials that are there already, of each the first of its configuration.
        promoted: States of those that went on from a lower rung.
        best: Best value among those of the highest rung that any has ended on.
        best_rung: Which that is, counted from 0; None where a study has no rungs.
        limit_seconds: When the search ends whatever its target, or None.
        stream: Where the line goes.
    """

    def __init__(
        self,
        target: int | None,
        *,
        maximize: bool,
        states: Sequence[str],
        best: float | None,
        promoted: Sequence[str] = (),
        best_rung: int | None = None,
        limit_seconds: float | None = None,
        stream: TextIO = sys.stderr,
    ) -> None:
        self._target = target
        self._maximize = maximize
        self._counts = Counter(states)
        self._promoted = Counter(promoted)
        self._best = best
        self._best_rung = best_rung
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._started = time.monotonic()
        self._ends = None if limit_seconds is None else self._started + limit_seconds
        self._num_before = self._num_finished()
        self._num_running = 0

    def _num_finished(self) -> int:
        return self._counts["COMPLETE"] + self._counts["PRUNED"]

    def trial_ended(self, state: str, value: float | None, *, rung: int | None = None) -> None:
        """Takes note of a trial's end.

        Args:
            state: As Optuna calls it.
            value: The objective it reached, or None.
            rung: Where, counted from 0; None where a study has no rungs.
        """
        (self._promoted if rung else self._counts)[state] += 1
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
            return "no end" if left is None else f"{duration(left)} left"
        done = self._num_finished() - self._num_before
        if not done:
            return "time left unknown"
        rate = (time.monotonic() - self._started) / done
        wanted = rate * max(0, self._target - self._num_finished())
        return f"{duration(wanted if left is None else min(left, wanted))} left"
