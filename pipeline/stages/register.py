"""Stage `register`: models/STUDY.keras, confirm.json -> MLflow registry, results/registration.json.

Where its stamp is gone, the registry was lost with it: a version that `registration.json` tells of
is made again as it was.

Run: python -m pipeline register
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from pipeline.config import Section, load_section, read_document
from pipeline.data.files import sha256_file, write_json
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.evaluation.metrics import OBJECTIVES
from pipeline.processes import num_cores
from pipeline.registry import unknown_name
from pipeline.stamps import stamp_file, write_stamp
from pipeline.tracking.registered_models import is_of_dataset

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from pipeline.tracking.champion import Evidence
    from pipeline.tracking.models import Candidate
    from pipeline.tracking.registration import Registration
    from pipeline.tracking.store import Store

logger = logging.getLogger(__name__)

AUTO = "auto"
NO_BASE = "none"
NUM_EXAMPLES = 5
# Sums of float32 probabilities stay within 1e-6 of 1; a model that ends in logits is far off.
SUM_TOLERANCE = 1e-3

Confirmation = Mapping[str, Any]


class RegisterParams(Section):
    """Section `register`: which study's winner becomes a version of the registered model."""

    study: str = Field(description="auto: the best of those with a base; or a study's name")


def run(
    params: RegisterParams,
    *,
    studies: Sequence[str],
    root: Path,
    num_threads: int | None = None,
) -> None:
    """Registers the winner of one study; the alias `champion` moves to it if it is better.

    Args:
        params: The section.
        studies: Names below `studies` in params.yaml.
        root: The repository.
        num_threads: CPU threads for TensorFlow; None where it runs already.

    Raises:
        ConfigError: If no study with a base can be chosen, or the store cannot be used.
        DataIntegrityError: If an earlier stage's file is missing, or the model is not what it
            should be.
    """
    confirmations = {name: _read(root / "results" / name / "confirm.json") for name in studies}
    study = choose_study(params.study, confirmations)
    for name in ("data/split.json", "results/metrics.json", f"models/{study}.keras"):
        _existing(root / name)
    # After the refusals, which should not wait for MLflow and TensorFlow to load.
    from pipeline.tracking.registration import register
    from pipeline.tracking.store import open_store

    store = open_store(root)  # Before TensorFlow: an unreachable server is said at once.
    if num_threads is not None:
        from pipeline.training.devices import configure_tensorflow

        configure_tensorflow(num_threads=num_threads)
    candidate = load_candidate(study, confirmations[study], root=root)
    report = _kept(root, study, candidate)
    if report is None:
        _check_is_verified(candidate)
        file = root / "results/registration.json"
        earlier = _read(file)["registered_model"] if file.exists() else None
        registration = register(store, candidate, earlier=earlier)
        report = _report(study, candidate, registration)
        write_json(file, report)
    else:
        registration = restore_version(store, candidate, report)
    write_stamp(root, "register", report)
    where = f"{registration.registered_model} version {registration.version}"
    logger.info("%s: %s: %s", study, where, registration.reason)


def load_candidate(study: str, confirm: Confirmation, *, root: Path) -> Candidate:
    """Loads a study's exported model and checks it, with all that is registered beside it.

    Args:
        study: Its name.
        confirm: Its `confirm.json`.
        root: The repository.

    Raises:
        DataIntegrityError: If an earlier stage's file is missing, or the model is not what it
            should be.
    """
    from pipeline.models.export import load_exported
    from pipeline.models.weights import weights_sha256
    from pipeline.tracking.lineage import revision_tags
    from pipeline.tracking.models import Candidate

    split = _read(root / "data/split.json")
    test = _read(root / "results/metrics.json").get(study, {})
    model_file = root / "models" / f"{study}.keras"
    model = load_exported(model_file)
    _check_is_confirmed(model_file, confirm, study)
    examples = _examples(root / "data/train.npz")
    check_model(model, examples, num_classes=len(split["class_names"]), file=model_file)
    return Candidate(
        model=model,
        model_file=model_file,
        evidence=_evidence(confirm, split, weights_sha256(model)),
        test=test,
        lineage=revision_tags(root),
        confirm=confirm,
        split=split,
        examples=examples,
        results=root / "results" / study,
    )


def is_of(report: Mapping[str, Any], candidate: Candidate) -> bool:
    """Whether a `registration.json` tells of this very model and what confirm found out about it.

    Args:
        report: The file's content; one of an earlier release lacks what is asked here.
        candidate: As from `load_candidate`.
    """
    return (
        "lineage" in report
        and is_of_dataset(report["registered_model"], candidate.split["dataset"])
        and report["study"] == candidate.confirm["study"]
        and report["weights_sha256"] == candidate.evidence.weights_sha256
        and report["confirmation"] == _figures(candidate.evidence)
    )


def restore_version(store: Store, candidate: Candidate, report: Mapping[str, Any]) -> Registration:
    """Makes a lost version again as a `registration.json` tells of it, which stays as it is.

    A registry that has given its number to another version by now gives it the next one.
    """
    from pipeline.tracking.registration import restore

    restored = restore(
        store,
        replace(candidate, lineage=report["lineage"]),
        earlier=report["registered_model"],
        number=report["version"],
        was_champion=report["champion"],
    )
    was = f"version {report['version']} of {report['registered_model']}"
    now = f"version {restored.version} of {restored.registered_model}"
    if was != now:
        logger.warning(
            "%s: it is %s here, and %s in results/registration.json", report["study"], now, was
        )
    return restored


