"""Trainings of `confirm` that are over, kept so that none is done twice.

A stage that was interrupted goes on where it was, and one that is asked for more seeds or for other
candidates trains only those that are new. A training is the same if everything is that its result
follows from: its hyperparameters, seed, epochs and objective, and what the caller names beside.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.files import read_json, sha256_file, write_json
from pipeline.training.messages import TrialResult, TrialSpec, answers_file
from pipeline.trials.confirmation import TrainingRecord


@dataclass(frozen=True, kw_only=True)
class KeptTraining:
    """What was kept of a training that is over.

    Attributes:
        result: What it gave; its model file is there.
        record: What `confirm.json` says of it.
    """

    result: TrialResult
    record: TrainingRecord


class KeptTrainings:
    """The trainings of one study.

    Args:
        folder: Theirs alone; made if it is missing.
        conditions: What all of them follow from, beside what their specs say, as plain JSON: the
            study's identity, which names data and base, and the code.
    """

    def __init__(self, folder: Path, conditions: Mapping[str, str]) -> None:
        self._conditions = dict(conditions)
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def find(self, specs: Sequence[TrialSpec]) -> dict[str, KeptTraining]:
        """Returns by uid those of some trainings that are over, with models that are whole."""
        found = {spec.uid: self._find(spec) for spec in specs}
        return {uid: kept for uid, kept in found.items() if kept is not None}

    def keep(self, spec: TrialSpec, result: TrialResult, record: TrainingRecord) -> None:
        """Keeps a training that is over, if JSON can hold what it gave.

        One that diverged too, with or without a model: that it did must not be forgotten.

        Args:
            spec: What was trained; its model file lies in this folder.
            result: What it gave.
            record: What `confirm.json` says of it.
        """
        numbers = [*result.metrics.values(), *result.notes.values()]
        is_finite = all(math.isfinite(n) for n in numbers if isinstance(n, float))
        if result.outcome not in ("complete", "diverged") or not is_finite:
            return
        model = result.model_file
        content = {
            "conditions": self._conditions_of(spec),
            "model_sha256": None if model is None else sha256_file(Path(model)),
            "report": asdict(record),
            "result": asdict(result),
        }
        # Last, and all at once: a model without this file is one that was being written.
        write_json(self._file(spec.uid), content)

    def forget_others(self, uids: Collection[str]) -> None:
        """Removes every training but some; of those too what was not kept."""
        for file in self.folder.iterdir():
            if file.stem not in uids or not self._file(file.stem).is_file():
                file.unlink(missing_ok=True)

    def _find(self, spec: TrialSpec) -> KeptTraining | None:
        file = self._file(spec.uid)
        content = read_json(file) if file.is_file() else None
        if content is None or content["conditions"] != self._conditions_of(spec):
            return None
        sha256 = content["model_sha256"]
        if sha256 is not None and not _is_whole(str(spec.model_file), sha256):
            return None
        # The repository may have been moved since.
        model_file = None if sha256 is None else spec.model_file
        result = replace(TrialResult(**content["result"]), model_file=model_file)
        return KeptTraining(result=result, record=TrainingRecord.from_json(content["report"]))

    def _conditions_of(self, spec: TrialSpec) -> dict[str, Any]:
        own = asdict(replace(spec, model_file=None))
        return {**self._conditions, **own, "hyperparameters": dict(spec.hyperparameters)}

    def _file(self, uid: str) -> Path:
        return self.folder / f"{uid}.json"


def _is_whole(model: str, sha256: str) -> bool:
    answers = Path(answers_file(model))
    return Path(model).is_file() and answers.is_file() and sha256_file(Path(model)) == sha256
