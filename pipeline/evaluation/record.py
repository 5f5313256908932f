"""What `evaluate` found out beside the metrics: `results/evaluation.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from pipeline.evaluation.abstention import Abstention
from pipeline.evaluation.intervals import CONFIDENCE, Interval


@dataclass(frozen=True, kw_only=True)
class CostRecord:
    """What the exported file takes; how fast it is, which no two runs agree on, is elsewhere.

    Attributes:
        engine: What ran it, `onnxruntime` or `tensorflow`.
        megabytes: Size of the file, 1e6 bytes.
        num_parameters: Its weights.
    """

    engine: str
    megabytes: float
    num_parameters: int


@dataclass(frozen=True, kw_only=True)
class CorruptionRecord:
    """What a corruption of the images costs.

    Attributes:
        name: A key of `evaluation.corruptions.CORRUPTIONS`.
        accuracy: On the corrupted images.
        change: Of the accuracy from the same images as they are; below 0 if it falls.
    """

    name: str
    accuracy: Interval
    change: Interval


@dataclass(frozen=True, kw_only=True)
class DropoutRecord:
    """What the mean over passes with dropout switched on gives.

    Attributes:
        num_passes: Over each image.
        metrics: `accuracy`, `log_loss` and `ece` on the test part.
        abstentions: Where it leaves out what it is least certain of.
    """

    num_passes: int
    metrics: Mapping[str, Interval]
    abstentions: Sequence[Abstention]


@dataclass(frozen=True, kw_only=True)
class StudyEvaluation:
    """What was found out about a study's exported model.

    Attributes:
        cost: What it takes.
        abstentions: Where it leaves out what it is least certain of.
        corruptions: One for each that was tried.
        dropout: None where the model has no dropout, or no passes were asked for.
    """

    cost: CostRecord
    abstentions: Sequence[Abstention]
    corruptions: Sequence[CorruptionRecord]
    dropout: DropoutRecord | None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Reads an entry of `studies`."""
        dropout = content["dropout"]
        return cls(
            cost=CostRecord(**content["cost"]),
            abstentions=_abstentions(content),
            corruptions=[
                CorruptionRecord(
                    name=one["name"],
                    accuracy=Interval(**one["accuracy"]),
                    change=Interval(**one["change"]),
                )
                for one in content["corruptions"]
            ],
            dropout=dropout
            and DropoutRecord(
                num_passes=dropout["num_passes"],
                metrics={name: Interval(**one) for name, one in dropout["metrics"].items()},
                abstentions=_abstentions(dropout),
            ),
        )


@dataclass(frozen=True, kw_only=True)
class ComparisonRecord:
    """Two studies' models on the same test images.

    Attributes:
        first: A study.
        second: Another one.
        difference: Accuracy of the first less that of the second.
        only_first: Images that the first alone gets right.
        only_second: Images that the second alone gets right.
        p_value: McNemar's, exact and two-sided.
    """

    first: str
    second: str
    difference: Interval
    only_first: int
    only_second: int
    p_value: float

    @property
    def is_clear(self) -> bool:
        """Whether chance is no explanation: the interval excludes 0, and McNemar's test agrees.

        Of few disagreements the interval alone says too much: if four images are right in one model
        only, it excludes 0 whatever n, and p is 0.125.
        """
        excludes_0 = self.difference.low > 0 or self.difference.high < 0
        return excludes_0 and self.p_value <= 1 - CONFIDENCE

    def seen_from(self, study: str) -> ComparisonRecord:
        """Returns the same with one of the two studies as the first."""
        if study == self.first:
            return self
        found = self.difference
        return ComparisonRecord(
            first=self.second,
            second=self.first,
            difference=replace(found, value=-found.value, low=-found.high, high=-found.low),
            only_first=self.only_second,
            only_second=self.only_first,
            p_value=self.p_value,
        )


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """The whole file.

    Attributes:
        studies: By name.
        comparisons: One for each pair of studies.
    """

    studies: Mapping[str, StudyEvaluation]
    comparisons: Sequence[ComparisonRecord]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Reads what `to_json` returned."""
        return cls(
            studies={n: StudyEvaluation.from_json(one) for n, one in content["studies"].items()},
            comparisons=[
                ComparisonRecord(**{**one, "difference": Interval(**one["difference"])})
                for one in content["comparisons"]
            ],
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the content of the file."""
        return asdict(self)


def _abstentions(content: Mapping[str, Any]) -> list[Abstention]:
    return [Abstention(**one) for one in content["abstentions"]]