def _kept(root: Path, study: str, candidate: Candidate) -> Any | None:
    file = root / "results/registration.json"
    if stamp_file(root, "register").exists() or not file.exists():
        return None
    report = _read(file)
    return report if is_of(report, candidate) else None


def choose_study(wanted: str, confirmations: Mapping[str, Confirmation]) -> str:
    """Returns the study whose winner is registered.

    Args:
        wanted: `auto`, or a study's name.
        confirmations: Each study's `confirm.json`.

    Raises:
        ConfigError: If the wanted study is unknown or has no base, or no study has one.
    """
    with_base = {name: c for name, c in confirmations.items() if c["base"] != NO_BASE}
    if not with_base:
        raise ConfigError(
            "register needs a study with a base, since only transfer-learned models are "
            f"registered. Received: studies={', '.join(confirmations)}, all with base: none. "
            "Add one to studies in params.yaml."
        )
    if wanted == AUTO:
        return _best(with_base)
    if wanted not in confirmations:
        unknown = unknown_name("study", wanted, [AUTO, *with_base])
        raise ConfigError(f"register.study: {unknown}")
    if wanted not in with_base:
        raise ConfigError(
            "register.study must be auto or a study with a base. Received: "
            f"register.study={wanted!r}, whose base is none. Choose one of: {', '.join(with_base)}."
        )
    return wanted


def check_model(
    model: keras.Model, images: NDArray[np.uint8], *, num_classes: int, file: Path
) -> None:
    """Checks that a model turns raw images into probabilities.

    Raises:
        DataIntegrityError: If it does not take them, or its answers are no probabilities.
    """
    from pipeline.models.export import predict_probabilities

    if model.input_shape[1:] != images.shape[1:] or model.output_shape[1:] != (num_classes,):
        raise DataIntegrityError(
            f"{file} must take images of shape {images.shape[1:]} and return {num_classes} "
            f"probabilities. Received: input {model.input_shape[1:]}, output "
            f"{model.output_shape[1:]}. Run `dvc repro` to export it again."
        )
    probabilities = predict_probabilities(model, images)
    sums = probabilities.sum(axis=1)
    if not np.all(np.abs(sums - 1) < SUM_TOLERANCE) or probabilities.min() < 0:
        raise DataIntegrityError(
            f"{file} must return probabilities, which sum to 1. Received: sums={sums.tolist()}. "
            "Run `dvc repro` to export it again."
        )


def _check_is_confirmed(file: Path, confirm: Confirmation, study: str) -> None:
    found, expected = sha256_file(file), confirm["exported"]["file_sha256"]
    if found != expected:
        raise DataIntegrityError(
            f"{file} must be the file that `confirm` exported, sha256 {expected}, since the "
            f"evidence is that one's. Received: sha256={found}. Run: dvc repro -f confirm@{study}"
        )


def _check_is_verified(candidate: Candidate) -> None:
    if "verified" not in candidate.confirm["exported"]:
        study = candidate.confirm["study"]
        raise DataIntegrityError(
            f"results/{study}/confirm.json must say what {candidate.model_file.name} reaches on "
            "raw images; that of an earlier release does not. Nothing was registered. Run: "
            f"dvc repro -f confirm@{study}"
        )


def _best(confirmations: Mapping[str, Confirmation]) -> str:
    best, *others = confirmations
    for name in others:
        challenger, leader = confirmations[name], confirmations[best]
        objective = OBJECTIVES[challenger["objective"]]
        if objective.is_better(challenger["winner"]["mean"], leader["winner"]["mean"]):
            best = name
    return best


def _examples(train_file: Path) -> NDArray[np.uint8]:
    with np.load(_existing(train_file), allow_pickle=False) as archive:
        examples: NDArray[np.uint8] = archive["images"][archive["train"][:NUM_EXAMPLES]]
    return examples


def _evidence(confirm: Confirmation, split: Mapping[str, Any], weights: str) -> Evidence:
    from pipeline.tracking.champion import Evidence
    from pipeline.tracking.inputs import data_digest

    winner = confirm["winner"]
    return Evidence(
        objective=confirm["objective"],
        data_digest=data_digest(split),
        weights_sha256=weights,
        mean=winner["mean"],
        low=winner["low"],
        high=winner["high"],
        n=winner["n"],
        num_seeds=winner["num_seeds"],
    )


def _report(study: str, candidate: Candidate, registration: Registration) -> dict[str, Any]:
    return {
        "registered_model": registration.registered_model,
        "version": registration.version,
        "registered": registration.is_new,
        "champion": registration.is_champion,
        "reason": registration.reason,
        "study": study,
        "weights_sha256": candidate.evidence.weights_sha256,
        "confirmation": _figures(candidate.evidence),
        "lineage": dict(registration.lineage),
    }


def _figures(evidence: Evidence) -> dict[str, Any]:
    names = ("objective", "mean", "low", "high", "n", "num_seeds")
    return {name: getattr(evidence, name) for name in names}


def _read(file: Path) -> Any:
    return json.loads(_existing(file).read_text(encoding="utf-8"))


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise DataIntegrityError(f"{file} must exist before this stage. Run `dvc repro`.")
    return file


def main() -> None:
    """Runs the stage on the files that dvc.yaml names."""
    studies = read_document().get("studies")
    if not isinstance(studies, dict):
        raise ConfigError(f"studies must be a mapping of studies. Received: studies={studies!r}.")
    params = load_section(RegisterParams, "register")
    run(params, studies=list(studies), root=Path.cwd(), num_threads=num_cores())
