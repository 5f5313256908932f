"""Stage `register`: models/STUDY.keras, confirm.json -> MLflow registry, results/registration.json.

Where its stamp is gone, the registry was lost with it: a version that `registration.json` tells of
is made again as it was.

Run: python -m pipeline register
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.bases.table import NO_BASE
from pipeline.config import load_section, study_bases
from pipeline.data.rows import chosen_images, evenly, whole_array
from pipeline.errors import ConfigError
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.processes import num_cores
from pipeline.records.chain import chain_of, check_features
from pipeline.records.model_registry.candidate import (
    check_is_verified,
    existing,
    load_candidate,
)
from pipeline.records.model_registry.params import AUTO, RegisterParams
from pipeline.records.model_registry.registered_models import is_of_dataset
from pipeline.registry import unknown_name
from pipeline.split_record import SPLIT_FILE
from pipeline.trials.confirmation import (
    ConfirmationRecord,
    read_confirmation,
)
from pipeline.trials.registration import (
    RegistrationRecord,
    registration_of,
    write_registration,
)
from pipeline.workspace import REGISTRATION_FILE, confirmation_file, stamp_file, write_stamp

if TYPE_CHECKING:
    from pipeline.records.mirror.store import Store
    from pipeline.records.model_registry.versions import Candidate

logger = logging.getLogger(__name__)

NUM_COMPARED = 64
"""Training images that a copy of a model is compared with it on: on easy ones any copy is right."""
NUM_NOISE = 8


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
    confirmations = {
        name: read_confirmation(existing(confirmation_file(root, name))) for name in studies
    }
    study = choose_study(params.study, confirmations)
    for name in (SPLIT_FILE, "results/metrics.json", f"models/{study}.keras"):
        existing(root / name)
    # After the refusals, which should not wait for MLflow and TensorFlow to load.
    from pipeline.records.mirror.store import open_store

    store = open_store(root)  # Before TensorFlow: an unreachable server is said at once.
    if num_threads is not None:
        from pipeline.training.devices import configure_tensorflow

        configure_tensorflow(num_threads=num_threads)
    candidate = load_candidate(study, confirmations[study], root=root)
    earlier = registration_of(root)
    if earlier is not None and _is_lost(root, earlier, candidate):
        record, done = earlier, restore_version(store, candidate, earlier)
    else:
        check_is_verified(candidate)
        baselines = [one for one in confirmations.values() if one.base == NO_BASE]
        done = record = register_version(store, candidate, baselines, earlier=earlier)
        write_registration(root, record)
    write_stamp(root, "register", record.stamp)
    logger.info("%s: %s version %s: %s", study, done.registered_model, done.version, done.reason)
    if record.baseline is not None:
        logger.info("%s: %s", study, record.baseline.told)


def register_version(
    store: Store,
    candidate: Candidate,
    baselines: Sequence[ConfirmationRecord],
    *,
    earlier: RegistrationRecord | None,
) -> RegistrationRecord:
    """Registers a model with its card, its chain and its comparison with a baseline.

    Args:
        store: An open store.
        candidate: As from `load_candidate`.
        baselines: Confirmations of the studies without a base.
        earlier: What this checkout registered before, if it did.
    """
    from pipeline.records.model_registry.registration import register
    from pipeline.studies.card import model_card
    from pipeline.studies.comparison import against_baseline, compare

    root, confirm = store.root, candidate.confirm
    chain = chain_of(root, study=confirm.study, base=confirm.base)
    check_features(root, chain, base=confirm.base)
    baseline = against_baseline(confirm, baselines, root=root)
    candidate = replace(
        candidate,
        chain=chain,
        card=model_card(root, confirm, candidate.split, candidate.test, baseline=baseline),
        onnx_copy=partial(_onnx_copy, candidate, root),
    )
    of = None if earlier is None else earlier.registered_model
    done = register(store, candidate, compare=partial(compare, root=root), earlier=of)
    return replace(done, baseline=baseline)


def _onnx_copy(candidate: Candidate, root: Path) -> bytes | None:
    """Returns the model as ONNX, compared on images of all classes, and on noise."""
    from pipeline.training.portable import onnx_copy

    file = root / "data/train.npz"
    train = whole_array(file, "train")
    images = chosen_images(file, train[evenly(len(train), NUM_COMPARED)])
    noise = np.random.default_rng(0).integers(0, 256, (NUM_NOISE, *images.shape[1:]), np.uint8)
    return onnx_copy(candidate.model, np.concatenate([images, noise]))


def is_of(record: RegistrationRecord, candidate: Candidate) -> bool:
    """Whether a record tells of this very model and what confirm found out about it.

    Args:
        record: The record; one of an early release lacks what is asked here.
        candidate: As from `load_candidate`.
    """
    return (
        record.lineage is not None
        and is_of_dataset(record.registered_model, candidate.split.dataset)
        and record.study == candidate.confirm.study
        and record.weights_sha256 == candidate.evidence.weights_sha256
        and record.confirmation == candidate.evidence.figures
    )


def restore_version(
    store: Store, candidate: Candidate, record: RegistrationRecord
) -> RegistrationRecord:
    """Makes a lost version again as its record tells of it, which stays as it is.

    A registry that has given its number to another version by now gives it the next one.
    """
    from pipeline.records.model_registry.registration import restore
    from pipeline.studies.card import model_card

    card = model_card(
        store.root, candidate.confirm, candidate.split, candidate.test, baseline=record.baseline
    )
    restored = restore(
        store,
        replace(
            candidate,
            lineage=record.lineage or {},
            chain=record.chain,
            card=card,
            onnx_copy=partial(_onnx_copy, candidate, store.root),
        ),
        earlier=record.registered_model,
        number=record.version,
    )
    was = f"version {record.version} of {record.registered_model}"
    now = f"version {restored.version} of {restored.registered_model}"
    if was != now:
        logger.warning("%s: it is %s here, and %s in %s", record.study, now, was, REGISTRATION_FILE)
    return restored


def _is_lost(root: Path, record: RegistrationRecord, candidate: Candidate) -> bool:
    return not stamp_file(root, "register").exists() and is_of(record, candidate)


def choose_study(wanted: str, confirmations: Mapping[str, ConfirmationRecord]) -> str:
    """Returns the study whose winner is registered.

    Args:
        wanted: `auto`, or a study's name.
        confirmations: What `confirm` found out about each study.

    Raises:
        ConfigError: If the wanted study is unknown or has no base, or no study has one.
    """
    with_base = {name: c for name, c in confirmations.items() if c.base != NO_BASE}
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


def _best(confirmations: Mapping[str, ConfirmationRecord]) -> str:
    best, *others = confirmations
    for name in others:
        challenger, leader = confirmations[name], confirmations[best]
        objective = OBJECTIVES[challenger.objective]
        if objective.is_better(challenger.winner.mean, leader.winner.mean):
            best = name
    return best


def main() -> None:
    """Runs the stage on the files that dvc.yaml names."""
    params = load_section(RegisterParams, "register")
    run(params, studies=list(study_bases()), root=Path.cwd(), num_threads=num_cores())
