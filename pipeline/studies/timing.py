"""When the stages of a study must end, by the one clock of the run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from pipeline.bases.table import NO_BASE
from pipeline.clock import Clock, read_budget, weights
from pipeline.config import study_bases
from pipeline.errors import ConfigError
from pipeline.plan_record import PLAN_FILE, planned_image_seconds
from pipeline.search.candidates import PART, VERIFIED_IMAGES
from pipeline.search.sections import SearchParams
from pipeline.split_record import read_split
from pipeline.studies.described import DescribedStudy
from pipeline.trials.identity import training_code
from pipeline.trials.study import exported_study
from pipeline.workspace import stamp_file

EXPORT_SECONDS: Final = 30.0
"""That it takes to load TensorFlow when all are trained, to put the model together and to convert
its base, on 2 cores 20 to 37 s (2026-11-29); it is run on images of the confirmation part, too."""
UNPLANNED_SHARE: Final = 0.15
"""Of the time that a confirmation has, for the same where no plan says how fast the base is."""
MOST_EXPORT: Final = 0.5
"""Of the time that a confirmation has, whatever the export takes."""


@contextmanager
def searching(name: str, *, identity: str, root: Path) -> Iterator[float | None]:
    """Counts the time of a search, and gives when it must end, in seconds of `time.time`.

    Args:
        name: Of the study, below `studies`.
        identity: Of the study: another one begins with no time spent.
        root: The repository.

    Yields:
        The end; None where there is no budget.
    """
    clock = Clock(root, read_budget())
    with clock.running(f"search@{name}", key=identity, next_stage=f"confirm@{name}"):
        yield clock.ends(f"search@{name}", weights(study_bases()))


def earliest_end(params: SearchParams, budget_ends: float | None) -> float | None:
    """Returns when a search must have ended, in seconds of `time.time`; None: at its target alone.

    Args:
        params: Section `search`: its `timeout` is of the whole stage, from the start of this
            process.
        budget_ends: When the budget's part for it ends; it matters where no target is given.

    Raises:
        ConfigError: If neither a target nor a time is given.
    """
    ends = [] if params.target is not None or budget_ends is None else [budget_ends]
    if params.timeout is not None:
        ends.append(psutil.Process().create_time() + params.timeout)
    if params.target is None and not ends:
        raise ConfigError(
            "search.trials must be a number where neither budget nor search.timeout limits the "
            "time. Received: search.trials='auto', budget='none'."
        )
    return min(ends, default=None)


def is_restored(described: DescribedStudy, *, root: Path) -> bool:
    """Whether a search without a target is back from `study.json`, and had all of its time.

    With the databases, what was spent is lost, too; the stage's stamp, which lies beside them,
    tells a loss from a user who wants the search to go on.

    Args:
        described: The study.
        root: The repository.
    """
    exported = exported_study(root, described.name)
    if exported is None or exported.budget_seconds is None or described.search.target is not None:
        return False
    return (
        exported.identity == described.identity
        and exported.budget_seconds == read_budget()
        and not stamp_file(root, "search", described.name).exists()
    )


@contextmanager
def confirming(name: str, *, identity: str, root: Path) -> Iterator[float | None]:
    """Counts the time of a confirmation, and gives when its last training must end.

    By other code than the last one's it begins with no time spent, as all is trained anew.

    Arguments and what it yields are those of `searching`.
    """
    clock = Clock(root, read_budget())
    with clock.running(f"confirm@{name}", key=f"{identity} {training_code()}"):
        ends = clock.ends(f"confirm@{name}", weights(study_bases()))
        yield ends and ends - _export_seconds(name, ends - time.time(), root=root)


def _export_seconds(name: str, seconds_left: float, *, root: Path) -> float:
    base = study_bases()[name]
    per_image = planned_image_seconds(root / PLAN_FILE, base)
    num_images = min(read_split(root).counts[PART].images, VERIFIED_IMAGES)
    of_images = num_images * (per_image or 0.0)
    wanted = EXPORT_SECONDS + of_images
    if per_image is None and base != NO_BASE:
        wanted = max(wanted, UNPLANNED_SHARE * seconds_left)
    return min(wanted, MOST_EXPORT * seconds_left)
