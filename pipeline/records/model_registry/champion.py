"""When the alias `champion` moves: a comparison of what two versions showed, that is pure.

Two versions are compared only where they were judged alike: by the same objective on the same
confirmation images, which the digest of the training file stands for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from pipeline.evaluation.objectives import OBJECTIVES


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a model showed on the confirmation part; kept as tags of its version.

    Attributes:
        objective: A key of `OBJECTIVES`.
        data_digest: Of the training file, its division included.
        weights_sha256: Of the model's weights, in order.
        mean: Of the objective's metric over `num_seeds` trainings.
        low: Lower end of its 95% interval; None where one training shows no spread.
        high: Upper end of it, or None.
        n: Images of the confirmation part.
        num_seeds: Trainings with these hyperparameters.
    """

    objective: str
    data_digest: str
    weights_sha256: str
    mean: float
    low: float | None
    high: float | None
    n: int
    num_seeds: int

    @property
    def figures(self) -> dict[str, str | float | None]:
        """What the model showed, by name; what `registration.json` holds of it."""
        names = ("objective", "mean", "low", "high", "n", "num_seeds")
        return {name: getattr(self, name) for name in names}

    def tags(self) -> dict[str, str]:
        """Returns the evidence as tags of a model version."""
        figures = {name: getattr(self, name) for name in ("mean", "low", "high", "n", "num_seeds")}
        return {
            "objective": self.objective,
            "data_digest": self.data_digest,
            "weights_sha256": self.weights_sha256,
            **{
                f"confirmation.{n}": str(value) for n, value in figures.items() if value is not None
            },
        }

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Self | None:
        """Reads evidence back; None where a version has none, such as one made by hand."""
        try:
            return cls(
                objective=tags["objective"],
                data_digest=tags["data_digest"],
                weights_sha256=tags["weights_sha256"],
                mean=float(tags["confirmation.mean"]),
                low=_optional(tags.get("confirmation.low")),
                high=_optional(tags.get("confirmation.high")),
                n=int(tags["confirmation.n"]),
                num_seeds=int(tags["confirmation.num_seeds"]),
            )
        except (KeyError, ValueError):
            return None


@dataclass(frozen=True, kw_only=True)
class Champion:
    """The version that holds the alias.

    Attributes:
        version: Its number.
        evidence: What it showed, or None if nobody wrote that down.
    """

    version: str
    evidence: Evidence | None


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether the alias moves, and why, in a sentence that people read."""

    moves: bool
    reason: str


def decide(candidate: Evidence, champion: Champion | None) -> Decision:
    """Compares a version with the champion.

    It moves to a candidate that is strictly better on the same confirmation images. Where the two
    cannot be compared it moves too: the registry follows what the pipeline now works on.

    Args:
        candidate: What the candidate showed.
        champion: The present champion, or None.
    """
    if champion is None:
        return Decision(moves=True, reason="there was no champion yet")
    other = champion.evidence
    if other is None:
        reason = f"version {champion.version} carries no confirmation result to compare with"
        return Decision(moves=True, reason=reason)
    if (candidate.objective, candidate.data_digest) != (other.objective, other.data_digest):
        return Decision(moves=True, reason=_judged_otherwise(candidate, other, champion.version))
    objective = OBJECTIVES[candidate.objective]
    moves = objective.is_better(candidate.mean, other.mean)
    verb = "is better than" if moves else "is not better than"
    reason = (
        f"confirmation {objective.measure} {_figures(candidate)} {verb} "
        f"version {champion.version}'s {_figures(other)} on the same images"
    )
    return Decision(moves=moves, reason=reason)


def _judged_otherwise(candidate: Evidence, other: Evidence, version: str) -> str:
    return (
        f"version {version} was judged by {other.objective} on data {other.data_digest[:8]}, this "
        f"one by {candidate.objective} on data {candidate.data_digest[:8]}: not comparable, so "
        "the newer one is taken"
    )


def _figures(evidence: Evidence) -> str:
    interval = interval_text(evidence)
    return (
        f"{evidence.mean:.4f} ({f'{interval}, ' if interval else ''}"
        f"n={evidence.n}, {evidence.num_seeds} seeds)"
    )


def interval_text(evidence: Evidence) -> str:
    """Returns the 95% interval in words; empty where there is none."""
    if evidence.low is None or evidence.high is None:
        return ""
    return f"95% interval {evidence.low:.4f} to {evidence.high:.4f}"


def _optional(text: str | None) -> float | None:
    return None if text is None else float(text)
