"""Brings the file of a registered model to this machine, and checks that it is that file."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.files import sha256_file
from pipeline.records.mirror.moved import local_path
from pipeline.records.mirror.store import Store, open_store
from pipeline.trials.registration import registration_of
from pipeline.workspace import REGISTRATION_FILE, stamp_file

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

REGISTRY: Final = "models:/"
# Where mlflow.keras keeps the file inside a model's folder.
MODEL_FILE: Final = "data/model.keras"
ONNX_FILE: Final = "data/model.onnx"
"""The same model for whoever has no time to start TensorFlow; versions of early releases lack it.
"""
ONNX_SHA256: Final = "onnx_sha256"
"""Tag of a version: what that file is."""


@dataclass(frozen=True, kw_only=True)
class RegisteredFile:
    """The file of a registered model's version, as it was registered.

    Attributes:
        folder: MLflow's folder of the model.
        path: The `.keras` file in it.
        name: Of the registered model.
        version: Its number, such as `3`.
        tags: Of the version.
    """

    folder: Path
    path: Path
    name: str
    version: str
    tags: Mapping[str, str]

    def onnx(self) -> Path | None:
        """Returns the file of ONNX beside it, checked; None if the version has none, or lost it.

        Raises:
            DataIntegrityError: If it is not the one that was registered.
        """
        expected = self.tags.get(ONNX_SHA256)
        path = self.folder / ONNX_FILE
        if expected is None or not path.is_file():
            return None
        _check(path, expected)
        return path


def onnx_tags(content: bytes | None) -> dict[str, str]:
    """Returns the tag of a version that says what its `ONNX_FILE` is; none without one."""
    return {} if content is None else {ONNX_SHA256: hashlib.sha256(content).hexdigest()}


@contextmanager
def registered_file(root: Path, uri: str, *, asked_by: str) -> Iterator[RegisteredFile]:
    """Finds a version, brings its file here and checks it; a copy of it goes when the block ends.

    Args:
        root: The repository.
        uri: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.
        asked_by: What the user wrote the address in, for messages: `--model`, or a key.

    Yields:
        The file: from a local store in its place, from a server a copy in a temporary folder.

    Raises:
        ConfigError: If there is no such version, or no store.
        DataIntegrityError: If its file is not the one that was registered.
    """
    with TemporaryDirectory() as copies:
        folder, version = _find(root, uri, Path(copies), asked_by=asked_by)
        file = folder / MODEL_FILE
        _check(file, version.tags.get("model_sha256", ""))
        yield RegisteredFile(
            folder=folder,
            path=file,
            name=version.name,
            version=str(version.version),
            tags=version.tags,
        )


def _find(root: Path, uri: str, copies: Path, *, asked_by: str) -> "tuple[Path, ModelVersion]":
    from mlflow.exceptions import MlflowException

    store = open_store(root, create=False)
    try:
        version = _version(store, uri)
        return _download(store, version, copies), version
    except MlflowException as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(
            f"There is no such model: {reason}. Received: {asked_by} {uri}. "
            f"{_advice(root, uri)}, or name a .keras file."
        ) from None


def _advice(root: Path, uri: str) -> str:
    record = registration_of(root)
    if record is not None and uri == f"{REGISTRY}{record.registered_model}@champion":
        stamp_file(root, "register").unlink(missing_ok=True)
        return f"{REGISTRATION_FILE} tells of one: run `python -m pipeline restore`"
    return "Run `dvc repro` to register one"


def _version(store: Store, uri: str) -> "ModelVersion":
    name, at, alias = uri.removeprefix(REGISTRY).partition("@")
    if at:
        return store.client.get_model_version_by_alias(name, alias)
    name, _, number = name.rpartition("/")
    return store.client.get_model_version(name, number)


def _download(store: Store, version: "ModelVersion", copies: Path) -> Path:
    from mlflow.artifacts import download_artifacts

    # Not of the `models:/` address, which MLflow looks up in its global store.
    source = store.client.get_model_version_download_uri(version.name, version.version)
    # Without a destination a local folder is given as it is, and anything else is copied into a
    # folder that MLflow never removes.
    folder = local_path(source)
    if folder is not None and not folder.is_dir():
        advice = "It lies on the machine that registered it"
        if not store.is_shared:
            advice = f"`python -m pipeline restore` brings back the one of {REGISTRATION_FILE}"
        raise DataIntegrityError(
            f"{folder} must hold version {version.version} of {version.name}. Received: no such "
            f"folder. {advice}."
        )
    destination = str(copies) if folder is None else None
    return Path(download_artifacts(source, dst_path=destination, tracking_uri=store.uri))


def _check(file: Path, expected: str) -> None:
    found = sha256_file(file) if file.is_file() else "no file"
    if found != expected:
        raise DataIntegrityError(
            f"{file} must be the file that was registered. Expected sha256: {expected or 'none'}. "
            f"Received: {found}. Remove the version and run `dvc repro -f register`."
        )
