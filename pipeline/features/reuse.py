"""Arrays of earlier runs that still hold, by what they depend on: taken instead of computed."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.features.arrays import WrittenArray
from pipeline.features.earlier_arrays import (
    EarlierArray,
    EarlierArrays,
    copy_array,
    files_in,
    is_whole,
)
from pipeline.features.frozen import ENGINES
from pipeline.features.keys import engine_key

Arrays = dict[str, tuple[str, WrittenArray]]
"""By the cut's name: what an array is stored under, and what was written."""


def array_file(features: Path, base: str, cut: str) -> Path:
    """Returns where the array of a cut belongs."""
    return features / base / f"{cut}.npy"


def arrays_there(keys: Mapping[str, str], features: Path, base: str) -> Arrays:
    """Returns the arrays of a base that lie where they belong and are whole.

    Args:
        keys: From `features.keys.array_keys`, by the cut's name.
        features: The stage's folder.
        base: Name of the base, and of its folder.
    """
    earlier = EarlierArrays([files_in(features)])
    return {
        cut: (found.key, found.array)
        for cut, key in keys.items()
        for found in _of_any_engine(key, earlier)
        if found.file == array_file(features, base, cut) and is_whole(found)
    }


def copied_arrays(keys: Mapping[str, str], sources: EarlierArrays, folder: Path) -> Arrays:
    """Copies what earlier runs have of some arrays into the folder of their base.

    Args:
        keys: Of the wanted arrays, from `features.keys.array_keys`, by the cut's name.
        sources: What there is.
        folder: Of the base.

    Returns:
        Those that were found and whole.
    """
    copied = {}
    for cut, key in keys.items():
        found = _of_any_engine(key, sources)
        whole = next((each for each in found if copy_array(each, folder / f"{cut}.npy")), None)
        if whole is not None:
            copied[cut] = (whole.key, whole.array)
    return copied


def _of_any_engine(key: str, sources: EarlierArrays) -> Iterator[EarlierArray]:
    """Yields arrays of ONNX Runtime first: another engine's are of when it could not be used."""
    for engine in ENGINES:
        yield from sources.find(engine_key(key, engine))
