"""What the stage `plan` concludes, as `results/plan.json` holds it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pipeline.errors import ConfigError
from pipeline.features.params import BaseParams, EmbedParams
from pipeline.files import read_json, write_json
from pipeline.plan_record import PLAN_FILE

BUDGET: Final = "budget_seconds"
"""Key of `Plan.measured`."""
COLUMNS: Final = (
    "Base",
    "Pixels",
    "Images a second",
    "Best single cut",
    "On the sample",
    "Expected on all",
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What `auto` becomes, and why.

    Attributes:
        bases: By the name under `embed.bases`: keys of that entry and their values. Entries of
            which nothing was to be chosen have none.
        reasons: By the same names, a sentence each.
        explained: By the same names, what was looked at: `heads` and `candidates`, as in
            `planning.choice`, and `mirror_gain`, with its standard error, or None.
        measured: What it was concluded from: `gflops` of float32 matrix products, `budget_seconds`
            (None: no limit), `num_train` images of the training part, and the `seconds` that the
            plan itself took. Where nothing was to be chosen the budget alone.
        epochs: Most of a whole training on a base, by the same names.
        views: How many there are of each training image, by the name of every base under
            `embed.bases`.
        inputs: SHA-256 of what it follows from, beside the budget and the machine: the images and
            what params.yaml leaves open. Empty in plans of earlier releases.
    """

    bases: Mapping[str, Mapping[str, Any]]
    reasons: Mapping[str, str]
    explained: Mapping[str, Mapping[str, Any]]
    measured: Mapping[str, float | None]
    epochs: Mapping[str, int] = field(default_factory=dict)
    views: Mapping[str, int] = field(default_factory=dict)
    inputs: str = ""

    def lines(self) -> list[str]:
        """Returns what was chosen and what was looked at, for people."""
        if not self.bases:
            return ["params.yaml leaves nothing open: there is nothing to plan"]
        lines = []
        for name, chosen in self.bases.items():
            lines += [
                f"{name}: {self.reasons[name]}",
                *_table([COLUMNS, *candidate_rows(self.explained[name])]),
            ]
            lines += [f"{name}.{key}: {value}" for key, value in chosen.items()]
            lines.append(f"{name}: search.epochs, where it is auto: {self.epochs[name]}")
            lines.append(_mirror_line(self.explained[name]["mirror_gain"]))
        return lines


def candidate_rows(explained: Mapping[str, Any]) -> list[list[str]]:
    """Returns a row of texts for each base and size that was looked at, as `COLUMNS`.

    Args:
        explained: An entry of `Plan.explained`.
    """
    rows = []
    for found in explained["candidates"]:
        part, speed = found["part"], f"{1 / found['seconds_per_image']:,.0f}"
        cut = f"{part['cut']}, {part['pooling']}" if part else "too slow"
        scores = [f"{found[key]:.3f}" if part else "-" for key in ("accuracy", "expected")]
        rows.append([found["model"], str(found["image_size"]), speed, cut, *scores])
    return rows


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _mirror_line(gain: Sequence[float] | None) -> str:
    if gain is None:
        return "mirrored images: not asked, or no time or room for them"
    return f"mirrored images: {gain[0]:+.3f} accuracy, standard error {gain[1]:.3f}"


def write_plan(plan: Plan, file: Path) -> None:
    """Writes a plan, whole or not at all."""
    write_json(file, asdict(plan))


def read_plan(file: Path) -> Plan:
    """Reads a plan.

    Raises:
        ConfigError: If there is none yet.
    """
    if not file.is_file():
        raise ConfigError(f"No {file} here. Run the stage `plan` first.")
    return Plan(**read_json(file))


def plan_for_more(file: Path, inputs: str, budget_seconds: float | None) -> Plan | None:
    """Returns the plan that is there for a budget that is larger now, or None.

    Whoever gives more time wants to go on with what is there: another base, or other cuts, would
    begin anew.

    Args:
        file: The plan, if there is one.
        inputs: As `Plan.inputs`.
        budget_seconds: The budget as it is now; None: no limit.
    """
    if not file.is_file():
        return None
    plan = read_plan(file)
    # Earlier releases noted none where nothing was open.
    last = plan.measured.get(BUDGET, 0.0)
    if plan.inputs != inputs or _seconds(last) >= _seconds(budget_seconds):
        return None
    return replace(plan, measured={**plan.measured, BUDGET: budget_seconds})


def _seconds(budget_seconds: float | None) -> float:
    return math.inf if budget_seconds is None else budget_seconds


def with_epochs_of(file: Path, plan: Plan) -> Plan:
    """Returns a plan with the epochs of an earlier one where that chose the same for a base.

    They follow a speed that differs from minute to minute, and a study of other epochs is another
    one: what has been trained would be lost.

    Args:
        file: The earlier plan, if there is one. Of other inputs or another budget it says nothing.
        plan: The new one.
    """
    if not file.is_file():
        return plan
    last = read_plan(file)
    if last.inputs != plan.inputs or last.measured.get(BUDGET) != plan.measured.get(BUDGET):
        return plan
    same = {name: last.epochs[name] for name in last.epochs if last.bases[name] == plan.bases[name]}
    return replace(plan, epochs={**plan.epochs, **same})


def with_plan(params: EmbedParams, file: Path) -> EmbedParams:
    """Returns the section `embed` with what the plan chose in the place of each `auto`.

    Args:
        params: The section.
        file: The plan; it need not be there where nothing is left open.

    Raises:
        ConfigError: If there is no plan, or it leaves something open: it was made for another
            section.
    """
    if not any(own.is_open for own in params.bases.values()):
        return params
    plan, bases = read_plan(file), {}
    for name, own in params.bases.items():
        chosen = plan.bases.get(name, {}) if own.is_open else {}
        bases[name] = BaseParams.model_validate({**own.model_dump(), **chosen})
        if bases[name].is_open:
            raise ConfigError(
                f"{PLAN_FILE} says nothing of embed.bases.{name}. Run the stage `plan` again."
            )
    return params.model_copy(update={"bases": bases})
