"""What a stage is busy with, for whoever shows it; nothing here prints.

Code that takes long says so, and how far it is:

    with step("efficientnet_lite0", total=60_000, unit="images") as one:
        for batch in batches:
            ...
            one.advance(len(batch))

Whoever shows it (`pipeline.console`, around every stage) looks now and then. So what is shown
neither waits for the work nor holds it up.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar

from pipeline.durations import at_most, left

ENOUGH_SECONDS: Final = 4.0
"""Of work, from which on something is said of what is left."""
MARGIN: Final = 0.25
"""Of what is left, that a range is wider at both ends than the two rates that it comes from.

On a machine whose load doubled meanwhile 7 of 11 ranges of an embedding held the truth, and with a
tenth 5 (2026-11-30; one run, by which the margin was chosen)."""
RECENT: Final = 1 / 3
# Seconds between the points of time that are kept for the pace.
SAMPLE_SECONDS: Final = 0.25


T = TypeVar("T")


class Shown(Protocol):
    """Something that can be shown while it goes on."""

    def lines(self, now: float) -> Sequence[str]:
        """Returns how far it is, at least one line; called from another thread.

        Args:
            now: Seconds of `time.monotonic`.
        """


_shown: list[Shown] = []


def shown() -> tuple[Shown, ...]:
    """Returns what goes on at present, the outermost first."""
    return tuple(_shown)


@contextmanager
def showing(one: Shown) -> Iterator[None]:
    """Lets something be shown within the block."""
    _shown.append(one)
    try:
        yield
    finally:
        _shown.remove(one)


class Step:
    """A part of a stage's work that can be counted.

    Args:
        name: What is done.
        total: How many there are to do; None: nobody knows.
        unit: What they are, in the plural; `bytes` are shown as megabytes.
        done: How many were done before.
        seconds_left: When it ends in any case, seconds from now; None: when all are done.
    """

    def __init__(
        self,
        name: str,
        *,
        total: int | None = None,
        unit: str = "",
        done: int = 0,
        seconds_left: float | None = None,
    ) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.done = done
        now = time.monotonic()
        self.ends = None if seconds_left is None else now + seconds_left
        self._samples = [(now, done)]

    def advance(self, count: int = 1) -> None:
        """Takes note of as many more that are done."""
        self.done += count
        now = time.monotonic()
        if now - self._samples[-1][0] >= SAMPLE_SECONDS or len(self._samples) == 1:
            self._samples.append((now, self.done))

    def range_left(self, now: float) -> tuple[float, float] | None:
        """Returns a range of the seconds that are left, from the pace so far and that of late.

        Args:
            now: Seconds of `time.monotonic`.

        Returns:
            The shorter time first, below 0 where it is over; None while nothing can be said.
        """
        samples = list(self._samples)
        (began, first), (last, done) = samples[0], samples[-1]
        if self.total is None or done <= first or last - began < ENOUGH_SECONDS:
            return None
        recent = max(0, min(len(samples) - 2, round((1 - RECENT) * len(samples))))
        since, before = samples[recent]
        rates = [(done - first) / (last - began)]
        if done > before and last > since:
            rates.append((done - before) / (last - since))
        wanted, passed = max(0, self.total - done), now - last
        low, high = wanted / max(rates), wanted / min(rates)
        return (1 - MARGIN) * low - passed, (1 + MARGIN) * high - passed

    def lines(self, now: float) -> list[str]:
        """Returns how far it is, in a line: see `Shown`."""
        texts = []
        if self.unit:
            texts.append(self._count())
        most = None if self.ends is None else max(0.0, self.ends - now)
        found = self.range_left(now)
        if found is not None:
            texts.append(left(*found, most=most))
        elif most is not None:
            texts.append(at_most(most))
        return [f"{self.name}: {', '.join(texts)}" if texts else self.name]

    def _count(self) -> str:
        if self.unit == "bytes":
            of = "" if self.total is None else f" of {self.total / 1e6:.1f}"
            return f"{self.done / 1e6:.1f}{of} MB"
        of = "" if self.total is None else f" of {self.total:,}"
        return f"{self.done:,}{of} {self.unit}".rstrip()


@contextmanager
def step(
    name: str,
    *,
    total: int | None = None,
    unit: str = "",
    done: int = 0,
    seconds_left: float | None = None,
) -> Iterator[Step]:
    """Shows a `Step` within the block; its arguments are those."""
    one = Step(name, total=total, unit=unit, done=done, seconds_left=seconds_left)
    with showing(one):
        yield one


def counted(items: Sequence[T], name: str, *, unit: str) -> Iterator[T]:
    """Yields some items, and shows how many have been taken; arguments as those of `step`."""
    with step(name, total=len(items), unit=unit) as one:
        for item in items:
            yield item
            one.advance()
