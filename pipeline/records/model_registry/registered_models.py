"""Which registered model a candidate belongs to: one whose versions answer the same question.

All versions of one have the same classes, in order, and take the same images; that is their
contract, whose hash is the tag `contract` of each. Versions of earlier releases have no such tag:
theirs is in the file `MLmodel` beside the model. One that says nothing, such as one that was made
by hand, or whose files are gone, counts as another contract: it cannot be shown to be the same.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from pipeline.records.mirror.dataset_inputs import data_digest
from pipeline.records.mirror.store import PAGE, Store
from pipeline.workspace import checkout_name

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CONTRACT: Final = "contract"
# The checkout that made a version, as from `checkout.checkout_name`.
MADE_IN: Final = "made_in"
HASH_DIGITS = 8
MODEL_DESCRIPTION = "MLmodel"


def registered_model_name(dataset: str) -> str:
    """Returns what the registered model of a dataset is called, if nobody else has the name."""
    return f"{dataset}-classifier"


def is_of_dataset(name: str, dataset: str) -> bool:
    """Whether a registered model is one of those that a dataset's models may be versions of."""
    base = registered_model_name(dataset)
    end = name.removeprefix(f"{base}-")
    return name == base or (len(end) == HASH_DIGITS and name == f"{base}-{end}")


def contract(described: Mapping[str, Any]) -> str | None:
    """Returns the hash of what a classifier takes and answers, 64 hex digits.

    Args:
        described: `data/split.json`, or a version's metadata: `class_names`, in the order of the
            outputs, `image_shape`, and `value_range` where pixels were brought to one.

    Returns:
        None if that is not said.
    """
    if "class_names" not in described or "image_shape" not in described:
        return None
    kept = {key: list(described[key]) for key in ("class_names", "image_shape")}
    value_range = described.get("value_range")
    # Earlier releases always had that of 16 bits, and did not say so.
    if value_range is not None and list(value_range) != [0, 2**16 - 1]:
        kept["value_range"] = [float(value) for value in value_range]
    return _hash(kept)


def choose_model(store: Store, split: Mapping[str, Any], *, earlier: str | None = None) -> str:
    """Returns the registered model that a candidate becomes a version of.

    `DATASET-classifier`, unless its versions have another contract, or are of somebody else: none
    of them learned from these data, each was made in another checkout, and this one has registered
    nothing there. Then it is `DATASET-classifier-HASH`, with the hash of the contract, or, where
    that is of somebody else too, of contract and data. Asked again the answer is the same. Who made
    a version of an earlier release is not known: such a version is nobody else's. In a store that
    is this checkout's alone nothing is, wherever the checkout was at the time.

    Args:
        store: An open store, whose registry's lock is held.
        split: `data/split.json`.
        earlier: The registered model that `results/registration.json` names: this checkout, or the
            one whose results were pulled, registered there.
    """
    base, own = registered_model_name(split["dataset"]), str(contract(split))
    is_continued = earlier is not None and is_of_dataset(earlier, split["dataset"])
    names = [
        *([str(earlier)] if is_continued else []),
        base,
        f"{base}-{own[:HASH_DIGITS]}",
    ]
    for name in names:
        versions = ready_versions(store, name)
        if any(contract_of(store, version) != own for version in versions):
            continue
        is_ours = is_continued and name == earlier
        if not versions or is_ours or any(_is_ours(store, v, split) for v in versions):
            return name
    return f"{base}-{_hash([own, data_digest(split)])[:HASH_DIGITS]}"


def ready_versions(store: Store, name: str) -> "list[ModelVersion]":
    """Returns the versions of a registered model that are whole; none if there is no such model."""
    found = store.client.search_model_versions(f"name = '{name}'", max_results=PAGE)
    return [version for version in found if version.status == "READY"]


def contract_of(store: Store, version: "ModelVersion") -> str | None:
    """Returns a version's contract, or None if nothing says it."""
    return version.tags.get(CONTRACT) or contract(_metadata_of(store, version))


def _metadata_of(store: Store, version: "ModelVersion") -> Mapping[str, Any]:
    """Returns what was written down beside a version's model; empty if that is gone."""
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    source = store.client.get_model_version_download_uri(version.name, version.version)
    repository = get_artifact_repository(source, tracking_uri=store.uri)
    # A server answers a request for a file that it lacks as it answers when it is in trouble.
    if MODEL_DESCRIPTION not in {file.path for file in repository.list_artifacts()}:
        return {}
    with TemporaryDirectory() as folder:
        file = Path(folder) / MODEL_DESCRIPTION
        repository._download_file(MODEL_DESCRIPTION, str(file))
        try:
            return Model.load(str(file)).metadata or {}
        except (MlflowException, TypeError, ValueError):
            return {}  # Somebody else's, in a form of its own.


def _is_ours(store: Store, version: "ModelVersion", split: Mapping[str, Any]) -> bool:
    here = checkout_name(store.root)
    # A version of an earlier release does not say where it was made.
    is_from_here = not store.is_shared or version.tags.get(MADE_IN, here) == here
    return is_from_here or bool(version.tags.get("data_digest") == data_digest(split))


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
