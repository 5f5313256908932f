"""Registers a model as a version, and decides whether it becomes the champion."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.tracking.champion import Champion, Decision, Evidence, decide
from pipeline.tracking.models import Candidate, log_version
from pipeline.tracking.store import Store, locked

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
PREVIOUS = "previous"


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What `register` did.

    Attributes:
        version: The version of these weights, new or not.
        is_new: Whether it was made now.
        is_champion: Whether it holds the alias now.
        reason: Why, in a sentence.
    """

    version: str
    is_new: bool
    is_champion: bool
    reason: str


def register(store: Store, candidate: Candidate) -> Registration:
    """Registers a model and lets the alias `champion` move to it if the evidence says so.

    Weights that are registered already get no second version. One process at a time does this.

    Args:
        store: An open store.
        candidate: The model.
    """
    name = candidate.registered_model
    with locked(store.root, "registry"):
        _ensure_registered_model(store, candidate)
        version = _find_version(store, name, candidate.evidence.weights_sha256)
        is_new = version is None
        if version is None:
            version = log_version(store, candidate)
        champion = _champion(store, name)
        if champion is not None and champion.version == version:
            decision = Decision(moves=False, reason="it is the champion already")
        else:
            decision = decide(candidate.evidence, champion)
        if decision.moves:
            _move_champion(store, name, version, champion)
    known = "" if is_new else f"these weights are version {version} already; "
    return Registration(
        version=version,
        is_new=is_new,
        is_champion=decision.moves or (champion is not None and champion.version == version),
        reason=f"{known}{decision.reason}",
    )


def _ensure_registered_model(store: Store, candidate: Candidate) -> None:
    from mlflow.exceptions import MlflowException

    split = candidate.split
    shape, num_classes = tuple(split["image_shape"]), len(split["class_names"])
    text = (
        f"Classifier of {split['dataset']}: uint8 images of shape {shape} in, probabilities of "
        f"{num_classes} classes out. Alias `{CHAMPION}`: the best on the confirmation images, "
        f"which no search has seen; `{PREVIOUS}`: the one before it."
    )
    try:
        store.client.create_registered_model(candidate.registered_model, description=text)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _find_version(store: Store, name: str, weights_sha256: str) -> str | None:
    same = [
        version
        for version in store.client.search_model_versions(f"name = '{name}'")
        if version.tags.get("weights_sha256") == weights_sha256 and version.status == "READY"
    ]
    return max((str(version.version) for version in same), key=int, default=None)


def _champion(store: Store, name: str) -> Champion | None:
    version = _by_alias(store, name, CHAMPION)
    if version is None:
        return None
    return Champion(version=str(version.version), evidence=Evidence.from_tags(version.tags))


def _by_alias(store: Store, name: str, alias: str) -> "ModelVersion | None":
    aliases = store.client.get_registered_model(name).aliases
    if alias not in aliases:
        return None
    return store.client.get_model_version(name, str(aliases[alias]))


def _move_champion(store: Store, name: str, version: str, champion: Champion | None) -> None:
    # In this order: after a crash between the two nobody is without a champion.
    if champion is not None:
        store.client.set_registered_model_alias(name, PREVIOUS, champion.version)
    store.client.set_registered_model_alias(name, CHAMPION, version)
