"""What `diagnose` found out about the winner of a study: `results/diagnosis/STUDY.json`.

An error is what is left to gain: of accuracy and macro F1 what they lack of 1, of log loss itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self

from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.files import read_json, write_json
from pipeline.hyperparameter import Hyperparameters
from pipeline.trials.bounds import BoundRecord
from pipeline.trials.effects import (
    AblationRecord,
    ImportancesRecord,
    RandomRecord,
)
from pipeline.trials.record import as_record
from pipeline.workspace import diagnosis_file

WORTHWHILE: Final = 0.1
"""Share of the errors that twice as many images must remove to be worth gathering."""
CLEAR: Final = 0.8
"""How likely that must be for a yes, and how unlikely for a no."""
QUARTER: Final = 0.25
"""Share of the errors, for which it is said how many images would remove them."""
HALF: Final = 0.5
"""Share of the errors on new images that, made on training images already, are a lack of fit."""


@dataclass(frozen=True, kw_only=True)
class SizeRecord:
    """What trainings of the winner's configuration on equally many images reached.

    Attributes:
        num_images: That each learned from.
        errors: On the part that judges, one for each seed.
        train_errors: On images that it learned from, without dropout; None of the confirmation's.
    """

    num_images: int
    errors: Sequence[float]
    train_errors: Sequence[float] | None

    @property
    def mean(self) -> float:
        """Of the errors."""
        return sum(self.errors) / len(self.errors)


@dataclass(frozen=True, kw_only=True)
class RangeRecord:
    """What is expected, and the 95% interval; None for more than is said anything about."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class MoreDataRecord:
    """What more training images would bring, by `evaluation.learning_curve`.

    Attributes:
        error: Expected of all images there are.
        doubled: Expected of twice as many.
        gain: Share of the error that goes when they are doubled.
        probability: How likely that share is `WORTHWHILE` or more.
        needed: Images with which `QUARTER` of the errors would be gone.
        foretold: What all sizes but the largest foretell of that; None if they are too few.
        found: What it reached.
    """

    error: RangeRecord
    doubled: RangeRecord
    gain: RangeRecord
    probability: float
    needed: RangeRecord
    foretold: RangeRecord | None
    found: float

    @property
    def answer(self) -> Literal["yes", "no", "unclear"]:
        """Whether to gather more data."""
        if self.probability >= CLEAR:
            return "yes"
        return "no" if self.probability <= 1 - CLEAR else "unclear"

    @property
    def was_right(self) -> bool | None:
        """Whether the largest size is where the others foretold it; None: they were too few."""
        if self.foretold is None or self.foretold.low is None or self.foretold.high is None:
            return None
        return self.foretold.low <= self.found <= self.foretold.high


@dataclass(frozen=True, kw_only=True)
class DiagnosisRecord:
    """A diagnosis, as its file holds it.

    Attributes:
        study: Name of the study below `studies` in params.yaml.
        objective: A key of `OBJECTIVES`.
        base: Name of the base; `none` of pixels.
        number: Number of the winner's trial.
        hyperparameters: Of the winner.
        part: What judged, `confirmation`: neither did the search choose by it, nor is it the test
            part, which decides nothing.
        n: Number of images in that part.
        num_images: In the training part.
        num_sizes: Of the learning curve, if there is time for all; all images are one of them.
        num_seeds: The winner's trainings in the confirmation.
        error: The winner's on that part, their mean.
        low: Lower end of the interval of that, over the part's images; None unless of accuracy.
        high: Upper end.
        epoch_error: On the training images, as averaged over the best epoch: with dropout, and with
            weights that were still changing, so the true one is hardly higher. None of macro F1.
        seconds: That trainings might take, wall clock; None: there were to be none.
        sizes: The learning curve, fewest images first; the last is the confirmation.
        more_data: What follows of it; None where the sizes are too few.
        importances: None where the trials are too few.
        ablation: None where nothing was changed.
        bounds: Values of the winner near the end of what was searched.
        num_duplicates: Trials that were given the result of an equal one.
        random: None where no trial was drawn at random.
    """

    study: str
    objective: str
    base: str
    number: int
    hyperparameters: Hyperparameters
    part: str
    n: int
    num_images: int
    num_sizes: int
    num_seeds: int
    error: float
    low: float | None
    high: float | None
    epoch_error: float | None
    seconds: float | None
    sizes: Sequence[SizeRecord] = ()
    more_data: MoreDataRecord | None = None
    importances: ImportancesRecord | None = None
    ablation: AblationRecord | None = None
    bounds: Sequence[BoundRecord] = ()
    num_duplicates: int = 0
    random: RandomRecord | None = field(default=None)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Reads the content of the file."""
        return as_record(
            cls,
            content,
            sizes=[SizeRecord(**one) for one in content["sizes"]],
            more_data=_more_data(content["more_data"]),
            importances=ImportancesRecord.from_json(content["importances"])
            if content["importances"]
            else None,
            ablation=AblationRecord.from_json(content["ablation"]) if content["ablation"] else None,
            bounds=[BoundRecord(**one) for one in content["bounds"]],
            random=RandomRecord(**content["random"]) if content["random"] else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the content of the file."""
        return asdict(self)

    @property
    def is_share(self) -> bool:
        """Whether errors are shares, in [0, 1]."""
        return OBJECTIVES[self.objective].direction == "maximize"

    @property
    def probe(self) -> SizeRecord | None:
        """The most images that it is known of how well they are fitted, without dropout."""
        return next((one for one in reversed(self.sizes) if one.train_errors), None)

    @property
    def train_error(self) -> tuple[float, float] | None:
        """Between what the error on all training images lies, as far as it is known.

        On fewer images a network has less to fit, and errs on no more of them.
        """
        probe = self.probe
        lowest = sum(probe.train_errors) / len(probe.train_errors) if probe else None  # type: ignore[arg-type]
        if probe is not None and lowest is not None and probe.num_images == self.num_images:
            return lowest, lowest
        if self.epoch_error is None:
            return None if lowest is None else (lowest, self.error)
        return min(lowest or 0.0, self.epoch_error), self.epoch_error

    @property
    def limit(self) -> Literal["fit", "gap", "unclear"]:
        """What limits the winner: that it does not fit the training images, or only these."""
        if self.train_error is None or not self.error:
            return "unclear"
        lowest, highest = self.train_error
        if highest < HALF * self.error:
            return "gap"
        return "fit" if lowest >= HALF * self.error else "unclear"


def _more_data(content: Mapping[str, Any] | None) -> MoreDataRecord | None:
    if content is None:
        return None
    ranges = {
        name: RangeRecord(**content[name]) if content[name] else None
        for name in ("error", "doubled", "gain", "needed", "foretold")
    }
    return MoreDataRecord(**{**content, **ranges})


def diagnosis_of(root: Path, name: str) -> DiagnosisRecord | None:
    """Returns the diagnosis of a study's winner, or None if there is none."""
    file = diagnosis_file(root, name)
    return DiagnosisRecord.from_json(read_json(file)) if file.is_file() else None


def write_diagnosis(root: Path, record: DiagnosisRecord) -> None:
    """Writes a diagnosis, whole or not at all."""
    write_json(diagnosis_file(root, record.study), record.to_json())
