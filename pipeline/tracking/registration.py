"""Registers a model as a version, and decides whether it becomes the champion."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.tracking.champion import Champion, Decision, Evidence, decide
from pipeline.tracking.evaluation import log_test
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
        lineage: Where the version came from when it was made; as in `Candidate`.
    """

    version: str
    is_new: bool
    is_champion: bool
    reason: str
    lineage: Mapping[str, str]


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
        log_test(store, version, candidate.test)
        champion = _champion(store, name)
        if champion is not None and champion.version == str(version.version):
            decision = Decision(moves=False, reason="it is the champion already")
        else:
            decision = decide(candidate.evidence, champion)
        if decision.moves:
            _move_champion(store, name, str(version.version), champion)
    known = "" if is_new else f"these weights are version {version.version} already; "
    is_champion = champion is not None and champion.version == str(version.version)
    return Registration(
        version=str(version.version),
        is_new=is_new,
        is_champion=decision.moves or is_champion,
        reason=f"{known}{decision.reason}",
        lineage=_lineage(version, candidate),
    )


def restore(store: Store, candidate: Candidate, *, number: str, was_champion: bool) -> Registration:
    """Makes a version again that was registered before the registry was lost.

    Args:
        store: An open store.
        candidate: The model, with the lineage it had.
        number: The version's.
        was_champion: Whether it held the alias. It gets that back where nobody has it; from another
            champion only a version that had to be made again takes it, on its evidence.
    """
    name = candidate.registered_model
    with locked(store.root, "registry"):
        _ensure_registered_model(store, candidate)
        version = _find_version(store, name, candidate.evidence.weights_sha256)
        is_new = version is None
        if version is None:
            version = log_version(store, candidate, restored_number=int(number))
        log_test(store, version, candidate.test)
        champion = _champion(store, name)
        may_move = was_champion and (is_new or champion is None)
        if may_move and decide(candidate.evidence, champion).moves:
            _move_champion(store, name, str(version.version), champion)
        champion = _champion(store, name)
    return Registration(
        version=str(version.version),
        is_new=is_new,
        is_champion=champion is not None and champion.version == str(version.version),
        reason="it was restored" if is_new else "it was there already",
        lineage=_lineage(version, candidate),
    )


def is_registered(store: Store, report: Mapping[str, Any]) -> bool:
    """Whether the version that a `registration.json` tells of is there; nothing is changed.

    One that was champion counts only where somebody is.

    Args:
        store: An open store.
        report: `registration.json`.
    """
    name = report["registered_model"]
    version = _find_version(store, name, report["weights_sha256"])
    if version is None:
        return False
    return not report["champion"] or _champion(store, name) is not None


def _lineage(version: "ModelVersion", candidate: Candidate) -> dict[str, str]:
    return {key: version.tags[key] for key in candidate.lineage if key in version.tags}


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


def _find_version(store: Store, name: str, weights_sha256: str) -> "ModelVersion | None":
    same = [
        version
        for version in store.client.search_model_versions(f"name = '{name}'")
        if version.tags.get("weights_sha256") == weights_sha256 and version.status == "READY"
    ]
    return max(same, key=lambda version: int(version.version), default=None)


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
