"""What `register` made of the best study's model: `results/registration.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from pipeline.files import read_json, write_json
from pipeline.workspace import REGISTRATION_FILE


@dataclass(frozen=True, kw_only=True)
class BaselineRecord:
    """How a winner compares with that of a study without a base, on the confirmation part.

    Attributes:
        study: Whose winner it is compared with, a name below `studies` in params.yaml.
        objective: A key of `OBJECTIVES`.
        difference: How much better the mean of the one's trainings is than of the other's, in the
            objective's unit; below 0 if it is worse.
        low: Lower end of the interval of that, over images and seeds drawn anew.
        high: Upper end of it. Where there are several baselines, the intervals of all hold together
            in 95% of cases.
        n: Images.
        num_seeds: Trainings of the one and of the other.
    """

    study: str
    objective: str
    difference: float
    low: float
    high: float
    n: int
    num_seeds: Sequence[int]

    @property
    def told(self) -> str:
        """Says which is better, in a sentence without its end."""
        measure = self.objective.removeprefix("val_").replace("_", " ")
        found = (
            f"better than {self.study}'s"
            if self.low > 0
            else f"worse than {self.study}'s"
            if self.high < 0
            else f"not shown to be better than {self.study}'s"
        )
        return (
            f"its mean {measure} is {found}, by {self.difference:.4f} ({self.low:.4f} to "
            f"{self.high:.4f}; {self.n:,} confirmation images, {self.num_seeds[0]} and "
            f"{self.num_seeds[1]} seeds)"
        )


@dataclass(frozen=True, kw_only=True)
class RegistrationRecord:
    """A registered version, as `registration.json` holds it.

    Attributes:
        registered_model: Name of the model that it is a version of.
        version: Its number in the registry, as text.
        registered: Whether it was made then, and not there before.
        champion: Whether it held the alias `champion` afterwards.
        reason: Why, in a sentence.
        study: Whose model it is, a name below `studies` in params.yaml.
        weights_sha256: SHA-256 of all the model's weights.
        confirmation: The evidence: `objective`, `mean`, `low`, `high`, `n`, `num_seeds`.
        lineage: `lineage.revision_tags` of when it was made; None in early releases.
        chain: As `records.chain.chain_of` returned it; None in early releases.
        stayed: `version` of the champion that stayed when this one was compared with it, or had
            been rolled back from, and the `data_digest` of that; None if it became champion.
        baseline: How its study's winner compares with the best without a base; None where there is
            no such study, and in early releases.
    """

    registered_model: str
    version: str
    registered: bool
    champion: bool
    reason: str
    study: str
    weights_sha256: str
    confirmation: Mapping[str, str | float | None]
    lineage: Mapping[str, str] | None = None
    chain: Mapping[str, Mapping[str, str]] | None = None
    stayed: Mapping[str, str] | None = None
    baseline: BaselineRecord | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Reads the content of `registration.json`."""
        known = {own.name: content[own.name] for own in fields(cls) if own.name in content}
        found = content.get("baseline")
        return cls(**known | {"baseline": None if found is None else BaselineRecord(**found)})

    @property
    def stamp(self) -> dict[str, str | int]:
        """What the stamp of stage `register` holds of it."""
        return {"study": self.study, "weights_sha256": self.weights_sha256}


def registration_of(root: Path) -> RegistrationRecord | None:
    """Returns what was registered from the checkout `root`, or None if nothing was."""
    file = root / REGISTRATION_FILE
    return RegistrationRecord.from_json(read_json(file)) if file.is_file() else None


def write_registration(root: Path, record: RegistrationRecord) -> None:
    """Writes `registration.json`."""
    content = asdict(record)
    unknown = [name for name in ("chain", "stayed", "baseline") if content[name] is None]
    known = {name: value for name, value in content.items() if name not in unknown}
    write_json(root / REGISTRATION_FILE, known)
