"""Loads a classifier from the registry, or from a file, for use on images."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from pipeline.bases.model_files import one_line
from pipeline.errors import ConfigError
from pipeline.records.lineage import NONE, dvc_tags
from pipeline.records.mirror.dataset_inputs import data_digest
from pipeline.records.model_registry.candidate import SUM_TOLERANCE
from pipeline.records.model_registry.registered_file import (
    REGISTRY,
    RegisteredFile,
    registered_file,
)
from pipeline.records.model_registry.registered_models import MADE_IN, Metadata, contract
from pipeline.split_record import find_split
from pipeline.trials.registration import registration_of

if TYPE_CHECKING:
    import keras

    from pipeline.features.onnx_session import OnnxFile

logger = logging.getLogger(__name__)

MOST_NAMES = 5


Network = TypeVar("Network")


@dataclass(frozen=True, kw_only=True)
class Classifier(Generic[Network]):
    """A model that is ready to classify raw images.

    Attributes:
        model: uint8 images in the shape of its input to probabilities, shape (n, C): a Keras model,
            or the `OnnxFile` that answers as it does, to which nothing of Keras must be loaded.
        class_names: One for each of its outputs; empty if nobody knows.
        source: What it is, for people: `fashion_mnist-classifier version 3`.
        value_range: What is black and white to it in gray of more than 8 bits; None: what formats
            say, or, of a file, nobody knows.
    """

    model: Network
    class_names: Sequence[str]
    source: str
    value_range: tuple[float, float] | None = None


def load_classifier(root: Path, uri: str) -> "Classifier[keras.Model]":
    """Loads a classifier after checking that its file is the one that was registered.

    Args:
        root: The repository.
        uri: `models:/NAME@ALIAS`, `models:/NAME/VERSION`, or a path to a `.keras` file.

    Raises:
        ConfigError: If there is no such model, or a file's takes no pixels or gives no
            probabilities.
        DataIntegrityError: If its file is not the one that was registered, or cannot be loaded.
    """
    from pipeline.training.devices import fix_settings
    from pipeline.training.export import load_exported

    if not uri.startswith(REGISTRY):
        fix_settings()
        model = load_exported(Path(uri))
        if problem := _no_classifier(model):
            raise ConfigError(
                f"A model must take pixels, uint8 from 0 to 255, and answer with probabilities, as "
                f"those in models/ do. Received: {uri}, which {problem}. Put the layers before or "
                "behind it that it lacks, such as Rescaling or Softmax, and save it again."
            )
        return Classifier(model=model, class_names=(), source=uri)
    with registered_file(root, uri, asked_by="--model") as file:
        return opened(file)


def _no_classifier(model: "keras.Model") -> str:
    """Says why a user's model would be misunderstood; empty if it would not."""
    if not model.built or len(model.outputs) != 1:
        return "is not built, or has several outputs"
    dtypes = [one.dtype for one in model.inputs]
    if dtypes != ["uint8"]:
        return f"takes {', '.join(dtypes)}"
    shape = model.input_shape[1:]
    if None in shape:  # Whoever prepares images refuses it.
        return ""
    images = np.stack([np.full(shape, value, np.uint8) for value in (0, 255)])
    answers = np.asarray(model(images, training=False))
    if np.all(np.abs(answers.sum(axis=-1) - 1) < SUM_TOLERANCE) and answers.min() >= 0:
        return ""
    return f"answers from {answers.min():.3g} to {answers.max():.3g}, which do not sum to 1"


def load_champion(root: Path, name: str) -> "Classifier[keras.Model]":
    """Loads a champion after checking that it learned from the data of this checkout.

    It has the digest of the training data, the classes and the image shape of `data/split.json`;
    or these classes and this shape, and stayed champion when what was learned from the data of this
    checkout was compared with it. Where `data/split.json` has not been pulled, `dvc.lock` must have
    it as it was when the version was made, or `results/registration.json` must tell of this very
    version.

    Args:
        root: The repository.
        name: The registered model's.

    Raises:
        ConfigError: If there is no champion, or it is not known to be of these data.
        DataIntegrityError: If its file is not the one that was registered, or cannot be loaded.
    """
    with champion_file(root, name) as file:
        return opened(file)


