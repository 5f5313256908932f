"""Loads a classifier from the registry, or from a file, for use on images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.data.files import sha256_file
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.tracking.models import MODEL_FILE
from pipeline.tracking.store import Store, open_store

if TYPE_CHECKING:
    import keras
    from mlflow.entities.model_registry import ModelVersion


REGISTRY = "models:/"


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """A model that is ready to classify raw images.

    Attributes:
        model: uint8 images in the shape of its input to probabilities, shape (n, C).
        class_names: One for each of its outputs; empty if nobody knows.
        source: What it is, for people: `fashion_mnist-classifier version 3`.
    """

    model: "keras.Model"
    class_names: Sequence[str]
    source: str


def load_classifier(root: Path, uri: str) -> Classifier:
    """Loads a classifier after checking that its file is the one that was registered.

    Args:
        root: The repository.
        uri: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or a path to a `.keras` file.

    Raises:
        ConfigError: If there is no such model.
        DataIntegrityError: If its file is not the one that was registered, or cannot be loaded.
    """
    from pipeline.models.export import load_exported

    if not uri.startswith(REGISTRY):
        return Classifier(model=load_exported(Path(uri)), class_names=(), source=uri)
    from mlflow.exceptions import MlflowException

    store = open_store(root, create=False)
    try:
        version = _version(store, uri)
        folder = _download(store, version)
    except MlflowException as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(
            f"There is no such model: {reason}. Received: --model {uri}. "
            "Run `dvc repro` to register one, or name a .keras file."
        ) from None
    file = folder / MODEL_FILE
    _check(file, version.tags.get("model_sha256", ""))
    return Classifier(
        model=load_exported(file),
        class_names=_class_names(folder),
        source=f"{version.name} version {version.version}",
    )


def _version(store: Store, uri: str) -> "ModelVersion":
    name, at, alias = uri.removeprefix(REGISTRY).partition("@")
    if at:
        return store.client.get_model_version_by_alias(name, alias)
    name, _, number = name.rpartition("/")
    return store.client.get_model_version(name, number)


def _download(store: Store, version: "ModelVersion") -> Path:
    from mlflow.artifacts import download_artifacts

    # Not of the `models:/` address, which MLflow looks up in its global store.
    source = store.client.get_model_version_download_uri(version.name, version.version)
    # From a local store this is the folder itself, not a copy.
    return Path(download_artifacts(source, tracking_uri=store.uri))


def _class_names(folder: Path) -> Sequence[str]:
    from mlflow.models import Model

    metadata = Model.load(str(folder)).metadata or {}
    return list(metadata.get("class_names", ()))


def _check(file: Path, expected: str) -> None:
    found = sha256_file(file) if file.is_file() else "no file"
    if found != expected:
        raise DataIntegrityError(
            f"{file} must be the file that was registered. Expected sha256: {expected or 'none'}. "
            f"Received: {found}. Remove the version and run `dvc repro -f register`."
        )
