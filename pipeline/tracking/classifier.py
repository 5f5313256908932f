"""Loads a classifier from the registry, or from a file, for use on images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.data.files import sha256_file
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.tracking.models import MODEL_FILE
from pipeline.tracking.store import Store, open_store

if TYPE_CHECKING:
    import keras


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
        uri: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, `runs:/...`, or a path to a `.keras`
            file.

    Raises:
        ConfigError: If there is no such model.
        DataIntegrityError: If its file is not the one that was registered, or cannot be loaded.
    """
    from pipeline.models.export import load_exported

    if not uri.startswith(("models:/", "runs:/")):
        return Classifier(model=load_exported(Path(uri)), class_names=(), source=uri)
    from mlflow.exceptions import MlflowException

    try:
        folder, source = _download(open_store(root, create=False), uri)
    except MlflowException as error:
        raise ConfigError(
            f"There is no such model: {str(error).splitlines()[0]} Received: --model {uri}. "
            "Run `dvc repro` to register one, or name a .keras file."
        ) from None
    metadata = _metadata(folder)
    file = folder / MODEL_FILE
    _check(file, str(metadata.get("model_sha256", "")))
    return Classifier(
        model=load_exported(file), class_names=metadata.get("class_names", ()), source=source
    )


def _download(store: Store, uri: str) -> tuple[Path, str]:
    from mlflow.artifacts import download_artifacts

    # From a local store this is the folder itself, not a copy.
    folder = download_artifacts(uri, tracking_uri=store.uri, registry_uri=store.uri)
    return Path(folder), _source(store, uri)


def _source(store: Store, uri: str) -> str:
    name, at, alias = uri.removeprefix("models:/").partition("@")
    if not at:
        return uri
    version = store.client.get_model_version_by_alias(name, alias)
    return f"{name} version {version.version} ({alias})"


def _metadata(folder: Path) -> dict[str, Any]:
    from mlflow.models import Model

    return dict(Model.load(str(folder)).metadata or {})


def _check(file: Path, expected: str) -> None:
    found = sha256_file(file) if file.is_file() else "no file"
    if found != expected:
        raise DataIntegrityError(
            f"{file} must be the file that was registered. Expected sha256: {expected or 'none'}. "
            f"Received: {found}. Remove the version and run `dvc repro -f register`."
        )
