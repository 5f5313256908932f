"""Which registered model a candidate belongs to: one whose versions answer the same question.

All versions of one have the same classes, in order, and take the same images; that is their
contract, whose hash is the tag `contract` of each. Versions of earlier releases have no such tag:
theirs is in the file `MLmodel` beside the model. One that says nothing, such as one that was made
by hand, or whose files are gone, counts as another contract: it cannot be shown to be the same.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from pipeline.records.mirror.dataset_inputs import data_digest
from pipeline.records.mirror.moved import local_path
from pipeline.records.mirror.store import Store, pages
from pipeline.split_record import SplitRecord, find_split
from pipeline.trials.registration import registration_of
from pipeline.workspace import checkout_name

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CONTRACT: Final = "contract"
# The checkout that made a version, as from `workspace.checkout_name`.
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


def registered_here(root: Path) -> str | None:
    """Returns the registered model of a checkout's data set; None where nothing has run.

    The one that `results/registration.json` names, if that is of the data set of `data/split.json`;
    else the usual one.
    """
    split, record = find_split(root), registration_of(root)
    if split is None:
        return record.registered_model if record is not None else None
    if record is not None and is_of_dataset(record.registered_model, split.dataset):
        return record.registered_model
    return registered_model_name(split.dataset)


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What is written down beside a version's model of what it takes and answers.

    Attributes:
        class_names: In the order of the outputs; empty if that is not said.
        image_shape: Of an image; empty likewise.
        value_range: What is black and white, where pixels of more than 8 bits were brought to it.
    """

    class_names: Sequence[str] = ()
    image_shape: Sequence[int] = ()
    value_range: tuple[float, float] | None = None

    @classmethod
    def read(cls, path: Path) -> "Metadata":
        """Reads a file `MLmodel`, or the one in a folder.

        Raises:
            MlflowException, TypeError, ValueError: If it is none that this pipeline wrote.
        """
        from mlflow.models import Model

        said = Model.load(str(path)).metadata or {}
        value_range = said.get("value_range")
        return cls(
            class_names=list(said.get("class_names", ())),
            image_shape=list(said.get("image_shape", ())),
            value_range=tuple(value_range) if value_range else None,
        )

    @property
    def contract(self) -> str | None:
        """The hash of all that, 64 hex digits; None if it is not said."""
        if not self.class_names or not self.image_shape:
            return None
        kept = {"class_names": list(self.class_names), "image_shape": list(self.image_shape)}
        # Earlier releases always had that of 16 bits, and did not say so.
        if self.value_range is not None and self.value_range != (0, 2**16 - 1):
            kept["value_range"] = [float(value) for value in self.value_range]
        return _hash(kept)


def contract(split: SplitRecord) -> str:
    """Returns the hash of what a classifier of a data set takes and answers, 64 hex digits."""
    own = Metadata(
        class_names=split.class_names,
        image_shape=split.image_shape,
        value_range=split.value_range,
    )
    return str(own.contract)


def choose_model(store: Store, split: SplitRecord, *, earlier: str | None = None) -> str:
    """Returns the registered model that a candidate becomes a version of.

    `DATASET-classifier`, unless its versions have another contract, or are of somebody else: none
    of them learned from these data, each was made in another checkout, and this one has registered
    nothing there. Then it is `DATASET-classifier-HASH`, with the hash of the contract, or, where
    that is of somebody else too, of contract and data. Asked again the answer is the same. Who made
    a version of an earlier release is not known: such a version is nobody else's. In a store that
    is this checkout's alone nothing is, wherever the checkout was at the time.

    Args:
        store: An open store, whose registry's lock is held.
        split: The data that the candidate learned from.
        earlier: The registered model that `results/registration.json` names: this checkout, or the
            one whose results were pulled, registered there.
    """
    base, own = registered_model_name(split.dataset), contract(split)
    is_continued = earlier is not None and is_of_dataset(earlier, split.dataset)
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
    found = pages(store.client.search_model_versions, filter_string=f"name = '{name}'")
    return [version for version in found if version.status == "READY"]


def has_files(store: Store, version: "ModelVersion") -> bool:
    """Whether a version's files are there; others' files, and what a server keeps, count as there.

    Two machines may share a database of runs, and each keep the files of its own.
    """
    if store.is_shared:
        return True
    source = store.client.get_model_version_download_uri(version.name, version.version)
    folder = local_path(source)
    return folder is None or (folder / MODEL_DESCRIPTION).is_file()


def contract_of(store: Store, version: "ModelVersion") -> str | None:
    """Returns a version's contract, or None if nothing says it."""
    return version.tags.get(CONTRACT) or _metadata_of(store, version).contract


def _metadata_of(store: Store, version: "ModelVersion") -> Metadata:
    """Returns what was written down beside a version's model; empty if that is gone."""
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    source = store.client.get_model_version_download_uri(version.name, version.version)
    repository = get_artifact_repository(source, tracking_uri=store.uri)
    # A server answers a request for a file that it lacks as it answers when it is in trouble.
    if MODEL_DESCRIPTION not in {file.path for file in repository.list_artifacts()}:
        return Metadata()
    with TemporaryDirectory() as folder:
        file = Path(folder) / MODEL_DESCRIPTION
        repository._download_file(MODEL_DESCRIPTION, str(file))
        try:
            return Metadata.read(file)
        except (MlflowException, TypeError, ValueError):
            return Metadata()  # Somebody else's, in a form of its own.


def _is_ours(store: Store, version: "ModelVersion", split: SplitRecord) -> bool:
    here = checkout_name(store.root)
    # A version of an earlier release does not say where it was made.
    is_from_here = not store.is_shared or version.tags.get(MADE_IN, here) == here
    return is_from_here or bool(version.tags.get("data_digest") == data_digest(split))


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
