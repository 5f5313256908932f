"""What a cut's array depends on, as one hash: two arrays of the same key hold the same values."""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.bases.cuts import Cut
from pipeline.bases.model_files import weights_sha256
from pipeline.features.frozen import PACKAGES, Engine
from pipeline.files import sha256_file
from pipeline.hyperparameter import Value

if TYPE_CHECKING:
    import keras

PACKAGE: Final = Path(__file__).parents[1]
# What they do is in no layer's configuration: the order of rows, the draws of views, the averages,
# and what a copy of a layer keeps.
CODE: Final = (
    "features/frozen.py",
    "features/memory.py",
    "features/onnx_graph.py",
    "features/onnx_session.py",
    "features/selection.py",
    "features/embed.py",
    "bases/flat.py",
    "bases/graph.py",
    "features/joined_cuts.py",
    "features/arrays.py",
    "features/pooling.py",
    "features/views.py",
    "seeds.py",
)


def images_sha256(batches: Iterable[NDArray[np.uint8]], is_train: NDArray[np.bool_]) -> str:
    """Returns the SHA-256 of images, with their shape, and of which of them are the train part."""
    digest = hashlib.sha256(is_train.tobytes())
    for number, batch in enumerate(batches):
        if not number:
            digest.update(f"{batch.dtype.str}{batch.shape[1:]}".encode())
        digest.update(np.ascontiguousarray(batch).data)
    return digest.hexdigest()


def array_keys(
    base: "keras.Model",
    front: "keras.Model",
    cuts: Sequence[Cut],
    *,
    images: str,
    views: Sequence[Mapping[str, Value]],
    batch_size: int | Literal["auto"],
) -> dict[str, str]:
    """Returns a key for each cut, 64 hex digits: all that its array depends on but the engine.

    Layers and weights above a cut have no part in it. What an array is stored under is
    `engine_key` of it.

    Args:
        base: As from `load_base`.
        front: The layers that bring images to it.
        cuts: Of this base, as they are kept.
        images: From `images_sha256`.
        views: Settings of each, in the order of their rows.
        batch_size: Images at a time, or auto, which follows from the layers. No sum has yet come
            out differently with it, and none has to come out the same.
    """
    from pipeline.bases.graph import truncate

    shared = {
        "batch_size": batch_size,
        "code": {name: sha256_file(PACKAGE / name) for name in CODE},
        "device": _device(),
        "front": _layers(front),
        "images": images,
        "libraries": _versions(),
        "views": list(views),
    }
    keys = {}
    for cut in cuts:
        below = truncate(base, [part.layer for part in cut.feed])
        own = {
            "layers": _layers(below),
            "feed": [[part.layer, part.pooling] for part in cut.feed],
            "weights": weights_sha256(below),
        }
        keys[cut.name] = hashlib.sha256(json.dumps(shared | own).encode()).hexdigest()
    return keys


def engine_key(key: str, engine: Engine) -> str:
    """Returns the key of an array that an engine made, 64 hex digits.

    Args:
        key: From `array_keys`, of the array's cut.
        engine: Whose sums they are: another one's, or those of another release, come out a little
            different.
    """
    versions = {name: importlib.metadata.version(name) for name in PACKAGES[engine]}
    return hashlib.sha256(json.dumps([key, engine, versions]).encode()).hexdigest()


def _layers(model: "keras.Model") -> Any:
    # Neither the model's name nor the numbers of objects: they count what the process made before.
    def without_ids(found: dict[str, object]) -> dict[str, object]:
        return {name: value for name, value in found.items() if name != "shared_object_id"}

    return json.loads(model.to_json(), object_hook=without_ids)["config"]["layers"]


def _versions() -> dict[str, str]:
    import keras
    import tensorflow as tf

    return {"keras": keras.__version__, "numpy": np.__version__, "tensorflow": tf.__version__}


def _device() -> str:
    """Returns the kind that TensorFlow computes on: a GPU's sums come out a little different."""
    import tensorflow as tf

    kinds = {device.device_type for device in tf.config.get_visible_devices()}
    return ", ".join(sorted(kinds - {"CPU"})) or "CPU"
