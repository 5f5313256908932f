"""Loads a classifier from the registry, or from a file, for use on images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.tracking.registered_file import REGISTRY, registered_file

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
        uri: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or a path to a `.keras` file.

    Raises:
        ConfigError: If there is no such model.
        DataIntegrityError: If its file is not the one that was registered, or cannot be loaded.
    """
    from pipeline.models.export import load_exported
    from pipeline.training.devices import fix_settings

    if not uri.startswith(REGISTRY):
        fix_settings()
        return Classifier(model=load_exported(Path(uri)), class_names=(), source=uri)
    with registered_file(root, uri, asked_by="--model") as file:
        fix_settings()
        return Classifier(
            model=load_exported(file.path),
            class_names=_class_names(file.folder),
            source=f"{file.name} version {file.version}",
        )


def _class_names(folder: Path) -> Sequence[str]:
    from mlflow.models import Model

    metadata = Model.load(str(folder)).metadata or {}
    return list(metadata.get("class_names", ()))
