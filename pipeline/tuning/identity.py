"""What makes the trials of a study comparable, and which earlier trials a new study begins with."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.training.segments import lower_cuts
from pipeline.tuning.configurations import can_exist
from pipeline.tuning.params import SearchParams, StudyPlan
from pipeline.tuning.space import Setting, describe_space
from pipeline.tuning.study import TrialDict, identity_hash, trial_dicts
from pipeline.tuning.takeover import fitting, still_queued
from pipeline.tuning.unfreezing import can_unfreeze

if TYPE_CHECKING:
    from pathlib import Path

    from optuna.study import Study

logger = logging.getLogger(__name__)


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


def study_identity(
    plan: StudyPlan,
    params: SearchParams,
    *,
    settings: Mapping[str, Setting],
    split: Mapping[str, Any],
    manifest: Mapping[str, Any],
) -> Identity:
    """Hashes what makes trials comparable: data, base, space, and how each is trained.

    Args:
        plan: The study.
        params: Section `search`.
        settings: Of the study, with its cuts.
        split: `data/split.json`.
        manifest: Of the base's features.
    """
    judged = {
        "data": split["sha256"]["train"],
        "base": {key: manifest[key] for key in ("base", "image_size", "weights_sha256")},
        "objective": params.objective,
        "epochs": params.epochs,
        "seed": params.seed,
    }
    judged |= _kept_features(manifest)
    # A segment ends at the next embedded cut: with others, the same number means other layers.
    # Those below cuts that are side by side follow from them.
    segments = {
        cut: lower_cuts(manifest["cuts"], cut)
        for cut, entry in manifest["cuts"].items()
        if "parts" not in entry
    }
    frozen, unfrozen = judged, {**judged, "segments": segments}
    is_frozen = not can_unfreeze(settings, plan.defaults)
    judged, other = (frozen, unfrozen) if is_frozen else (unfrozen, frozen)
    space = describe_space(settings)
    fixed = {
        name: value
        for name, value in {**plan.defaults, **settings}.items()
        # What no trial can have tells none of them apart.
        if name not in space and can_exist(name, settings, plan.defaults)
    }
    whole = {**judged, "space": space, "fixed": fixed}
    return Identity(
        whole=identity_hash(whole),
        comparable=identity_hash(judged),
        counterpart=identity_hash(other),
    )


def _kept_features(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what was done to features beside running the base, where anything was."""
    pooled = {
        cut: entry["pooling"]
        for cut, entry in manifest["cuts"].items()
        if entry.get("pooling", "none") != "none"
    }
    # The same weights in a user's own model give other features from another range.
    input_range = manifest.get("source", {}).get("input_range")
    kept = {"pooling": pooled, "views": manifest.get("views", []), "input_range": input_range}
    return {name: value for name, value in kept.items() if value}


def first_trials(
    exported: Path,
    previous: Study | None,
    identity: Identity,
    *,
    settings: Mapping[str, Setting],
    defaults: Mapping[str, Any],
) -> list[TrialDict]:
    """Returns the trials that a new study begins with.

    Args:
        exported: The `study.json` of this name, if there is one: if it is of this identity, the
            database was lost and all of it is taken.
        previous: The study that had the name until now. If only the space has changed since, its
            finished trials that still fit are taken over, and its queued ones wait again;
            likewise those of `exported`.
        identity: Of the new study.
        settings: What the new study searches or fixes.
        defaults: The value of everything else.
    """
    content = json.loads(exported.read_text(encoding="utf-8")) if exported.exists() else {}
    if content.get("identity") == identity.whole:
        return list(content["trials"])
    if previous is not None and identity.can_take_over(previous.user_attrs.get("comparable")):
        source = f"{previous.study_name}-{previous.user_attrs['identity'][:8]}"
        return _taken(trial_dicts(previous), settings, defaults, source=source)
    if identity.can_take_over(content.get("comparable")):
        source = f"{content['study_name']}-{content['identity'][:8]}"
        return _taken(content["trials"], settings, defaults, source=source)
    return []


def _taken(
    trials: list[TrialDict],
    settings: Mapping[str, Setting],
    defaults: Mapping[str, Any],
    *,
    source: str,
) -> list[TrialDict]:
    finished = fitting(trials, settings, defaults, source=source)
    queued = still_queued(trials, settings, defaults, source=source)
    logger.info(
        "a new space: %d finished trials of %s fit and are taken over, %d are queued again",
        *(len(finished), source, len(queued)),
    )
    return [{**trial, "number": number} for number, trial in enumerate([*finished, *queued])]


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