@contextmanager
def champion_file(root: Path, name: str) -> Iterator[RegisteredFile]:
    """Finds a champion's file; what is checked, and what is raised, is that of `load_champion`."""
    uri = f"{REGISTRY}{name}@champion"
    with registered_file(root, uri, asked_by="--model") as file:
        problem = _other_data(root, file)
        if problem:
            raise ConfigError(
                f"{problem} Run `dvc pull` or `dvc repro`, or `dvc repro -f register` if all is up "
                f"to date; --model {uri} uses it anyway."
            )
        yield file


def opened(file: RegisteredFile) -> "Classifier[keras.Model]":
    """Loads a registered file as Keras does.

    Raises:
        DataIntegrityError: If it cannot be loaded.
    """
    from pipeline.training.devices import fix_settings
    from pipeline.training.export import load_exported

    fix_settings()
    return _described_by(file, load_exported(file.path))


def quickly_opened(file: RegisteredFile) -> "Classifier[OnnxFile] | Classifier[keras.Model]":
    """Opens a registered model without TensorFlow where its version has a file of ONNX.

    Raises:
        DataIntegrityError: If that is not the one that was registered, or cannot be loaded.
    """
    onnx = file.onnx()
    if onnx is None:
        return opened(file)
    from pipeline.features.onnx_session import RUNTIME_ERRORS, OnnxFile

    try:
        return _described_by(file, OnnxFile(onnx))
    except RUNTIME_ERRORS as error:
        # Such as an older release, which lacks an operation.
        logger.warning("answering through TensorFlow, since ONNX Runtime says: %s", one_line(error))
        return opened(file)


def _described_by(file: RegisteredFile, model: Network) -> Classifier[Network]:
    metadata = Metadata.read(file.folder)
    return Classifier(
        model=model,
        class_names=metadata.class_names,
        value_range=metadata.value_range,
        source=f"{file.name} version {file.version}",
    )


def _other_data(root: Path, file: RegisteredFile) -> str:
    """Says why a version cannot be taken for one of this checkout's data; empty if it can."""
    metadata, split = Metadata.read(file.folder), find_split(root)
    found = _described(file.tags.get("data_digest"), metadata.class_names)
    place = file.tags.get(MADE_IN)
    champion = f"{file.name}@champion, version {file.version}"
    learned = f"learned from {found}{f', in {place}' if place else ''}"
    if split is None:
        if _is_known(root, file):
            return ""
        return (
            f"{champion}, {learned}, and without data/split.json nothing says that these are the "
            "data of this checkout."
        )
    own = (data_digest(split), contract(split))
    if own == (file.tags.get("data_digest"), metadata.contract):
        return ""
    if own[1] == metadata.contract and _has_stayed(root, file, own[0]):
        return ""
    return (
        f"{champion}, {learned}; the data of this checkout are "
        f"{_described(own[0], split.class_names)}."
    )


def _is_known(root: Path, file: RegisteredFile) -> bool:
    locked, record = dvc_tags(root)["dvc.split"], registration_of(root)
    if locked != NONE and locked == file.tags.get("dvc.split"):
        return True
    return record is not None and record.weights_sha256 == file.tags.get("weights_sha256")


def _has_stayed(root: Path, file: RegisteredFile, data_digest: str) -> bool:
    """Whether a version stayed champion when what was learned from these data was registered."""
    record = registration_of(root)
    if record is None or record.registered_model != file.name:
        return False
    return record.stayed == {"version": file.version, "data_digest": data_digest}


def _described(digest: str | None, names: Sequence[str]) -> str:
    shown = ", ".join([*names[:MOST_NAMES], *(["..."] if len(names) > MOST_NAMES else [])])
    return f"{digest[:8] if digest else 'unknown data'} ({len(names)} classes: {shown})"
