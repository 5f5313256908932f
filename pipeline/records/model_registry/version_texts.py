"""What a version of a registered model says of itself: metrics, tags, and a description."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from pipeline.files import sha256_file
from pipeline.plural import plural
from pipeline.records.chain import chain_tags
from pipeline.records.model_registry.champion import interval_text
from pipeline.records.model_registry.registered_models import CONTRACT, contract

if TYPE_CHECKING:
    from pipeline.records.model_registry.versions import Candidate
    from pipeline.trials.confirmation import ConfirmationRecord

MOST_CHARACTERS: Final = 5000
"""Tags and parameters of MLflow hold texts of a few thousand."""


def version_metrics(confirm: ConfirmationRecord) -> dict[str, float]:
    """Returns what a version's run says of the confirmation part, by the names of metrics."""
    names = ("mean", "std", "low", "high", "num_seeds")
    own = {name: getattr(confirm.winner, name) for name in names}
    standing = confirm.winner.standing
    figures = {
        **own,
        "n": confirm.n,
        **confirm.metrics,
        "probability_best": standing.probability_best if standing else None,
        "selection_bias": confirm.selection_bias,
    }
    # One training shows no spread.
    return {f"confirmation_{n}": float(value) for n, value in figures.items() if value is not None}


def version_tags(candidate: Candidate) -> dict[str, str]:
    """Returns the tags of a version and its run: where it comes from, and what speaks for it."""
    confirm = candidate.confirm
    return {
        **candidate.lineage,
        "dataset": candidate.split.dataset,
        **_range_tag(candidate.split.value_range),
        CONTRACT: contract(candidate.split),
        "study": confirm.study,
        "base": confirm.base,
        # Where the base is a registered model itself, these lead to it.
        **{f"base.{key}": str(value) for key, value in confirm.base_source.items()},
        "trial": str(confirm.winner.number),
        "trials": _distinct(one.number for one in confirm.exported.members),
        "seeds": _distinct(one.seed for one in confirm.exported.members),
        "model_sha256": sha256_file(candidate.model_file),
        "export_rule": confirm.exported.rule[:MOST_CHARACTERS],
        **candidate.evidence.tags(),
        **chain_tags(candidate.chain),
    }


def _range_tag(value_range: Sequence[float] | None) -> dict[str, str]:
    return {} if value_range is None else {"value_range": ", ".join(map(str, value_range))}


def _distinct(numbers: Iterable[int]) -> str:
    return ", ".join(dict.fromkeys(map(str, numbers)))


def version_description(candidate: Candidate) -> str:
    """Returns what a person reads first of a version in MLflow's UI, Markdown."""
    evidence, confirm = candidate.evidence, candidate.confirm
    members, found = confirm.exported.members, interval_text(evidence)
    interval = f", {found}" if found else ""
    return (
        f"Trial {confirm.winner.number} of study `{confirm.study}` (base {confirm.base}). "
        f"{evidence.objective.removeprefix('val_')} on {evidence.n} confirmation images, over "
        f"{plural(evidence.num_seeds, 'seed')}: {evidence.mean:.4f}{interval}. "
        f"In the file: trial {_distinct(one.number for one in members)}, trained again with seed "
        f"{_distinct(one.seed for one in members)}; {confirm.exported.rule}. "
        "The test images had no part in this choice.\n\n"
        "What to click: *Source Run* has its figures, tags `test...` among them; the logged model "
        "below it has `MODEL_CARD.md`, which says what it is for and where it fails."
    )
