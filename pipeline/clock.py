"""The one clock of a run: what `budget` leaves for a stage.

Each stage of a DVC graph is a process of its own, at a time of its own choosing. What they have
spent lies in `mlruns/clock.json`, written every few seconds, so that a stage that was killed and
goes on has less left. From that a stage is told its part of what is left; one that needs less
leaves the rest to those after it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil
from filelock import FileLock

from pipeline.config import read_document
from pipeline.durations import duration_seconds
from pipeline.errors import ConfigError
from pipeline.files import read_json, write_json
from pipeline.processes import core_seconds
from pipeline.workspace import store_root

logger = logging.getLogger(__name__)

CLOCK_FILE: Final = Path("mlruns/clock.json")
SEARCH_WEIGHT: Final = 2.0
"""Of a study's search, where its confirmation has 1."""
BASELINE_WEIGHT: Final = 0.2
"""Of a study without a base, where one that has a base has 1."""
CONFIRM_SECONDS: Final = 30.0
"""Of a confirmation, taken off before the shares: its start, one training and the export."""
CONFIRM_SHARE: Final = 0.1
"""Of the budget, that these seconds are at most."""
MOST_FIXED: Final = 0.45
"""Of what `plan` and `embed` have left, that these seconds are at most for all studies together."""
KEPT_SHARE: Final = 0.03
"""Of the budget, for what DVC does between the stages."""
LEAST_SHARE: Final = 0.03
"""Of the budget, that each stage of a study has in any case: late, it does less, never nothing."""
ADDED_SHARE: Final = 0.5
"""Of what a study would have, that others have taken where it was added after them."""
WRITE_SECONDS: Final = 5.0
FURTHER_SECONDS: Final = 900.0
"""Of further budget, of which `status` and the report say what it would be used for."""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a stage has spent.

    Attributes:
        seconds: Of wall-clock time, from the start of its process, over all that it took.
        core_seconds: Processor time of the stage and all that it started on this machine.
        key: What it was for, such as a study: of anything else of the same name it is forgotten.
            Empty for a stage that counts anew whenever it runs.
        ended_for: The budget under which it has ended, seconds, 0 where there was none; None: it
            has not.
    """

    seconds: float
    core_seconds: float = 0.0
    key: str = ""
    ended_for: float | None = None


def weights(bases: Mapping[str, str]) -> dict[str, float]:
    """Returns the weights by which the stages of all studies share what is left of a budget.

    Args:
        bases: The base of each study by its name; `none` for the network on the pixels.

    >>> weights({"scratch": "none", "transfer": "auto"})["search@transfer"]
    2.0
    """
    found = {}
    for name, base in bases.items():
        of_study = BASELINE_WEIGHT if base == "none" else 1.0
        found[f"search@{name}"] = SEARCH_WEIGHT * of_study
        found[f"confirm@{name}"] = of_study
    return found


def search_share(study: str, bases: Mapping[str, str]) -> float:
    """Returns what share of further time a study's search has, where nothing is embedded anew.

    Args:
        study: Its name.
        bases: As for `weights`.

    >>> round(search_share("transfer", {"scratch": "none", "transfer": "auto"}), 2)
    0.56
    """
    shares = weights(bases)
    return shares[f"search@{study}"] / sum(shares.values())


def allotted(
    stage: str,
    spent: Mapping[str, Spent],
    shares: Mapping[str, float],
    budget_seconds: float,
    *,
    is_new: bool = True,
) -> float:
    """Returns the seconds that a stage may take in all, what it has spent among them.

    Args:
        stage: A key of `shares`.
        spent: By stage; those of studies that are no key of `shares` are forgotten, and the others
            come before all that are.
        shares: As from `weights`.
        budget_seconds: For all stages together.
        is_new: Whether the stage has spent nothing yet. Then it has its fair share in any case
            where its study was added when the others had taken what there was.
    """
    before = sum(one.seconds for name, one in spent.items() if "@" not in name)
    # What a confirmation costs however little it trains is no search's to take.
    fixed = {name: _fixed_seconds(name, budget_seconds) for name in shares}
    left = budget_seconds * (1 - KEPT_SHARE) - before
    # Of many studies less each: the searches have most of the time in any case.
    scale = (
        min(1.0, MOST_FIXED * max(0.0, left) / sum(fixed.values())) if any(fixed.values()) else 1.0
    )
    fixed = {name: scale * seconds for name, seconds in fixed.items()}
    left -= sum(fixed.values())
    per_weight = max(0.0, left) / sum(shares.values())
    fair = {name: fixed[name] + share * per_weight for name, share in shares.items()}
    waiting, taken = shares[stage], 0.0
    for name in shares:
        if name == stage:
            continue
        one = spent.get(name)
        if one is not None and one.ended_for == budget_seconds:
            left -= one.seconds - fixed[name]
            taken += one.seconds if _study(name) != _study(stage) else 0.0
        else:
            waiting += shares[name]
    least = LEAST_SHARE * budget_seconds
    own = sum(seconds for name, seconds in fair.items() if _study(name) == _study(stage))
    # Others that were late have taken some of what was for this study, those before it all.
    is_added = taken - (sum(fair.values()) - own) > ADDED_SHARE * own
    return max(
        least,
        fair[stage] if is_new and is_added else 0.0,
        fixed[stage] + left * shares[stage] / waiting,
    )


def _study(stage: str) -> str:
    return stage.partition("@")[2]


def _fixed_seconds(stage: str, budget_seconds: float) -> float:
    is_confirmation = stage.startswith("confirm@")
    return min(CONFIRM_SECONDS, CONFIRM_SHARE * budget_seconds) if is_confirmation else 0.0


class Clock:
    """Measures the stages of a run.

    Args:
        root: The repository.
        budget_seconds: For all of them; None: they are measured, and none is limited.
    """

    def __init__(self, root: Path, budget_seconds: float | None) -> None:
        self._root = root
        self._file = root / CLOCK_FILE
        self._budget_seconds = budget_seconds
        self._is_new = True

    def read(self) -> dict[str, Spent]:
        """Returns what each stage has spent.

        In a copy that `dvc exp run --temp` made that is at first what the checkout's have, whose
        studies it goes on with. What it spends itself stays in it: others may run beside it.
        """
        for file in (self._file, store_root(self._root) / CLOCK_FILE):
            if file.is_file():
                return {stage: Spent(**one) for stage, one in read_json(file).items()}
        return {}

    def reset(self, first_stage: str) -> None:
        """Forgets all, since a new run begins; unless its first stage was cut off and goes on."""
        first = self.read().get(first_stage)
        if first is None or first.ended_for is not None:
            self._file.parent.mkdir(exist_ok=True)
            write_json(self._file, {})

    @contextmanager
    def running(self, stage: str, *, key: str = "", next_stage: str = "") -> Iterator[None]:
        """Counts the time of this process, from its start to the end of the block.

        Args:
            stage: Its name, such as `embed` or `search@transfer`.
            key: What it is for: what was spent on the same counts, too. A stage without one counts
                anew, unless it was cut off.
            next_stage: One that runs anew after it, and is not over before; its key begins with
                this one's.
        """
        before = self.read()
        found = before.get(stage, Spent(seconds=0.0))
        goes_on = found.key == key if key else found.ended_for is None
        earlier = found if goes_on else Spent(seconds=0.0)
        began = psutil.Process().create_time()
        self._is_new = not earlier.seconds
        if next_stage in before and not before[next_stage].key.startswith(key):
            self._write(next_stage, None)

        def note(ended_for: float | None = None) -> None:
            spent = Spent(
                seconds=round(earlier.seconds + time.time() - began, 1),
                core_seconds=round(earlier.core_seconds + core_seconds(), 1),
                key=key,
                ended_for=ended_for,
            )
            self._write(stage, spent)

        note()
        is_over = threading.Event()
        thread = threading.Thread(target=_repeat, args=(note, is_over), daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
            note()
        note(self._budget_seconds or 0.0)

    def ends(self, stage: str, shares: Mapping[str, float]) -> float | None:
        """Returns when a stage that is running must have ended, in seconds of `time.time`.

        Args:
            stage: Within its `running`.
            shares: As from `weights`.

        Returns:
            None where there is no budget.
        """
        if self._budget_seconds is None:
            return None
        spent = self.read()
        own = spent[stage].seconds if stage in spent else 0.0
        of_all = allotted(stage, spent, shares, self._budget_seconds, is_new=self._is_new)
        least = LEAST_SHARE * self._budget_seconds
        if of_all - own < least:
            logger.warning("its part of the budget is spent; it has %.0f s more", least)
        return time.time() + max(least, of_all - own)

    def _write(self, stage: str, spent: Spent | None) -> None:
        if not self._root.is_dir():
            return  # The checkout was moved away: nothing is made where it was.
        self._file.parent.mkdir(exist_ok=True)
        # Two studies may be searched at the same time.
        with FileLock(self._file.with_name(".clock.lock")):
            kept = {**self.read(), stage: spent}
            write_json(self._file, {name: asdict(one) for name, one in kept.items() if one})


def _repeat(note: Callable[[], None], is_over: threading.Event) -> None:
    while not is_over.wait(WRITE_SECONDS):
        note()


def read_budget() -> float | None:
    """Returns the seconds of `budget` in params.yaml; None for `none`.

    Raises:
        ConfigError: If it is missing, or no duration.
    """
    budget = read_document().get("budget")
    if problem := budget_problem(budget):
        raise ConfigError(f"params.yaml cannot be used:\n  budget: {problem}")
    return duration_seconds(budget)


def budget_problem(budget: object) -> str | None:
    """Says what is wrong with `budget`, or None."""
    try:
        duration_seconds(budget)
    except ValueError as error:
        return f"{error}. Received: {budget!r}."
    return None
