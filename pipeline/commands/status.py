"""Shows the studies: trials by state, best so far, what is missing and why, who is at work.

Run: python -m pipeline status [--json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import parse_section, read_document
from pipeline.databases import without_password
from pipeline.errors import StudyError
from pipeline.evaluation.metrics import OBJECTIVES
from pipeline.tracking.store import tracking_uri
from pipeline.tuning.current import find_study
from pipeline.tuning.old_studies import stored_studies
from pipeline.tuning.overview import Overview, overview, read_holder
from pipeline.tuning.params import SearchParams
from pipeline.tuning.progress import duration
from pipeline.tuning.storage import has_storage, open_storage, storage_url
from pipeline.tuning.study import trial_dicts

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

    Returns:
        0.

    Raises:
        StudyError: If nothing has run here yet.
    """
    root, document = Path.cwd(), read_document()
    search = parse_section(SearchParams, "search", document.get("search"))
    names, dataset = list(document["studies"]), _dataset()
    storage = open_storage(root, search.storage) if has_storage(root, search.storage) else None
    found = {name: _look(root, storage, f"{dataset}-{name}", search=search) for name in names}
    stores = {
        "studies": without_password(storage_url(root, search.storage)),
        "runs": without_password(tracking_uri(root)),
    }
    old = stored_studies(storage, dataset=dataset, studies=names) if storage else []
    num_old = sum(study.old is not None for study in old)
    if args.json:
        content = {"studies": {name: _plain(one) for name, one in found.items()}}
        print(json.dumps({**content, "old_studies": num_old, "stores": stores}, indent=2))
    else:
        _print(found, search, num_old=num_old, stores=stores)
    return 0


def _look(
    root: Path, storage: BaseStorage | None, study_name: str, *, search: SearchParams
) -> Overview:
    study = find_study(storage, study_name) if storage else None
    return overview(
        trial_dicts(study) if study else [],
        target=search.trials,
        direction=OBJECTIVES[search.objective].direction,
        holder=read_holder(root, study_name),
        stopped=study.user_attrs.get("stopped") if study else None,
    )


def _print(
    found: Mapping[str, Overview], search: SearchParams, *, num_old: int, stores: Mapping[str, str]
) -> None:
    rows = [HEADERS, *(_row(name, one) for name, one in found.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADERS))]
    for row in rows:
        print("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())
    for name, one in found.items():
        for line in _remarks(name, one, search):
            print(line)
    if num_old:
        print(f"old studies: {num_old}; `python -m pipeline clean` shows what they hold")
    print(f"studies: {stores['studies']}")
    print(f"MLflow:  {stores['runs']}")


def _row(name: str, one: Overview) -> tuple[str, ...]:
    shown = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    states = ("COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING")
    return (
        shown,
        f"{one.num_finished}/{one.target}",
        *(str(one.counts.get(state, 0)) for state in states),
        f"{one.best['value']:.4f} (trial {one.best['number']})" if one.best else "-",
        duration(one.trained_seconds),
    )


def _remarks(name: str, one: Overview, search: SearchParams) -> list[str]:
    lines = []
    if one.holder is not None:
        where = f"{one.holder.pid} on {one.holder.host}"
        rate = one.trials_per_minute
        speed = f"{rate:.1f} trials a minute" if rate else "no trial finished yet"
        left = f", {duration(one.seconds_left)} left" if one.seconds_left else ""
        workers = "1 worker" if search.num_workers == 1 else f"{search.num_workers} workers"
        lines.append(f"{name}: process {where} is at work with {workers}: {speed}{left}")
        lines += [
            f"  trial {trial.number}: {trial.num_epochs} of {search.epochs} epochs"
            + (f", {search.objective} {trial.value:.4f}" if trial.value is not None else "")
            for trial in one.running
        ]
    elif one.stopped:
        at = str(one.stopped["at"]).replace("T", " ")
        lines.append(
            f"{name}: {_trials(one.num_missing)} missing: search.timeout was over at {at}; "
            f"`dvc repro -f search@{name}` goes on"
        )
    elif one.num_missing:
        lines.append(f"{name}: {_trials(one.num_missing)} missing; `dvc repro` trains them")
    return lines


def _trials(count: int) -> str:
    return "1 trial is" if count == 1 else f"{count} trials are"


def _plain(one: Overview) -> dict[str, Any]:
    plain = asdict(one)
    best, holder = plain.pop("best"), plain.pop("holder")
    keys: Sequence[str] = ("number", "value", "hyperparameters")
    return {
        **plain,
        "missing": one.num_missing,
        "best": {key: best[key] for key in keys} if best else None,
        "searched_by": {"pid": holder["pid"], "host": holder["host"]} if holder else None,
    }


def _dataset() -> str:
    split = Path("data/split.json")
    if not split.exists():
        raise StudyError("Nothing has run here yet: there is no data/split.json. Run `dvc repro`.")
    content: Any = json.loads(split.read_text(encoding="utf-8"))
    return str(content["dataset"])
