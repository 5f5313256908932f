"""The live line of a search: trials by state, best so far, time left."""

import logging
import sys
import time
from collections import Counter
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
        target: Finished trials wanted.
        maximize: Whether larger values are better.
        states: States of the trials that are there already.
        best: Best value among them.
        stream: Where the line goes.
    """

    def __init__(
        self,
        target: int,
        *,
        maximize: bool,
        states: list[str],
        best: float | None,
        stream: TextIO = sys.stderr,
    ) -> None:
        self._target = target
        self._maximize = maximize
        self._counts = Counter(states)
        self._best = best
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._started = time.monotonic()
        self._num_before = self._num_finished()
        self._num_running = 0

    def _num_finished(self) -> int:
        return self._counts["COMPLETE"] + self._counts["PRUNED"]

    def trial_ended(self, state: str, value: float | None) -> None:
        """Takes note of a trial's end."""
        self._counts[state] += 1
        if state == "COMPLETE" and value is not None:
            known = [value] if self._best is None else [value, self._best]
            self._best = max(known) if self._maximize else min(known)
        self._num_running = max(0, self._num_running - 1)
        if not self._is_terminal:
            logger.info("%s", self.line())

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
        return (
            f"{self._num_finished()}/{self._target} trials done, {self._num_running} running, "
            f"{self._counts['PRUNED']} pruned, {self._counts['FAIL']} failed, best {best}, "
            f"{self._time_left()}"
        )

    def _time_left(self) -> str:
        done = self._num_finished() - self._num_before
        if not done:
            return "time left unknown"
        rate = (time.monotonic() - self._started) / done
        return f"{duration(rate * max(0, self._target - self._num_finished()))} left"
