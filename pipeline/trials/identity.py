"""What makes trials comparable, as hashes: of their study, and of the code that trained them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from pipeline.features.manifest import Manifest
from pipeline.hyperparameter import Value
from pipeline.training.segments import lower_cuts
from pipeline.trials.record import TrialRecord

# All that a training imports, however far down; below `pipeline/`. `tests/test_house.py` compares.
TRAINING_CODE: Final = (
    "bases/cuts.py",
    "bases/flat.py",
    "bases/graph.py",
    "bases/hostile_files.py",
    "bases/model_files.py",
    "bases/table.py",
    "errors.py",
    "evaluation/metrics.py",
    "evaluation/objectives.py",
    "features/frozen.py",
    "features/joined_cuts.py",
    "features/manifest.py",
    "features/memory.py",
    "features/onnx_graph.py",
    "features/onnx_session.py",
    "features/pooling.py",
    "features/saved_base.py",
    "files.py",
    "hyperparameter.py",
    "processes.py",
    "registry.py",
    "seeds.py",
    "training/activations.py",
    "training/adam.py",
    "training/batches.py",
    "training/bootstrap.py",
    "training/data.py",
    "training/export.py",
    "training/fine_tuned.py",
    "training/fit.py",
    "training/gradients.py",
    "training/head.py",
    "training/initializers.py",
    "training/messages.py",
    "training/optimizers.py",
    "training/phases.py",
    "training/portions.py",
    "training/programs.py",
    "training/rrelu.py",
    "training/rules.py",
    "training/schedules.py",
    "training/segments.py",
    "training/steps.py",
    "training/worker.py",
)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Hashes of a study, 64 hex digits each.

    Attributes:
        whole: Of everything that matters. Neither the target, the workers, the sampler nor the
            pruner is part of it: changing them goes on with the same study.
        comparable: Of everything but the space and the defaults: trials of two studies that share
            it were trained and judged in the same way, each with its own hyperparameters.
        counterpart: What `comparable` would be if the space unfroze layers of the base where it
            does not, or the other way round.
    """

    whole: str
    comparable: str
    # Of another space than this study's: it may differ where the study is the same.
    counterpart: str = field(compare=False)

    def can_take_over(self, comparable: object) -> bool:
        """Whether trials of a study with this `comparable` may be taken over, those that fit.

        Where one of two studies unfreezes layers and the other does not, only frozen trials fit
        both, and those were trained in the same way.
        """
        return comparable in (self.comparable, self.counterpart)


@dataclass(frozen=True, kw_only=True)
class SpaceDescription:
    """A search space as plain data: what its trials differ in, and what they share.

    Attributes:
        searched: The distributions by hyperparameter, as in `params.yaml`.
        fixed: The one value of every other hyperparameter that a trial of the space can have.
        can_unfreeze: Whether a trial can train layers of the base.
    """

    searched: Mapping[str, Mapping[str, object]]
    fixed: Mapping[str, Value]
    can_unfreeze: bool


def study_identity(
    space: SpaceDescription,
    *,
    objective: str,
    epochs: int,
    seed: int,
    data_sha256: str,
    manifest: Manifest,
) -> Identity:
    """Hashes what makes trials comparable: data, base, space, and how each is trained.

    Args:
        space: What is searched, with the cuts that were embedded.
        objective: A key of `OBJECTIVES`.
        epochs: Most epochs of one trial.
        seed: Root of every seed of the search.
        data_sha256: Of the file that trials are trained and judged on.
        manifest: Of the base's features.
    """
    judged = {
        "data": data_sha256,
        "base": {
            "base": manifest.base,
            "image_size": manifest.image_size,
            "weights_sha256": manifest.weights_sha256,
        },
        "objective": objective,
        "epochs": epochs,
        "seed": seed,
    }
    judged |= _kept_features(manifest)
    # A segment ends at the next embedded cut: with others, the same number means other layers.
    # Those below cuts that are side by side follow from them.
    segments = {
        cut: lower_cuts(manifest.cuts, cut)
        for cut, entry in manifest.cuts.items()
        if not entry.parts
    }
    frozen, unfrozen = judged, {**judged, "segments": segments}
    judged, other = (unfrozen, frozen) if space.can_unfreeze else (frozen, unfrozen)
    whole = {**judged, "space": space.searched, "fixed": space.fixed}
    return Identity(whole=_hash(whole), comparable=_hash(judged), counterpart=_hash(other))


def _kept_features(manifest: Manifest) -> dict[str, object]:
    """Returns what was done to features beside running the base, where anything was."""
    pooled = {
        cut: entry.pooling
        for cut, entry in manifest.cuts.items()
        if not entry.is_whole and not entry.parts
    }
    # The same weights in a user's own model give other features from another range.
    input_range = manifest.source.input_range if manifest.source else None
    kept = {"pooling": pooled, "views": manifest.views, "input_range": input_range}
    return {name: value for name, value in kept.items() if value}


def code_sha256(*parts: str) -> str:
    """Returns the SHA-256 of this project's source, 64 hex digits.

    DVC compares a stage's code with that of its last run, but where the stamp is gone the stage
    runs in any case: then this tells whether the outs are of the same code.

    Args:
        parts: Packages and modules, relative to `pipeline/`, such as `training` and `seeds.py`.
    """
    here = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for part in parts:
        files = [here / part] if part.endswith(".py") else sorted((here / part).rglob("*.py"))
        for file in files:
            digest.update(file.relative_to(here).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


@cache
def training_code() -> str:
    """Returns the SHA-256 of the code of a training, as it was when this process first asked."""
    return code_sha256(*TRAINING_CODE)


@dataclass(frozen=True, kw_only=True)
class OtherCode:
    """How many finished trials of a study the present code did not train.

    Code is no part of a study's identity, since a changed comment must not discard hours of
    training; whether a change matters only who made it can say.

    Attributes:
        num_other: Complete and pruned trials that other code trained.
        num_unknown: Those of earlier releases, which did not note their code.
    """

    num_other: int
    num_unknown: int

    @property
    def remark(self) -> str | None:
        """The two counts in words, without those that are 0; None if both are."""
        counts = {
            "of other code than the present": self.num_other,
            "of code that is not known": self.num_unknown,
        }
        said = [f"{what}: {number}" for what, number in counts.items() if number]
        if not said:
            return None
        return (
            f"finished trials {', '.join(said)}; `python -m pipeline replay` trains one again and "
            "compares"
        )


def of_other_code(trials: Iterable[TrialRecord]) -> OtherCode:
    """Counts the finished trials of a study that the present code did not train."""
    codes = [trial.code_sha256 for trial in trials if trial.is_finished]
    return OtherCode(
        num_other=sum(code not in (None, training_code()) for code in codes),
        num_unknown=codes.count(None),
    )


def _hash(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
