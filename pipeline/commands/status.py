"""Shows the studies: trials by state, best so far, what is missing and why, who is at work.

Run: python -m pipeline status [--json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.clock import FURTHER_SECONDS, Clock, Spent, read_budget
from pipeline.config import load_section, study_bases
from pipeline.database_addresses import sqlite_file, without_password
from pipeline.durations import duration, left
from pipeline.losses import lost_runs
from pipeline.plan_record import PLAN_FILE, planned_epochs
from pipeline.plural import plural
from pipeline.processes import num_cores
from pipeline.records.archive import stored_studies
from pipeline.records.mirror.store import tracking_uri
from pipeline.records.overview import Holder, Overview, RunningTrial
from pipeline.records.storage import has_storage, open_storage, sharing_checkout, storage_url
from pipeline.search.sections import SearchParams
from pipeline.split_record import read_split
from pipeline.studies.overviews import look
from pipeline.training.portions import Portion
from pipeline.trials.record import CUT_OFF
from pipeline.trials.study import best_of
from pipeline.whole_run import Run, running_stage

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

HEADERS = (
    *("study", "finished", "complete", "pruned", "failed", "running", "waiting"),
    *("best", "trained"),
)
# So that a line fits into 100 columns, whatever a study is called.
LONGEST_NAME = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def main(args: argparse.Namespace) -> int:
    """Prints a line for each study of params.yaml, then who is at work on it and what is missing.

    Raises:
        DataIntegrityError: If nothing has run here yet.
    """
    root, search = Path.cwd(), load_section(SearchParams, "search")
    dataset, bases = read_split(root).dataset, study_bases()
    storage = open_storage(root, search.storage) if has_storage(root, search.storage) else None
    found = look(root, storage, bases, dataset=dataset, search=search)
    searches = {
        name: search.with_epochs(planned_epochs(root / PLAN_FILE, base))
        for name, base in bases.items()
    }
    stores = {
        "studies": without_password(storage_url(root, search.storage)),
        "runs": without_password(tracking_uri(root)),
    }
    file = sqlite_file(tracking_uri(root))
    is_here = file is None or file.exists()
    lost = None if is_here else lost_runs(root, str(file))
    num_old = _num_old(root, storage, list(bases), dataset=dataset, url=search.storage)
    clock = Clock(root, None).read()
    spent = {stage: one for stage, one in clock.items() if stage.partition("@")[2] in ("", *bases)}
    if args.json:
        content = {"studies": {name: _plain(one) for name, one in found.items()}}
        others = {
            "old_studies": num_old,
            "stores": stores,
            "lost_runs": lost,
            "spent": {stage: asdict(one) for stage, one in spent.items()},
        }
        print(json.dumps({**content, **others}, indent=2))
    else:
        _print(found, searches, num_old=num_old, stores=stores)
        if lost:
            print(f"MLflow:  {lost}")
        if line := _clock_line(spent):
            print(line)
        if stage := running_stage(root, spent):
            print("; ".join(filter(None, [f"now: {stage}", Run(stage, root).line()])))
    return 0


def _num_old(
    root: Path, storage: BaseStorage | None, names: Sequence[str], *, dataset: str, url: str
) -> int:
    if storage is None:
        return 0
    checkout = sharing_checkout(root, url)
    stored = stored_studies(storage, dataset=dataset, studies=names, checkout=checkout)
    return sum(study.old is not None and study.is_own for study in stored)


def _print(
    found: Mapping[str, Overview],
    searches: Mapping[str, SearchParams],
    *,
    num_old: int,
    stores: Mapping[str, str],
) -> None:
    rows = [HEADERS, *(_row(name, one) for name, one in found.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADERS))]
    for row in rows:
        print("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())
    for name, one in found.items():
        for line in _remarks(name, one, searches[name]):
            print(line)
    if num_old:
        print(f"old studies: {num_old}; `python -m pipeline gc` shows what they hold")
    print(f"studies: {stores['studies']}")
    print(f"MLflow:  {stores['runs']}")


def _row(name: str, one: Overview) -> tuple[str, ...]:
    shown = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    states = ("COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING")
    return (
        shown,
        f"{one.num_counted}" if one.target is None else f"{one.num_counted}/{one.target}",
        *(str(one.counts.get(state, 0)) for state in states),
        f"{one.best.value:.4f} (trial {one.best.number})" if one.best else "-",
        duration(one.trained_seconds),
    )


def _remarks(name: str, one: Overview, search: SearchParams) -> list[str]:
    at_work = _at_work(one.holder, one, search) if one.holder else []
    known = [remark for remark in (one.unclear, one.code.remark) if remark]
    remarks = [*at_work, *_rungs(one), *_cut_off(one), *_outlook(one, search), *known]
    remarks += _missing(name, one)
    return [line if line.startswith(" ") else f"{name}: {line}" for line in remarks]


def _rungs(one: Overview) -> list[str]:
    if len(one.rungs) < 2:
        return []
    texts = [
        f"{rung.name}: {rung.num_finished}"
        + (f", {rung.num_promoted} went on" if rung.share < 1 else "")
        + (f", best {rung.best.value:.4f}" if rung.best else "")
        for rung in one.rungs
    ]
    return ["; ".join(texts)]


def _cut_off(one: Overview) -> list[str]:
    count = one.counts.get(CUT_OFF, 0)
    return (
        [f"{plural(count, 'trial')} cut off, by the clock, a user or a lost machine"]
        if count
        else []
    )


def _outlook(one: Overview, search: SearchParams) -> list[str]:
    if one.outlook is None:
        return []
    said = one.outlook.sentence(search.objective, f"{one.outlook.gain:.4f}")
    return [f"another {duration(FURTHER_SECONDS)} of budget: {said}"]


def _clock_line(spent: Mapping[str, Spent]) -> str | None:
    """Says where the time of the budget went, how busy this machine was, and what is left of it.

    Args:
        spent: By stage.
    """
    if not spent:
        return None
    texts = [f"{stage} {duration(one.seconds)}{_busy([one])}" for stage, one in spent.items()]
    of_studies = [one for stage, one in spent.items() if "@" in stage]
    together = f"searches and confirmations together{_busy(of_studies)}" if of_studies else ""
    said = ", ".join(texts) + (f"; {together}" if _busy(of_studies) else "")
    budget_seconds = read_budget()
    if budget_seconds is None:
        return f"time: {said}; there is no budget"
    left = budget_seconds - sum(one.seconds for one in spent.values())
    rest = f"{duration(left)} left" if left >= 0 else f"{duration(-left)} over it"
    return f"budget {duration(budget_seconds)}: {said}; {rest}"


def _busy(stages: Sequence[Spent]) -> str:
    """Returns the share of this machine's cores that some stages used; empty if not measured."""
    used = sum(one.core_seconds for one in stages)
    given = sum(one.seconds for one in stages) * num_cores()
    return f" ({used / given:.0%} busy)" if used and given else ""


