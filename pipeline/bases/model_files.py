"""What a model or weight file is, told by its content, and what opening it raises.

Nothing here needs Keras: a `.keras` file is a zip archive with JSON and HDF5 in it.
"""

import hashlib
import json
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.bases.hostile_files import problem_of_archive, problem_of_hdf5
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    import keras

UNREADABLE: Final = (
    OSError,
    # JSON, text that is no UTF-8, and layers, shapes or weights that do not fit.
    ValueError,
    TypeError,
    KeyError,
    # HDF5, and zip's features that Python does not know.
    RuntimeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)

KERAS_ENDING: Final = ".keras"
_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_ZIP: Final = b"PK\x03\x04"
_SAVE_ANEW: Final = 'Load it where it was made and save it with model.save("model.keras").'
_GET_ANEW: Final = "Get it anew."
_FOREIGN: Final = "Keras does not read it: convert it, or take a model of Keras."
# What a file begins with, what it then is, and what to do.
_OTHERS: Final = (
    (rb"version https://git-lfs", "a Git LFS pointer, not the file itself", "Run: git lfs pull"),
    (rb"(wdir:.*\n)?(frozen:.*\n)?(deps|outs|md5):", "a DVC pointer", "Run: dvc pull"),
    (rb"\s*(<!doctype html|<html|<\?xml|<head)", "a page of the web", "Download the file itself."),
    (rb"....TFL3", "a TensorFlow Lite model", _FOREIGN),
    (rb"\x08\x01\x12", "a TensorFlow SavedModel", _SAVE_ANEW),
    (rb"\x08[\x02-\x20][\x12\x1a\x22\x3a\x42]", "an ONNX model", _FOREIGN),
    (rb"\x80[\x02-\x05]", "a pickle of Python, as PyTorch writes", _FOREIGN),
    (rb".{8}\{", "a safetensors file", _FOREIGN),
    (rb"\s*\{", "a JSON file without weights", _SAVE_ANEW),
)
_REFUSED_LAYERS: Final = {
    "Lambda": "a layer that is code, which would run here",
    "TFOpLambda": "an operation of TensorFlow as a layer, which Keras 3 does not have",
    "SlicingOpLambda": "an operation of TensorFlow as a layer, which Keras 3 does not have",
}
_REBUILD: Final = "Build it of built-in layers and save it with model.save."
# What `keras.applications` calls the layers of its classifiers.
_CLASSIFIERS: Final = {"predictions", "logits", "conv_preds"}


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A whole model in a file.

    Attributes:
        layers: The configuration of each layer, in the file's order.
        keras_version: Which Keras wrote it, such as `2.15.0`; empty if it does not say.
        ending: What Keras wants the file's name to end in.
    """

    layers: Sequence[Mapping[str, object]]
    keras_version: str
    ending: str


def one_line(reason: BaseException | str) -> str:
    """Returns what a library said as a part of a sentence, without the rest of a long text.

    >>> one_line("it  is broken.")
    'it is broken'
    """
    return " ".join(str(reason).split())[:300].rstrip(".")


def read_model_file(path: Path) -> ModelFile:
    """Returns what a model file says of itself; its weights are not read and no code of it runs.

    Args:
        path: A `.keras` file or a legacy HDF5 file of Keras, under whatever name.

    Raises:
        ConfigError: If it is something else, saying what and what to do, or has layers that bring
            code of their own.
    """
    kind = _kind(path, "model")
    try:
        found = _of_hdf5(path) if kind == "hdf5" else _of_zip(path)
    except ConfigError:
        raise
    except UNREADABLE as error:
        raise _refusal(
            path, "model", f"damaged: {type(error).__name__}: {one_line(error)}", _GET_ANEW
        ) from None
    return found


def check_weight_file(path: Path) -> None:
    """Refuses a file that cannot hold the weights of a network, as far as its content shows.

    Raises:
        ConfigError: Saying what it is and what to do.
    """
    is_zip = _kind(path, "weights") == "zip"
    try:
        problem = _problem_of_zip(path) if is_zip else problem_of_hdf5(path)
    except ConfigError:
        raise
    except UNREADABLE as error:
        raise _refusal(path, "weights", f"damaged: {one_line(error)}", _GET_ANEW) from None
    _refuse_hostile(path, problem, "weights")


def _problem_of_zip(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        _refuse_other_zip(path, archive.namelist(), "weights")
        return problem_of_archive(path, archive)


def weight_ending(path: Path) -> str:
    """Returns what Keras wants the name of a weight file to end in: it tells formats by the name.

    Args:
        path: A weight file that `check_weight_file` has let pass.
    """
    if _kind(path, "weights") == "zip":
        return KERAS_ENDING
    import h5py

    with h5py.File(path) as file:
        is_legacy = "layer_names" in file.attrs or "model_weights" in file
    return ".h5" if is_legacy else ".weights.h5"


def has_classifier(path: Path) -> bool:
    """Returns whether a weight file is of a network of `keras.applications` with its top."""
    if _kind(path, "weights") == "zip":
        return bool(_CLASSIFIERS & {layer.get("name") for layer in read_model_file(path).layers})
    import h5py

    with h5py.File(path) as file:
        group = file.get("model_weights", file)
        names = {name if isinstance(name, str) else name.decode() for name in _layer_names(group)}
    return bool(_CLASSIFIERS & names)


@contextmanager
def under_ending(path: Path, ending: str) -> Iterator[Path]:
    """Gives a file under a name of another ending, for a block: Keras tells formats by the name."""
    if path.name.endswith(ending):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, f"file{ending}")
        link.symlink_to(path.resolve())
        yield link


def _layer_names(group: Any) -> list[Any]:
    return list(group.attrs.get("layer_names", ()))


def _kind(path: Path, key: str) -> str:
    """Returns `zip` or `hdf5`; refuses everything else."""
    if path.is_dir():
        is_saved_model = (path / "saved_model.pb").is_file()
        what = "a TensorFlow SavedModel" if is_saved_model else "a folder"
        raise _refusal(path, key, what, _SAVE_ANEW)
    if not path.is_file():
        raise ConfigError(f"{key} must be a file that is there. Received: {key}={path}.")
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith((_ZIP, _HDF5)):
        return "zip" if head.startswith(_ZIP) else "hdf5"
    if not head:
        raise _refusal(path, key, "an empty file", _GET_ANEW)
    for pattern, what, cure in _OTHERS:
        if re.match(pattern, head, flags=re.IGNORECASE | re.DOTALL):
            raise _refusal(path, key, what, cure)
    raise _refusal(path, key, f"neither a zip archive nor HDF5: {head[:12]!r}", _GET_ANEW)


def _of_zip(path: Path) -> ModelFile:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        _refuse_other_zip(path, names, "model")
        _refuse_hostile(path, problem_of_archive(path, archive), "model")
        config = json.loads(archive.read("config.json"))
        metadata = json.loads(archive.read("metadata.json")) if "metadata.json" in names else {}
    return ModelFile(
        layers=_layers(path, config),
        keras_version=str(metadata.get("keras_version", "")),
        ending=KERAS_ENDING,
    )


def _of_hdf5(path: Path) -> ModelFile:
    import h5py

    _refuse_hostile(path, problem_of_hdf5(path), "model")
    with h5py.File(path) as file:
        text, version = file.attrs.get("model_config"), file.attrs.get("keras_version", "")
    if text is None:
        raise _refusal(
            path,
            "model",
            "a file of weights without the model",
            "Save the whole with model.save, or give it as `weights` of a base of the table.",
        )
    config = json.loads(text)
    version = version.decode() if isinstance(version, bytes) else str(version)
    return ModelFile(layers=_layers(path, config), keras_version=version, ending=".h5")


def _layers(path: Path, config: Any) -> list[dict[str, object]]:
    if isinstance(config["config"], dict) and "layers" not in config["config"]:
        its_class = f"a model of a class of its own, {config['class_name']}"
        raise _refusal(path, "model", its_class, _REBUILD)
    layers = [dict(layer["config"]) for layer in config["config"]["layers"]]
    classes = {name for name in _classes(config) if isinstance(name, str)}
    for name, reason in _REFUSED_LAYERS.items():
        if name in classes:
            raise _refusal(path, "model", f"a model with {name}, {reason}", _REBUILD)
    return layers


def _refuse_hostile(path: Path, problem: str, key: str) -> None:
    if problem:
        raise _refusal(path, key, problem, _GET_ANEW)


def _refuse_other_zip(path: Path, names: list[str], key: str) -> None:
    if "config.json" in names:
        return
    ends = {name.rpartition("/")[2] for name in names}
    if "saved_model.pb" in ends:
        raise _refusal(path, key, "a zip archive of a TensorFlow SavedModel", _SAVE_ANEW)
    if "data.pkl" in ends:
        raise _refusal(path, key, "a PyTorch file", _FOREIGN)
    inside = [name for name in names if name.endswith((KERAS_ENDING, ".h5", ".hdf5"))]
    if inside and "model.weights.h5" not in ends:
        raise _refusal(path, key, f"a zip archive with {inside[0]} in it", "Unpack it.")
    raise _refusal(path, key, "a zip archive without config.json", _SAVE_ANEW)


def _classes(value: Any) -> Iterator[Any]:
    """Yields every class that a configuration names, at any depth."""
    if isinstance(value, dict):
        yield value.get("class_name")
        for item in value.values():
            yield from _classes(item)
    elif isinstance(value, list):
        for item in value:
            yield from _classes(item)


def _refusal(path: Path, key: str, what: str, cure: str) -> ConfigError:
    wanted = (
        "a .keras or .h5 file of a functional or sequential model"
        if key == "model"
        else "a weight file of Keras, .weights.h5 or .h5"
    )
    return ConfigError(f"{key} must be {wanted}. Received: {key}={path}, which is {what}. {cure}")


def weights_sha256(model: "keras.Model") -> str:
    """Returns the SHA-256 of a model's weights in order, with their types and shapes.

    A `.keras` file holds the time it was written, so that its own hash tells nothing.

    Returns:
        64 hex digits, the same for every copy of the model.
    """
    import numpy as np

    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
