"""Durations as people write them."""

import re
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator

UNITS: Final = {"s": 1, "m": 60, "h": 3600}


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
