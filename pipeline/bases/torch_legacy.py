"""Reads weights that PyTorch before 1.6 saved, with NumPy alone.

A file is a stream: pickles of a magic number, of the protocol, of facts about the writing machine,
of the state dict and of the list of its storages' keys; then for each key the number of values
(int64) and the values. Pickles can run code, so names are resolved from a closed list.
"""

import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataIntegrityError

_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001
_DTYPES: Final = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


@dataclass
class _Storage:
    """A run of values; `values` is empty until the stream has reached them."""

    dtype: np.dtype[Any]
    size: int
    values: NDArray[Any]


@dataclass
class _Tensor:
    """A view of a storage, as `torch._utils._rebuild_tensor_v2` is told it."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool
    hooks: object

    def array(self) -> NDArray[Any]:
        """Returns a copy of the values, in the tensor's shape.

        Raises:
            ValueError: If the view reaches beyond its storage.
        """
        last = self.offset + sum(
            (n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True)
        )
        if min(self.offset, *self.strides, 0) < 0 or (
            0 not in self.shape and last >= self.storage.size
        ):
            raise ValueError(f"shape {self.shape} reaches beyond its {self.storage.size} values")
        itemsize = self.storage.dtype.itemsize
        view = np.lib.stride_tricks.as_strided(
            self.storage.values[self.offset :],
            self.shape,
            [stride * itemsize for stride in self.strides],
        )
        return np.array(view)


class _Unpickler(pickle.Unpickler):
    """Builds dicts and tensors, and refuses every other name."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module_name, global_name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module_name == "torch" and global_name in _DTYPES:
            return _DTYPES[global_name]
        raise pickle.UnpicklingError(f"it names {module_name}.{global_name}, which is not allowed")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _device, size, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError(f"unexpected reference {pid!r}")
        return self.storages.setdefault(key, _Storage(dtype, size, np.empty(0, dtype)))


def read_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """Returns the arrays of a legacy PyTorch file by name, float32 or int64.

    Args:
        path: A file written by `torch.save(module.state_dict(), path)` before PyTorch 1.6, or later
            with `_use_new_zipfile_serialization=False`.

    Raises:
        DataIntegrityError: If it is no such file, is cut short, or names anything else than
            tensors.
    """
    try:
        with path.open("rb") as stream:
            return _read(stream)
    except (pickle.UnpicklingError, ValueError, TypeError, AttributeError, KeyError) as error:
        problem = str(error)
    except (EOFError, struct.error):
        problem = "it ends too early"
    raise DataIntegrityError(f"{path} is not a legacy PyTorch weight file: {problem}.")


def _read(stream: BinaryIO) -> dict[str, NDArray[Any]]:
    if _Unpickler(stream).load() != _MAGIC:
        raise ValueError("its first number is not the format's")
    if _Unpickler(stream).load() != _PROTOCOL:
        raise ValueError(f"its protocol is not {_PROTOCOL}")
    if not _Unpickler(stream).load()["little_endian"]:
        raise ValueError("it is big-endian")
    unpickler = _Unpickler(stream)
    tensors = unpickler.load()
    for key in _Unpickler(stream).load():
        _fill(unpickler.storages[key], stream)
    if stream.read(1):
        raise ValueError("bytes follow its last tensor")
    return {name: tensor.array() for name, tensor in tensors.items()}


def _fill(storage: _Storage, stream: BinaryIO) -> None:
    (size,) = struct.unpack("<q", stream.read(8))
    if size != storage.size:
        raise ValueError(f"a storage of {storage.size} values is followed by {size}")
    data = stream.read(size * storage.dtype.itemsize)
    if len(data) != size * storage.dtype.itemsize:
        raise EOFError
    storage.values = np.frombuffer(data, storage.dtype)
