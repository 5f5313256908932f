"""What was planned before anything was embedded, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

COLUMNS: Final = (
    "Base",
    "Pixels",
    "Images a second",
    "Best single cut",
    "On the sample",
    "Expected on all",
)


@dataclass(frozen=True, kw_only=True)
class PlanView:
    """The choice for one entry of `embed.bases`.

    Attributes:
        name: Of the entry.
        reason: One sentence.
        chosen: Its keys and what they became, as text.
        candidates: A row for each base and size that was looked at, as `COLUMNS`.
    """

    name: str
    reason: str
    chosen: Sequence[tuple[str, str]]
    candidates: Sequence[Sequence[str]]


def view_plan(plan: Mapping[str, Any] | None) -> list[PlanView]:
    """Returns what `results/plan.json` says, one view for each base that was left open.

    Args:
        plan: The file's content; None where there is none.
    """
    if plan is None:
        return []
    return [
        PlanView(
            name=name,
            reason=plan["reasons"][name],
            chosen=[(key, _text(value)) for key, value in chosen.items()],
            candidates=[_row(each) for each in plan["explained"][name]["candidates"]],
        )
        for name, chosen in plan["bases"].items()
    ]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _row(found: Mapping[str, Any]) -> list[str]:
    part, speed = found["part"], f"{1 / found['seconds_per_image']:,.0f}"
    cut = f"{part['cut']}, {part['pooling']}" if part else "too slow for the budget"
    scores = [f"{found[key]:.3f}" if part else "-" for key in ("accuracy", "expected")]
    return [found["model"], str(found["image_size"]), speed, cut, *scores]
