"""The model that a confirmation exported: the entry `exported` of `confirm.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pipeline.trials.record import as_record


@dataclass(frozen=True, kw_only=True)
class MemberRecord:
    """A training that is part of the exported model.

    Attributes:
        number: Number of the trial in the search that its configuration comes from.
        seed: Seed that it was trained with.
        starts_from: The cut whose features it takes.
        weights_sha256: SHA-256 of its weights from this cut on.
    """

    number: int
    seed: int
    starts_from: str = ""
    weights_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class PriceRecord:
    """What a model of raw images gives, and what it takes; as `training.price.Price`.

    Attributes:
        num_networks: Trainings that it averages, >= 1.
        metrics: Of what they answer on the confirmation part: `accuracy`, `log_loss` (nats) and
            `macro_f1`.
        images_per_second: Raw images, in TensorFlow, on the machine that exported it.
        megabytes: Of its weights, 1e6 bytes.
        num_parameters: Weights, those of the base among them.
    """

    num_networks: int
    metrics: Mapping[str, float]
    images_per_second: float
    megabytes: float
    num_parameters: int


@dataclass(frozen=True, kw_only=True)
class ExportRecord:
    """The model file that `confirm` wrote.

    Attributes:
        file: Its path in the repository.
        rule: What was exported, in words.
        file_sha256: SHA-256 of the file; empty in early releases.
        weights_sha256: SHA-256 of all its weights.
        members: The trainings that it averages, the winner's first; in early releases empty.
        compared: Where several trainings could have been averaged, the first alone and all of them;
            else empty, as in early releases.
        reason: Why it is the one or the other; empty where there is one network only.
        max_slowdown: `confirm.max_slowdown`; 0 in early releases.
        verified: As `training.ensemble.Verified`: what the file itself reached on raw images. None
            in early releases, which did not run it.
        answers_sha256: SHA-256 of `answers.npy` beside `confirm.json`: what the winner's trainings
            answer on the confirmation part; empty in early releases.
    """

    file: str
    rule: str
    file_sha256: str = ""
    weights_sha256: str = ""
    members: Sequence[MemberRecord] = ()
    compared: Sequence[PriceRecord] = ()
    reason: str = ""
    max_slowdown: float = 0.0
    verified: Mapping[str, object] | None = None
    answers_sha256: str = ""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Reads the entry `exported`."""
        return as_record(
            cls,
            content,
            members=[as_record(MemberRecord, one) for one in content.get("members", [])],
            compared=[as_record(PriceRecord, one) for one in content.get("compared", [])],
        )
