"""Registers a model as a version, and decides whether it becomes the champion."""

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.records.chain import Chain, chain_tags, write_chain
from pipeline.records.mirror import requests as writer
from pipeline.records.mirror.projection import now_ms
from pipeline.records.mirror.store import Store, locked
from pipeline.records.model_registry.aliases import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    move_champion,
    version_of,
)
from pipeline.records.model_registry.gate import DATA_DIGEST, Compare, gate
from pipeline.records.model_registry.registered_models import (
    MADE_IN,
    choose_model,
    has_files,
    ready_versions,
    registered_model_name,
)
from pipeline.records.model_registry.versions import CARD_FILE, Candidate, log_version
from pipeline.trials.registration import RegistrationRecord
from pipeline.workspace import checkout_name

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

logger = logging.getLogger(__name__)


def register(
    store: Store, candidate: Candidate, *, compare: Compare, earlier: str | None = None
) -> RegistrationRecord:
    """Registers a model, and makes it champion if it is shown to be better; else `challenger`.

    Weights that are registered already get no second version. One process at a time does this.

    Args:
        store: An open store.
        candidate: The model.
        compare: As for `gate`.
        earlier: As for `registered_models.choose_model`.
    """
    with locked(store.root, "registry"):
        name = _chosen(store, candidate, earlier)
        _ensure_registered_model(store, candidate, name)
        version = _find_version(store, name, candidate.evidence.weights_sha256)
        is_new = version is None
        if version is None:
            version = log_version(store, candidate, name)
        elif candidate.chain is not None:
            # The same weights in another file, or of another release: what leads to them now.
            _log_beside(store, version, candidate, candidate.chain)
        log_test(store, version, candidate.test)
        champion = version_of(store, name, CHAMPION)
        decision = gate(store, candidate, version, champion, compare)
        # Another checkout has a lock of its own, and may have moved it during the comparison.
        while decision.moves and _number(now := version_of(store, name, CHAMPION)) != _number(
            champion
        ):
            champion = now
            decision = gate(store, candidate, version, champion, compare)
        if decision.moves:
            _warn_of_others(store, name, candidate, champion)
            move_champion(store, name, version, before=champion)
        elif decision.is_challenger:
            store.client.set_registered_model_alias(name, CHALLENGER, str(version.version))
        known = "" if is_new else f"these weights are version {version.version} already; "
        reason = f"{known}{decision.reason}"
        record = _record(store, version, candidate, is_new=is_new, reason=reason)
        if champion is None or not decision.leaves_champion:
            return record
        own = candidate.evidence.data_digest
        return replace(record, stayed={"version": str(champion.version), "data_digest": own})


def restore(store: Store, candidate: Candidate, *, earlier: str, number: str) -> RegistrationRecord:
    """Makes a version again that was registered before the registry was lost.

    Where nobody is champion, or the champion's files are lost, it is that, also if another one was.

    Args:
        store: An open store.
        candidate: The model, with the lineage it had.
        earlier: The registered model that it was a version of, and is again unless others have it.
        number: The version's.
    """
    with locked(store.root, "registry"):
        name = _chosen(store, candidate, earlier)
        _ensure_registered_model(store, candidate, name)
        version = _find_version(store, name, candidate.evidence.weights_sha256)
        is_new = version is None
        if version is None:
            version = log_version(store, candidate, name, restored_number=int(number))
        log_test(store, version, candidate.test)
        champion = version_of(store, name, CHAMPION)
        if champion is None or not has_files(store, champion):
            move_champion(store, name, version, before=None)
        reason = "it was restored" if is_new else "it was there already"
        return _record(store, version, candidate, is_new=is_new, reason=reason)


def is_registered(store: Store, record: RegistrationRecord) -> bool:
    """Whether the version that a record tells of is there; nothing is changed.

    It counts only where somebody is champion whose files are there.

    Args:
        store: An open store.
        record: As `registration.json` holds it.
    """
    name = record.registered_model
    version = _find_version(store, name, record.weights_sha256)
    if version is None:
        return False
    champion = version_of(store, name, CHAMPION)
    return champion is not None and has_files(store, champion)


def _record(
    store: Store, version: "ModelVersion", candidate: Candidate, *, is_new: bool, reason: str
) -> RegistrationRecord:
    champion, number = version_of(store, version.name, CHAMPION), str(version.version)
    return RegistrationRecord(
        registered_model=version.name,
        version=number,
        registered=is_new,
        champion=champion is not None and str(champion.version) == number,
        reason=reason,
        study=candidate.confirm.study,
        weights_sha256=candidate.evidence.weights_sha256,
        confirmation=candidate.evidence.figures,
        lineage={key: version.tags[key] for key in candidate.lineage if key in version.tags},
        chain=candidate.chain,
    )


