"""What was planned before anything was embedded, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.planning.plan import Plan, candidate_rows


@dataclass(frozen=True, kw_only=True)
class PlanView:
    """The choice for one entry of `embed.bases`.

    Attributes:
        name: Name of the entry.
        reason: Why it was chosen, one sentence.
        chosen: Its keys and what they became, as text.
        candidates: A row for each base and size that was looked at, as `planning.plan.COLUMNS`.
    """

    name: str
    reason: str
    chosen: Sequence[tuple[str, str]]
    candidates: Sequence[Sequence[str]]


def view_plan(plan: Plan | None) -> list[PlanView]:
    """Returns what a plan says, one view for each base that was left open.

    Args:
        plan: None where a checkout was run before there were plans.
    """
    if plan is None:
        return []
    return [
        PlanView(
            name=name,
            reason=plan.reasons[name],
            chosen=[(key, _text(value)) for key, value in chosen.items()],
            candidates=candidate_rows(plan.explained[name]),
        )
        for name, chosen in plan.bases.items()
    ]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
