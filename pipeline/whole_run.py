"""How far a whole run is: what of `budget` is spent, and what comes after the stage that runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from pipeline.clock import CLOCK_FILE, WRITE_SECONDS, Clock, Spent, read_budget
from pipeline.config import read_document
from pipeline.durations import at_most, duration
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.files import read_json, write_json

GRAPH_FILE: Final = Path("dvc.yaml")
DURATIONS_FILE: Final = Path("mlruns/durations.json")
"""What each stage took the last time that it ran to its end, seconds."""
TIMED: Final = ("plan", "embed", "search", "confirm")
"""Stages that the budget is for, in the order in which they run."""
# The clock is written every few seconds by a stage that runs.
STALE_SECONDS: Final = 4 * WRITE_SECONDS


def stage_names(root: Path) -> list[str]:
    """Returns all stages in the order of dvc.yaml, such as `search@transfer`; empty without one.

    Raises:
        ConfigError: If dvc.yaml or params.yaml cannot be read.
    """
    if not (root / GRAPH_FILE).is_file():
        return []
    stages = read_document(root / GRAPH_FILE)["stages"]
    studies = list(read_document(root / "params.yaml").get("studies") or {})
    return [
        name
        for stage, entry in stages.items()
        for name in ([f"{stage}@{study}" for study in studies] if "foreach" in entry else [stage])
    ]


def whole_run(
    stage: str,
    stages: Sequence[str],
    spent: Mapping[str, Spent],
    budget_seconds: float | None,
    durations: Mapping[str, float],
) -> str | None:
    """Says how far the run is that a stage belongs to.

    Args:
        stage: The one that runs.
        stages: All, as from `stage_names`.
        spent: By stage, as from the clock.
        budget_seconds: For those of `TIMED`, or None.
        durations: Of stages that have run before, seconds.

    Returns:
        A line; None for a stage before the clock begins, or of another graph.
    """
    first = next((place for place, name in enumerate(stages) if _kind(name) in TIMED), 0)
    if stage not in stages or stages.index(stage) < first:
        return None
    coming = [
        name
        for name in stages[stages.index(stage) + 1 :]
        if name not in spent or spent[name].ended_for != (budget_seconds or 0.0)
    ]
    timed = [name for name in coming if _kind(name) in TIMED]
    others = [name for name in coming if name not in timed]
    # What a study took that is gone is no part of this run: see `clock.allotted`.
    total = sum(one.seconds for name, one in spent.items() if "@" not in name or name in stages)
    is_timed = bool(timed) or _kind(stage) in TIMED
    text = _budget(total, budget_seconds, is_timed=is_timed)
    then = f", then {', '.join(timed)}" if timed else ""
    return f"{text}{then}{_others(others, durations)}"


def _kind(stage: str) -> str:
    return stage.partition("@")[0]


def _budget(total: float, budget_seconds: float | None, *, is_timed: bool) -> str:
    if budget_seconds is None:
        return f"run: {duration(total)} spent"
    text = f"budget {duration(budget_seconds)}: {duration(total)} spent"
    left = budget_seconds - total
    if left < 0:
        return f"{text}, {duration(-left)} over it"
    return f"{text}, {at_most(left)}" if is_timed else text


def _others(names: Sequence[str], durations: Mapping[str, float]) -> str:
    if not names:
        return ""
    known = [durations[name] for name in names if name in durations]
    took = f" ({duration(sum(known))} the last time)" if len(known) == len(names) else ""
    return f"; in the end {', '.join(names)}{took}"


def running_stage(root: Path, spent: Mapping[str, Spent]) -> str | None:
    """Returns the stage of the clock that is running, or None.

    Args:
        root: The repository.
        spent: As from the clock.
    """
    file = root / CLOCK_FILE
    is_fresh = file.is_file() and time.time() - file.stat().st_mtime < STALE_SECONDS
    running = [name for name, one in spent.items() if one.ended_for is None]
    # Of a confirmation that was cut off and its search, which goes on: the search.
    first = min(running, key=lambda name: TIMED.index(_kind(name)), default=None)
    return first if is_fresh else None


class Run:
    """The run that a stage belongs to.

    Args:
        stage: Its name.
        root: The repository.
    """

    def __init__(self, stage: str, root: Path) -> None:
        self._stage, self._root = stage, root
        self._known: tuple[list[str], float | None] | None = None
        self._durations = self._read()
        self.last_time = self._durations.get(stage)

    def line(self) -> str | None:
        """Returns how far it is: see `whole_run`."""
        stages, budget_seconds = self._graph()
        if not stages:
            return None
        spent = Clock(self._root, None).read()
        return whole_run(self._stage, stages, spent, budget_seconds, self._durations)

    def note(self, seconds: float) -> None:
        """Keeps what the stage took, for the next time."""
        stages, _ = self._graph()
        file = self._root / DURATIONS_FILE
        # In a checkout that was moved away nothing is made.
        if self._stage in stages and file.parent.is_dir():
            kept = {name: one for name, one in self._read().items() if name in stages}
            with suppress(OSError):  # The stage is done, whether or not this can be kept.
                write_json(file, {**kept, self._stage: round(seconds, 1)})

    def _graph(self) -> tuple[list[str], float | None]:
        if self._known is None:
            try:
                self._known = stage_names(self._root), read_budget()
            except (AttributeError, ConfigError, KeyError, TypeError):
                # The stage itself says what is wrong with params.yaml.
                self._known = [], None
        return self._known

    def _read(self) -> dict[str, float]:
        file = self._root / DURATIONS_FILE
        try:
            return {str(name): float(one) for name, one in read_json(file).items()}
        except (AttributeError, DataIntegrityError, OSError, TypeError, ValueError):
            return {}  # None yet, or a damaged one: they are only shown.