def _at_work(holder: Holder, one: Overview, search: SearchParams) -> list[str]:
    rate = one.trials_per_minute
    speed = f"{rate:.1f} trials a minute" if rate else "it has finished no trial yet"
    to_come = f", {left(*one.seconds_left)}" if one.seconds_left else ""
    workers = plural(search.num_workers, "worker")
    return [
        f"process {holder.pid} on {holder.host} is at work with {workers}: {speed}{to_come}",
        *(
            f"  trial {trial.number}: {trial.num_epochs} of {_epochs(trial, search)} epochs"
            + (f", {search.objective} {trial.value:.4f}" if trial.value is not None else "")
            for trial in one.running
        ),
    ]


def _epochs(trial: RunningTrial, search: SearchParams) -> int:
    return Portion(share=trial.share, whole_epochs=search.num_epochs).epochs


def _missing(name: str, one: Overview) -> list[str]:
    if one.lost is not None:
        return [one.lost]
    if one.kept is not None:
        rest = "tries what there is time for" if one.target is None else f"trains {one.num_missing}"
        return [
            "these trials are of other params, data or features: the next `dvc repro` begins with "
            f"{plural(one.kept, 'finished trial')} and {rest}"
        ]
    if one.holder is not None or not one.num_missing:
        return []
    if one.stopped:
        at = one.stopped.at.replace("T", " ")
        return [
            f"{_trials(one.num_missing)} missing: search.timeout was over at {at}; "
            f"`dvc repro -f search@{name}` goes on"
        ]
    return [f"{_trials(one.num_missing)} missing; `dvc repro` trains them"]


def _trials(count: int) -> str:
    return f"{plural(count, 'trial')} {'is' if count == 1 else 'are'}"


def _plain(one: Overview) -> dict[str, Any]:
    plain = asdict(replace(one, best=None, rungs=()))
    holder, missing = plain.pop("holder"), plain.pop("num_missing")
    return {
        **plain,
        "missing": missing,
        "best": best_of(one.best) if one.best else None,
        "rungs": [
            {**vars(rung), "best": best_of(rung.best) if rung.best else None} for rung in one.rungs
        ],
        "searched_by": {"pid": holder["pid"], "host": holder["host"]} if holder else None,
    }
