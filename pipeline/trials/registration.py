"""What `register` made of the best study's model: `results/registration.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from pipeline.files import read_json, write_json
from pipeline.workspace import REGISTRATION_FILE


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

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Reads the content of `registration.json`."""
        return cls(**{own.name: content[own.name] for own in fields(cls) if own.name in content})

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
    unknown = [name for name in ("chain", "stayed") if content[name] is None]
    known = {name: value for name, value in content.items() if name not in unknown}
    write_json(root / REGISTRATION_FILE, known)
