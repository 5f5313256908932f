"""A trial as typed, plain data, and as an entry of `study.json`; free of Optuna and MLflow.

The search makes trials, `records.studies` keeps them in Optuna's store and reads them from there,
and everybody else is given a `TrialRecord`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

from pipeline.hyperparameter import Hyperparameters, Value
from pipeline.trials.epochs import restored

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from pipeline.training.messages import EpochRecord

T = TypeVar("T", bound="DataclassInstance")
State = Literal["COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING"]
FINISHED: Final = ("COMPLETE", "PRUNED")
OPEN: Final = ("RUNNING", "WAITING")
CUT_OFF: Final = "CUT OFF"

# Attributes that the driver logs as tags.
TAGS: Final = (
    *("seed", "attempt", "retry_of", "duplicate_of", "taken_over_from", "rung", "share"),
    *("promoted_from", "code_sha256", "outcome", "reason"),
)


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """The metrics of one epoch.

    Attributes:
        epoch: Counted from 0.
        metrics: By name, those of its health among them; finite ones only, since JSON has no NaN.
        at_ms: When it ended, milliseconds since 1970.
    """

    epoch: int
    metrics: Mapping[str, float]
    at_ms: int


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One attempt at a configuration.

    Attributes:
        number: Its place in the study, counted from 0.
        state: As Optuna calls it; COMPLETE and PRUNED are finished, RUNNING and WAITING are open.
        value: The objective that it reached; of a pruned trial the best until then. None if there
            is none.
        hyperparameters: All active ones; empty if it was cut off before it had them.
        intermediate_values: The objective by epoch, as it was reported.
        params: The part of the hyperparameters that was searched, as Optuna stores it.
        distributions: What each of these was drawn from, as Optuna writes it in JSON.
        attributes: What was noted of it, by the driver or by a user: `user_attrs` in Optuna.
        system_attributes: What Optuna itself noted of it.
        started: When its training began; without a zone it is local time. None while it waits.
        ended: When it ended, likewise.
    """

    number: int
    state: State
    value: float | None = None
    hyperparameters: Hyperparameters = field(default_factory=dict)
    intermediate_values: Mapping[int, float] = field(default_factory=dict)
    params: Hyperparameters = field(default_factory=dict)
    distributions: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    system_attributes: Mapping[str, Any] = field(default_factory=dict)
    started: datetime | None = None
    ended: datetime | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Reads an entry of `study.json`."""
        reported = content.get("intermediate_values", {})
        return as_record(
            cls,
            content,
            intermediate_values={int(epoch): value for epoch, value in reported.items()},
            attributes=content.get("user_attrs", {}),
            system_attributes=content.get("system_attrs", {}),
            started=_moment(content.get("datetime_start")),
            ended=_moment(content.get("datetime_complete")),
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the entry of `study.json`."""
        return {
            "number": self.number,
            "state": self.state,
            "value": self.value,
            "params": self.params,
            "distributions": self.distributions,
            "hyperparameters": self.hyperparameters,
            "intermediate_values": {str(k): v for k, v in self.intermediate_values.items()},
            "user_attrs": self.attributes,
            "system_attrs": self.system_attributes,
            "datetime_start": self.started and self.started.isoformat(),
            "datetime_complete": self.ended and self.ended.isoformat(),
            "seconds": self.seconds,
        }

    @property
    def is_finished(self) -> bool:
        """Whether it gave a result; a diverged one did, as a pruned trial."""
        return self.state in FINISHED

    @property
    def is_open(self) -> bool:
        """Whether it runs or waits."""
        return self.state in OPEN

    @property
    def finite_value(self) -> float | None:
        """The value, or None where it is none that MLflow can hold."""
        return self.value if self.value is not None and math.isfinite(self.value) else None

    @property
    def loss(self) -> float:
        """The validation loss beside the value, which tells equals apart; infinite if unknown."""
        return self.metrics.get("val_loss", math.inf)

    @property
    def curve(self) -> dict[int, float]:
        """The objective by epoch, in order; only what is finite."""
        return only_finite(self.intermediate_values.items())

    @property
    def seconds(self) -> float | None:
        """How long it took; None unless it has ended."""
        if self.started is None or self.ended is None:
            return None
        return (self.ended - self.started).total_seconds()

    @property
    def start_ms(self) -> int:
        """When it started, milliseconds since 1970."""
        return _milliseconds(self.started or self.ended)

    @property
    def end_ms(self) -> int:
        """When it ended, milliseconds since 1970; its start if it has not."""
        return _milliseconds(self.ended or self.started)

    @property
    def seed(self) -> int:
        """Root of what is drawn in its training."""
        return int(self.attributes["seed"])

    @property
    def code_sha256(self) -> str | None:
        """Hash of the code that trained it; earlier releases did not note it."""
        return self.attributes.get("code_sha256")

    @property
    def duplicate_of(self) -> int | None:
        """Number of the trial whose result it was given, being the same configuration."""
        return self.attributes.get("duplicate_of")

    @property
    def share(self) -> float:
        """What its training was given of a whole one, in (0, 1]; 1 where a study has no rungs."""
        return float(self.attributes.get("share", 1.0))

    @property
    def rung(self) -> int | None:
        """Where it was trained, counted from 0 at the lowest; None where a study has no rungs."""
        return self.attributes.get("rung")

    @property
    def promoted_from(self) -> int | None:
        """Number of the trial of the rung below that it goes on with."""
        return self.attributes.get("promoted_from")

    @property
    def is_diverged(self) -> bool:
        """Whether its loss or weights became non-finite."""
        return self.attributes.get("outcome") == "diverged"

    @property
    def ending(self) -> str:
        """Its state, or `CUT_OFF` if the clock, a user or a lost machine made it fail."""
        is_cut_off = self.state == "FAIL" and self.attributes.get("retry") == "free"
        return CUT_OFF if is_cut_off else self.state

    @property
    def queued(self) -> Hyperparameters:
        """What was settled before a sampler was asked: by a user, or by the attempt before."""
        return self.system_attributes.get("fixed_params", {})  # type: ignore[no-any-return]

    @property
    def metrics(self) -> dict[str, float]:
        """What was measured once, at the end."""
        found = self.attributes.get("metrics") or {}
        return {name: float(value) for name, value in found.items() if value is not None}

    @property
    def traceback(self) -> str | None:
        """Why it failed, as Python printed it; None if it did not."""
        text = self.attributes.get("traceback")
        return None if text is None else str(text)

    @property
    def texts(self) -> dict[str, str]:
        """Its hyperparameters as MLflow stores them.

        A trial that was killed right after it was asked for has only what Optuna had sampled.
        """
        values = self.hyperparameters or self.params
        return {name: str(value) for name, value in values.items()}

    @property
    def tags(self) -> dict[str, str]:
        """What else the driver tells of it; MLflow takes 8,000 characters."""
        found = {name: self.attributes.get(name) for name in TAGS}
        return {name: str(value)[:5000] for name, value in found.items() if value is not None}

    @property
    def epoch_records(self) -> list[EpochRecord]:
        """Its epochs as they were trained; none where an earlier release was killed."""
        return [restored(content) for content in self.attributes.get("epochs") or []]

    def uid(self, *, study_uid: str) -> str:
        """Returns the uid that the driver gave it, else the one that it would have given.

        >>> TrialRecord(number=7, state="WAITING").uid(study_uid="0123456789abcdef")
        '0123456789ab-0007'
        """
        given = self.attributes.get("trial_uid")
        return str(given or f"{study_uid[:12]}-{self.number:04d}")

    def epochs(self, *, metric: str) -> list[Epoch]:
        """Returns all that is known about its epochs, in order.

        Where an earlier release was killed, there is only what was reported of them.

        Args:
            metric: The objective's name among an epoch's metrics.
        """
        reported = self.curve
        detailed = {int(one["epoch"]): one for one in self.attributes.get("epochs") or []}
        start, duration = self.start_ms, max(self.end_ms - self.start_ms, 0)
        total = max([*reported, *detailed], default=-1) + 1
        return [
            Epoch(
                epoch=epoch,
                metrics={
                    **(restored(detailed[epoch]).finite_metrics if epoch in detailed else {}),
                    **({metric: reported[epoch]} if epoch in reported else {}),
                },
                # Where the study holds no time, epochs are spread evenly: wrong by little, and the
                # same each time, so that writing twice doubles nothing.
                at_ms=detailed.get(epoch, {}).get("at_ms", start + duration * (epoch + 1) // total),
            )
            for epoch in sorted({*reported, *detailed})
        ]


def as_record(kind: type[T], content: Mapping[str, Any], **read: Any) -> T:
    """Returns a dataclass whose fields are named as the keys of JSON.

    Args:
        kind: The dataclass.
        content: Parsed JSON; keys that are no field are left out, and missing ones get defaults.
        read: Fields that are not as in the JSON.
    """
    known = {own.name: content[own.name] for own in fields(kind) if own.name in content}
    return kind(**{**known, **read})


def only_finite(points: Iterable[tuple[int, float | None]]) -> dict[int, float]:
    """Returns points by epoch, in order, without those that no study holds: NaN and infinite."""
    return {e: float(v) for e, v in sorted(points) if v is not None and math.isfinite(v)}


def canonical(values: Mapping[str, Value]) -> str:
    """Returns a text that is the same for the same values, whatever their order."""
    return json.dumps(dict(values), sort_keys=True)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _milliseconds(moment: datetime | None) -> int:
    # Optuna's times are local and have no zone; `timestamp` reads such a time as local.
    return 0 if moment is None else round(moment.timestamp() * 1000)
