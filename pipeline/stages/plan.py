"""Stage `plan`: the training part of data/train.npz -> results/plan.json.

Chooses what params.yaml leaves open with `auto`: bases, their image sizes, cuts and views. A sample
of the training part is embedded by several bases at several sizes, and ridge heads on each cut tell
which is worth its time on this machine. The other parts are not looked at.

Run: python -m pipeline plan [--dry-run]
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.clock import Clock, read_budget
from pipeline.config import load_section
from pipeline.errors import ConfigError
from pipeline.features.params import EmbedParams
from pipeline.files import sha256_file
from pipeline.plan_record import PLAN_FILE
from pipeline.planning.limits import EMBED_SHARE, Limits
from pipeline.planning.params import PlanParams
from pipeline.planning.plan import BUDGET, Plan, plan_for_more, with_epochs_of, write_plan
from pipeline.processes import num_cores
from pipeline.workspace import store_root

if TYPE_CHECKING:
    from pipeline.planning.bases import PlannedBase
    from pipeline.planning.sample import Sample
    from pipeline.records.model_registry.registered_file import RegisteredFile

logger = logging.getLogger(__name__)

TRAIN_FILE: Final = Path("data/train.npz")
LAST_PLAN: Final = Path("mlruns") / PLAN_FILE.name
"""The plan again: DVC deletes an out before its stage runs, or, where it is `persist`, does not
bring that of earlier params back."""
UNLIMITED_SECONDS: Final = 3600.0
"""What is planned for where `budget` is none."""


def run(
    params: PlanParams, embed: EmbedParams, *, budget_seconds: float | None, train_file: Path
) -> Plan:
    """Returns what is chosen for every base of `embed` that leaves something open.

    Args:
        params: The section.
        embed: The section `embed`.
        budget_seconds: That the whole graph may take, from here to the last confirmation; None:
            there is no limit.
        train_file: From the stage `split`; of its images the training part alone is looked at.

    Raises:
        ConfigError: If a base cannot be used.
        DataIntegrityError: If the file is not whole.
        SourceError: If the weights of a base are missing.
    """
    start = time.monotonic()
    is_open = {name: own for name, own in embed.bases.items() if own.is_open}
    views = {name: own.views_wanted.num_views for name, own in embed.bases.items()}
    if not is_open:
        measured = {BUDGET: budget_seconds}
        return Plan(bases={}, reasons={}, explained={}, measured=measured, views=views)
    from pipeline.planning.bases import PlannedBase
    from pipeline.planning.sample import read_sample
    from pipeline.planning.speed import matmul_gflops

    # Several bases share the time, those that are written out as well.
    limits = Limits(
        budget_seconds=(budget_seconds or UNLIMITED_SECONDS) / len(embed.bases),
        gflops=matmul_gflops(),
        max_bytes=embed.max_bytes,
    )
    sample = read_sample(train_file, size=params.num_images, seed=params.seed)
    planned = {
        name: PlannedBase(name, own, sample, limits, params, fetch=_fetch)
        for name, own in is_open.items()
    }
    return Plan(
        bases={name: base.entry() for name, base in planned.items()},
        reasons={name: _reason(base, limits, sample) for name, base in planned.items()},
        explained={name: asdict(base.choice) for name, base in planned.items()},
        measured={
            "gflops": round(limits.gflops, 1),
            BUDGET: budget_seconds,
            "num_train": sample.num_train,
            "seconds": round(time.monotonic() - start, 1),
        },
        epochs={name: base.num_epochs for name, base in planned.items()},
        views=views | {name: base.num_views for name, base in planned.items()},
    )


def _reason(base: PlannedBase, limits: Limits, sample: Sample) -> str:
    """Returns why a choice was made, in one sentence."""
    from pipeline.planning.bases import cut_of

    choice = base.choice
    chosen, best, other = choice.chosen, choice.heads[0], choice.runner_up
    seconds = base.num_rows * chosen.seconds_per_image
    text = (
        f"{chosen.model} at {chosen.image_size} pixels: a ridge head on {cut_of(best)} reaches "
        f"{best.accuracy:.3f} on {chosen.num_images:,} training images and is expected to reach "
        f"{best.expected:.3f} on all {sample.num_train:,}; embedding takes {seconds:.0f} s at "
        f"most of the {EMBED_SHARE * limits.budget_seconds:.0f} s that there are for it"
    )
    if other is None:
        return f"{text}; nothing else was to be had."
    return (
        f"{text}; next best is {other.model} at {other.image_size} pixels, {other.expected:.3f} on "
        f"one cut, where this has {chosen.expected:.3f}."
    )


def _fetch(uri: str) -> AbstractContextManager[RegisteredFile]:
    # Only a base from the registry needs what reaches MLflow's store.
    from pipeline.records.model_registry.registered_file import registered_file

    return registered_file(Path.cwd(), uri, asked_by="model")


def main(*, dry_run: bool = False) -> None:
    """Runs the stage on the files that dvc.yaml names.

    Args:
        dry_run: Whether the plan is only printed.
    """
    params, embed = load_section(PlanParams, "plan"), load_section(EmbedParams, "embed")
    budget_seconds = read_budget()
    if not TRAIN_FILE.is_file():
        raise ConfigError(f"No {TRAIN_FILE} here. Run the stage `split` first.")
    if dry_run:
        for line in _planned(params, embed, budget_seconds).lines():
            print(line)
        return
    clock, inputs = Clock(Path.cwd(), budget_seconds), _inputs(params, embed)
    last = store_root(Path.cwd()) / LAST_PLAN
    kept = plan_for_more(last, inputs, budget_seconds)
    if kept is not None:
        logger.info(
            "the plan of a smaller budget stays; from now on `dvc repro -f plan` plans anew"
        )
        _keep(kept)
        return
    clock.reset("plan")
    with clock.running("plan"):
        plan = with_epochs_of(last, replace(_planned(params, embed, budget_seconds), inputs=inputs))
        for line in plan.lines():
            logger.info("%s", line)
        _keep(plan)


def _keep(plan: Plan) -> None:
    write_plan(plan, PLAN_FILE)
    # Last what a run that was cut off here goes on from: DVC deletes the other one. The plan of an
    # experiment in a copy is its own.
    if store_root(Path.cwd()) == Path.cwd().resolve():
        write_plan(plan, LAST_PLAN)


def _planned(params: PlanParams, embed: EmbedParams, budget_seconds: float | None) -> Plan:
    if any(own.is_open for own in embed.bases.values()):
        # After the refusals, which should not wait for TensorFlow to load.
        from pipeline.training.devices import configure_tensorflow

        configure_tensorflow(num_threads=num_cores())
    return run(params, embed, budget_seconds=budget_seconds, train_file=TRAIN_FILE)


def _inputs(params: PlanParams, embed: EmbedParams) -> str:
    of_embed = embed.model_dump(include={"bases", "max_bytes"})
    sections = json.dumps([params.model_dump(), of_embed], sort_keys=True)
    return hashlib.sha256(f"{sha256_file(TRAIN_FILE)} {sections}".encode()).hexdigest()
