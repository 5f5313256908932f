"""What a study looks like from outside: how far it is, how fast, and who is at work on it."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from pipeline.database_addresses import AUTO
from pipeline.records.lock import is_locked, lock_folder
from pipeline.trials.identity import OtherCode, of_other_code
from pipeline.trials.outlook import Outlook
from pipeline.trials.ranking import RungSummary, best_trial, by_rung, num_finished
from pipeline.trials.record import TrialRecord
from pipeline.trials.study import Stopped

# Trials that the rate is taken over: enough to smooth it, few enough to follow a change.
NUM_RECENT = 10


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The process that last had the exclusive right to search a study.

    Attributes:
        pid: Its id.
        host: The machine that it runs on, as it called itself.
        is_alive: Whether it still holds the lock.
        began: When it began; None if it does not hold the lock any more, or runs elsewhere.
    """

    pid: int
    host: str
    is_alive: bool
    began: datetime | None


def read_holder(root: Path, study_name: str, url: str = AUTO) -> Holder | None:
    """Reads who holds a study's lock, without keeping anybody from taking it.

    Args:
        root: The repository.
        study_name: As Optuna calls it.
        url: `search.storage`.

    Returns:
        The holder, dead if it was killed; None if nobody searches.
    """
    folder = lock_folder(root, url)
    try:
        written = (folder / f"{study_name}.pid").read_text(encoding="utf-8")
        pid, _, host = written.strip().partition(" on ")
        number = int(pid)
    except (FileNotFoundError, ValueError):
        return None  # Ended, or writing its name just now.
    is_alive = is_locked(folder, study_name)
    is_here = is_alive and host == platform.node()
    return Holder(
        pid=number, host=host, is_alive=is_alive, began=_began(number) if is_here else None
    )


def _began(pid: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None  # In a container that has the same name and numbers of its own.


@dataclass(frozen=True, kw_only=True)
class RunningTrial:
    """A trial that is being trained.

    Attributes:
        number: Its number.
        num_epochs: Epochs that it has ended, >= 0.
        value: The objective after the last of them; None before the first.
        share: What it is given of a whole training, in (0, 1].
    """

    number: int
    num_epochs: int
    value: float | None
    share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Overview:
    """How far a study is.

    Attributes:
        counts: Trials by `TrialRecord.ending`: COMPLETE, PRUNED, FAIL, CUT OFF, RUNNING, WAITING.
        target: Configurations wanted; None: as many as there is time for.
        num_finished: Configurations that gave a result.
        num_missing: Trainings that are still wanted, promotions among them, >= 0; 0 where time
            decides.
        best: The best complete trial, or None.
        running: What is being trained.
        trained_seconds: Spent on trials, by all workers together.
        holder: Who searches it now, or None.
        trials_per_minute: Finished ones, over the last of them; None while nobody searches or
            nothing has finished.
        seconds_left: A range of the time until the target, >= 0, of `trials.pace.time_left`; None
            where nobody searches, time decides, or too few trials have ended.
        stopped: Why the last search ended before its target; None if it did not.
        kept: Finished trials that the next search begins with, where it does not go on with these;
            else None.
        code: How many finished trials are not of the present code.
        rungs: What became of each rung, the lowest first.
        unclear: Why `kept` cannot be said, or None.
        lost: What `lost_study` says of a study that is not in the store, or None.
        outlook: What more time would be good for; None while somebody searches, or where time does
            not decide.
    """

    counts: Mapping[str, int]
    target: int | None
    num_finished: int
    num_missing: int
    best: TrialRecord | None
    running: Sequence[RunningTrial]
    trained_seconds: float
    holder: Holder | None
    trials_per_minute: float | None
    stopped: Stopped | None
    kept: int | None
    code: OtherCode
    rungs: Sequence[RungSummary]
    seconds_left: tuple[float, float] | None = None
    unclear: str | None = None
    lost: str | None = None
    outlook: Outlook | None = None

    @property
    def num_counted(self) -> int:
        """Finished trials that the next search need not train, >= 0."""
        return self.num_finished if self.kept is None else self.kept


def overview(
    trials: Sequence[TrialRecord],
    *,
    target: int | None,
    num_missing: int,
    direction: str,
    holder: Holder | None = None,
    stopped: Stopped | None = None,
    kept: int | None = None,
    now: datetime | None = None,
) -> Overview:
    """Returns how far a study is.

    Args:
        trials: All its trials.
        target: `search.trials`; None where that is auto.
        num_missing: Trainings that are still wanted, >= 0.
        direction: Where better lies, in Optuna's words.
        holder: As from `read_holder`.
        stopped: The study's attribute of that name.
        kept: As from `studies.described.num_kept`.
        now: Local time; the present unless given.
    """
    searching = holder if holder is not None and holder.is_alive else None
    ended = ended_since(trials, searching.began) if searching else []
    rate = _trials_per_minute(ended, searching, now or datetime.now()) if searching else None
    return Overview(
        counts=dict(Counter(trial.ending for trial in trials)),
        target=target,
        num_finished=num_finished(trials),
        num_missing=num_missing,
        best=best_trial(trials, direction),
        running=[_running(trial) for trial in trials if trial.state == "RUNNING"],
        trained_seconds=sum(trial.seconds or 0.0 for trial in trials),
        holder=searching,
        trials_per_minute=rate,
        stopped=stopped if num_missing and kept is None else None,
        kept=kept,
        code=of_other_code(trials),
        rungs=by_rung(trials, direction),
    )


def _running(trial: TrialRecord) -> RunningTrial:
    values = trial.curve
    last = max(values, default=None)
    return RunningTrial(
        number=trial.number,
        num_epochs=0 if last is None else last + 1,
        value=None if last is None else values[last],
        share=trial.share,
    )


def ended_since(trials: Sequence[TrialRecord], began: datetime | None) -> list[TrialRecord]:
    """Returns the finished trials of a search, by their end: before, nobody trained anything.

    Args:
        trials: All of the study.
        began: When the search began; None: nobody knows, and they are the last `NUM_RECENT`.
    """
    ended = [one for one in trials if one.is_finished and one.ended]
    since = [one for one in ended if end_of(one) >= (began or datetime.min)]
    by_end = sorted(since, key=end_of)
    return by_end if began else by_end[-NUM_RECENT:]


def end_of(trial: TrialRecord) -> datetime:
    """Returns when a finished trial ended, local time."""
    return trial.ended or datetime.min


def _trials_per_minute(
    ended: Sequence[TrialRecord], searching: Holder, now: datetime
) -> float | None:
    recent = ended[-NUM_RECENT:]
    if not recent:
        return None
    before = ended[: -len(recent)][-1:]
    start = end_of(before[0]) if before else searching.began or end_of(recent[0])
    minutes = (now - start).total_seconds() / 60
    return len(recent) / minutes if minutes > 0 else None
