"""Durations, as people write and read them."""

import math
import re
from collections.abc import Callable
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator

UNITS: Final = {"s": 1, "m": 60, "h": 3600}
OVERRUN: Final = "longer than estimated"
"""Said where an estimate has run out."""
# Seconds that the ends of a range are rounded to, from which length on: what is guessed need not
# change every second.
STEPS: Final = ((600.0, 30.0), (60.0, 5.0), (0.0, 1.0))


def duration_seconds(written: object) -> float | None:
    """Reads a duration such as 90s, 10m or 1.5h; None for `none`.

    Raises:
        ValueError: If it is neither, or nothing at all.
    """
    if written == "none":
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", str(written))
    if found is None or float(found[1]) == 0:
        raise ValueError("must be none, or a duration such as 90s, 10m or 2h")
    return float(found[1]) * UNITS[found[2]]


def auto_or_seconds(written: object) -> object:
    """Reads `auto`, which stays as it is, or what `duration_seconds` does, likewise."""
    return written if written == "auto" else duration_seconds(written)


AutoDuration = Annotated[Literal["auto"] | float | None, BeforeValidator(auto_or_seconds)]
"""`auto`, seconds, > 0, or None."""
Duration = Annotated[float | None, BeforeValidator(duration_seconds)]
"""Seconds, > 0, or None; written as in `duration_seconds`."""


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


def left(low: float, high: float, *, most: float | None = None) -> str:
    """Returns how long something goes on yet, from the range that is expected to hold it.

    Args:
        low: Seconds; its fractions of `STEPS` are left out.
        high: Seconds, >= `low`; rounded up likewise. At 0 or less the estimate has run out.
        most: Seconds after which all is over in any case; None: no such limit.

    >>> left(76, 127), left(76, 127, most=100), left(0, 14.2)
    ('1:15 to 2:10 left', '1:15 to 1:40 left', 'up to 0:15 left')
    >>> left(-30, 0), left(-30, 0, most=45), left(3, 3)
    ('longer than estimated', 'longer than estimated, at most 0:45 left', '0:03 left')
    """
    if high <= 0:
        return OVERRUN if most is None else f"{OVERRUN}, {at_most(most)}"
    first, last = _rounded(low, math.floor), _rounded(high, math.ceil)
    if most is not None:
        first, last = min(first, most), min(last, most)
    if first <= 0:
        return f"up to {duration(last)} left"
    return f"{' to '.join(dict.fromkeys([duration(first), duration(last)]))} left"


def at_most(seconds: float) -> str:
    """Returns how long something goes on at most that has an end, as long as there is time.

    >>> at_most(100), at_most(0)
    ('at most 1:40 left', 'its time is up')
    """
    return f"at most {duration(seconds)} left" if seconds > 0 else "its time is up"


def _rounded(seconds: float, rounding: Callable[[float], int]) -> float:
    step = next(step for longest, step in STEPS if max(0.0, seconds) >= longest)
    return step * rounding(round(seconds / step, 6))
