"""Owns `data/features/BASE/base.keras`: the base as it was embedded, for every later stage.

Nobody downloads weights or asks a registry after `embed`, and nobody gets other weights than those
that the features were computed with.
"""

import json
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.bases.model_files import UNREADABLE, one_line
from pipeline.errors import DataIntegrityError
from pipeline.features.manifest import read_manifest
from pipeline.files import write_whole

if TYPE_CHECKING:
    import keras

BASE_FILE: Final = "base.keras"
# The first day that a zip file can name.
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)
_SAVED_AT: Final = "date_saved"
_SHARED: Final = "shared_object_id"


def save_base(base: "keras.Model", features: Path) -> Path:
    """Writes `base.keras` into a base's folder of features.

    Equal bases give equal bytes, in any process and at any time, so that DVC runs no stage again
    because `embed` wrote the same base anew.

    Args:
        base: As from `load_base`.
        features: `data/features/BASE`.

    Returns:
        The file.
    """
    path = features / BASE_FILE
    with write_whole(path) as part:
        base.save(part)
        _without_times(part)
    return path


def load_saved_base(features: Path) -> "keras.Model":
    """Returns the base that a folder of features was computed with, frozen.

    Args:
        features: `data/features/BASE`, as `embed` left it.

    Returns:
        (n, image_size, image_size, 3) float32 RGB in [0, 255] to the base's top; its layers have
        the names of the manifest's cuts.

    Raises:
        DataIntegrityError: If the file or the manifest is missing or damaged, or the weights are
            not those that the manifest names.
    """
    import keras

    from pipeline.bases.model_files import weights_sha256

    path = features / BASE_FILE
    try:
        expected = read_manifest(features).weights_sha256
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except (DataIntegrityError, *UNREADABLE) as error:
        raise DataIntegrityError(
            f"{path} cannot be loaded: {one_line(error)}. Run: dvc repro -f embed"
        ) from None
    model.trainable = False
    found = weights_sha256(model)
    if found != expected:
        raise DataIntegrityError(
            f"{path} must hold the weights that the features beside it were computed with. "
            f"Expected sha256: {expected}. Received: {found}. Run: dvc repro -f embed"
        )
    return model


def _without_times(path: Path) -> None:
    """Rewrites a `.keras` file without what differs between two that hold the same."""
    timed = path.with_name(f"{path.name}.timed")
    path.rename(timed)
    try:
        with zipfile.ZipFile(timed) as source, zipfile.ZipFile(path, "w") as target:
            for name in source.namelist():
                entry = zipfile.ZipInfo(name, date_time=_NO_TIME)
                with target.open(entry, "w", force_zip64=True) as out, source.open(name) as content:
                    if name.endswith(".json"):
                        out.write(json.dumps(_settled(json.load(content), {})).encode())
                    else:
                        shutil.copyfileobj(content, out)
    finally:
        timed.unlink()


def _settled(value: Any, numbers: dict[int, int]) -> Any:
    """Returns Keras' JSON without the date, and with objects numbered in order.

    Keras numbers an object that several layers share by its address in memory.
    """
    if isinstance(value, list):
        return [_settled(item, numbers) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: numbers.setdefault(item, len(numbers)) if key == _SHARED else _settled(item, numbers)
        for key, item in value.items()
        if key != _SAVED_AT
    }