def _chosen(store: Store, candidate: Candidate, earlier: str | None) -> str:
    name = choose_model(store, candidate.split, earlier=earlier)
    usual = registered_model_name(candidate.split.dataset)
    if name not in (usual, earlier):
        logger.warning(
            "registered as %s, since %s holds models of other classes, of other images, or of "
            "another checkout's data; fetch.name tells data sets apart",
            name,
            usual,
        )
    return name


def _warn_of_others(
    store: Store, name: str, candidate: Candidate, champion: "ModelVersion | None"
) -> None:
    """Says that the alias is taken from what was perhaps somebody else's."""
    if champion is None or not store.is_shared:
        return
    made_in, other = champion.tags.get(MADE_IN), champion.tags.get(DATA_DIGEST)
    own = candidate.evidence.data_digest
    if other and other != own and made_in != checkout_name(store.root):
        logger.warning(
            "%s: the champion until now, version %s, learned from other data (%s, made in %s; "
            "here: %s); it stays as %s. If it is of another project, set fetch.name",
            name,
            champion.version,
            other[:8],
            made_in or "a checkout that it does not name",
            own[:8],
            PREVIOUS,
        )


def _ensure_registered_model(store: Store, candidate: Candidate, name: str) -> None:
    from mlflow.exceptions import MlflowException

    split = candidate.split
    shape, num_classes = split.image_shape, len(split.class_names)
    text = (
        f"Classifier of {split.dataset}: uint8 images of shape {shape} in, probabilities of "
        f"{num_classes} classes out. Alias `{CHAMPION}`: shown to be better than the one before it "
        f"on confirmation images, which no search has seen; `{PREVIOUS}`: the one before it; "
        f"`{CHALLENGER}`: the last one that was not shown to be better. "
        "`python -m pipeline predict IMAGE` asks the champion."
    )
    try:
        store.client.create_registered_model(name, description=text)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _number(version: "ModelVersion | None") -> str | None:
    return None if version is None else str(version.version)


def _find_version(store: Store, name: str, weights_sha256: str) -> "ModelVersion | None":
    same = [
        version
        for version in ready_versions(store, name)
        if version.tags.get("weights_sha256") == weights_sha256 and has_files(store, version)
    ]
    return max(same, key=lambda version: int(version.version), default=None)


def _log_beside(store: Store, version: "ModelVersion", candidate: Candidate, chain: Chain) -> None:
    """Puts a chain and a card beside a version's model, in place of those that were there."""
    model_id = _model_id(store.client.get_run(version.run_id))
    if model_id is None:  # Made by hand.
        return
    with tempfile.TemporaryDirectory() as folder:
        write_chain(Path(folder), chain)
        (Path(folder) / CARD_FILE).write_text(candidate.card, encoding="utf-8")
        store.client.log_model_artifacts(model_id, folder)
    for key, text in chain_tags(chain).items():
        store.client.set_model_version_tag(version.name, version.version, key, text)


def _model_id(run: "Run") -> str | None:
    outputs = run.outputs.model_outputs if run.outputs else []
    return str(outputs[0].model_id) if outputs else None


def log_test(
    store: Store, version: "ModelVersion", test: Mapping[str, Mapping[str, float]]
) -> None:
    """Logs what a version showed on the test part: metrics of its run and model, and its tags.

    Metrics are `test_accuracy`, `test_accuracy_low` and `_high` (95% interval) and so on, and
    `test_n`, the number of test images; tags are `test.accuracy` and so on, and `test.n`.

    Args:
        store: An open store.
        version: The version, with a run.
        test: As in `models.Candidate`.
    """
    from mlflow.entities import Metric

    run = store.client.get_run(version.run_id)
    figures = _test_figures(test)
    changed = {name: v for name, v in figures.items() if run.data.metrics.get(name) != v}
    if run.info.lifecycle_stage == "active":  # Not in the trash, where nothing can be logged.
        model_id = _model_id(run)
        points = [Metric(name, v, now_ms(), 0, model_id=model_id) for name, v in changed.items()]
        writer.log(store.client, version.run_id, metrics=points)
    tags = {f"test.{name}": str(one["value"]) for name, one in test.items()}
    tags |= {"test.n": f"{figures['test_n']:.0f}"} if test else {}
    for name, text in tags.items():
        if version.tags.get(name) != text:
            store.client.set_model_version_tag(version.name, version.version, name, text)


def _test_figures(test: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, one in test.items():
        figures |= {
            f"test_{name}": one["value"],
            f"test_{name}_low": one["low"],
            f"test_{name}_high": one["high"],
            "test_n": float(one["n"]),
        }
    return figures
