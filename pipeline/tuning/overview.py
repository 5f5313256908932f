"""What a study looks like from outside: how far it is, how fast, and who is at work on it."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from pipeline.checkout import store_root
from pipeline.tuning.study import FINISHED, TrialDict, best_trial, num_finished

LOCK_FOLDER = Path("mlruns/locks")
# Trials that the rate is taken over: enough to smooth it, few enough to follow a change.
NUM_RECENT = 10
# A process begins before it writes its name down; clocks and file systems round.
CLOCK_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The process that last had the exclusive right to search a study.

    Attributes:
        pid: Its id.
        host: The machine that it runs on.
        is_alive: Whether it still runs; one on another machine is taken to.
        began: When it began; None if it runs no more or elsewhere.
    """

    pid: int
    host: str
    is_alive: bool
    began: datetime | None


def read_holder(root: Path, study_name: str) -> Holder | None:
    """Reads who holds a study's lock, without touching the lock.

    Args:
        root: The repository.
        study_name: As Optuna calls it.

    Returns:
        The holder, dead if it was killed; None if nobody searches.
    """
    file = store_root(root) / LOCK_FOLDER / f"{study_name}.pid"
    try:
        written, when = file.read_text(encoding="utf-8"), file.stat().st_mtime
        pid, _, host = written.strip().partition(" on ")
        number = int(pid)
    except (FileNotFoundError, ValueError):
        return None  # Ended, or writing its name just now.
    if host != platform.node():
        return Holder(pid=number, host=host, is_alive=True, began=None)
    try:
        began = psutil.Process(number).create_time()
    except psutil.NoSuchProcess:
        return Holder(pid=number, host=host, is_alive=False, began=None)
    # A pid that was given to somebody else since.
    is_same = began <= when + CLOCK_SECONDS
    moment = datetime.fromtimestamp(began) if is_same else None
    return Holder(pid=number, host=host, is_alive=is_same, began=moment)


@dataclass(frozen=True, kw_only=True)
class RunningTrial:
    """A trial that is being trained.

    Attributes:
        number: Its number.
        num_epochs: Epochs that it has ended, >= 0.
        value: The objective after the last of them; None before the first.
    """

    number: int
    num_epochs: int
    value: float | None


@dataclass(frozen=True, kw_only=True)
class Overview:
    """How far a study is.

    Attributes:
        counts: Trials by state: COMPLETE, PRUNED, FAIL, RUNNING, WAITING.
        target: Finished trials wanted.
        num_finished: Complete and pruned ones.
        best: The best complete trial, or None.
        running: What is being trained.
        trained_seconds: Spent on trials, by all workers together.
        holder: Who searches it now, or None.
        trials_per_minute: Finished ones, over the last of them; None while nobody searches or
            nothing has finished.
        seconds_left: Until the target, at this rate; None if there is no rate.
        stopped: Why the last search ended before its target: `reason`, `missing`, `at`; else None.
    """

    counts: Mapping[str, int]
    target: int
    num_finished: int
    best: TrialDict | None
    running: Sequence[RunningTrial]
    trained_seconds: float
    holder: Holder | None
    trials_per_minute: float | None
    seconds_left: float | None
    stopped: Mapping[str, Any] | None

    @property
    def num_missing(self) -> int:
        """Finished trials that are still wanted, >= 0."""
        return max(0, self.target - self.num_finished)


def overview(
    trials: Sequence[TrialDict],
    *,
    target: int,
    direction: str,
    holder: Holder | None = None,
    stopped: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> Overview:
    """Returns how far a study is.

    Args:
        trials: All its trials.
        target: `search.trials`.
        direction: Where better lies, in Optuna's words.
        holder: As from `read_holder`.
        stopped: The study's attribute of that name.
        now: Local time; the present unless given.
    """
    searching = holder if holder is not None and holder.is_alive else None
    rate = _trials_per_minute(trials, searching, now or datetime.now()) if searching else None
    finished = num_finished(trials)
    return Overview(
        counts=dict(Counter(trial["state"] for trial in trials)),
        target=target,
        num_finished=finished,
        best=best_trial(trials, direction),
        running=[_running(trial) for trial in trials if trial["state"] == "RUNNING"],
        trained_seconds=sum(trial["seconds"] or 0.0 for trial in trials),
        holder=searching,
        trials_per_minute=rate,
        seconds_left=60 * max(0, target - finished) / rate if rate else None,
        stopped=stopped if finished < target else None,
    )


def _running(trial: TrialDict) -> RunningTrial:
    values = {int(epoch): value for epoch, value in trial["intermediate_values"].items()}
    last = max(values, default=None)
    return RunningTrial(
        number=trial["number"],
        num_epochs=0 if last is None else last + 1,
        value=None if last is None else values[last],
    )


def _trials_per_minute(
    trials: Sequence[TrialDict], searching: Holder, now: datetime
) -> float | None:
    # Only of this search: in between, nobody trained anything.
    ends = sorted(
        end
        for trial in trials
        if trial["state"] in FINISHED and trial["datetime_complete"]
        if (end := datetime.fromisoformat(trial["datetime_complete"]))
        >= (searching.began or datetime.min)
    )
    recent = ends[-NUM_RECENT:]
    if not recent:
        return None
    before = ends[: -len(recent)][-1:]
    start = before[0] if before else searching.began or recent[0]
    minutes = (now - start).total_seconds() / 60
    return len(recent) / minutes if minutes > 0 else None
