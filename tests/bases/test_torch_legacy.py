"""Reads what PyTorch wrote before 1.6, and runs nothing that a file names."""

import io
import pickle
import struct
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest

from pipeline.bases.torch_legacy import read_state_dict
from pipeline.errors import DataIntegrityError

MAGIC = 0x1950A86A20F9469CFC6C
SYS_INFO = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}


class Tensor:
    """Stands for torch's: pickles as a call of `_rebuild_tensor_v2` on a storage."""

    def __init__(self, values, shape, strides, offset=0):
        self.storage = Storage(values)
        self.arguments = (self.storage, offset, shape, strides, False, OrderedDict())

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


class Storage:
    """Stands for torch's: the pickler writes a reference, the file has the values at its end."""

    def __init__(self, values):
        self.values = np.asarray(values)


class LegacyPickler(pickle.Pickler):
    """Writes storages as torch does."""

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        kind = {"f": "FloatStorage", "i": "LongStorage"}[value.values.dtype.kind]
        storage_type = getattr(sys.modules["torch"], kind)
        return ("storage", storage_type, str(id(value)), "cpu", value.values.size, None)


@pytest.fixture
def torch_names(monkeypatch):
    """Names under which the pickles of these tests refer to torch; no code behind them."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "LongStorage", "HalfStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2(*arguments):
        raise AssertionError("torch's own function must not be called")

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def legacy_bytes(tensors, *, magic=MAGIC, protocol=1001, sys_info=SYS_INFO):
    stream = io.BytesIO()
    for value in (magic, protocol, sys_info):
        pickle.dump(value, stream, protocol=2)
    LegacyPickler(stream, protocol=2).dump(OrderedDict(tensors))
    storages = {id(t.storage): t.storage for t in tensors.values() if isinstance(t, Tensor)}
    pickle.dump([str(key) for key in storages], stream, protocol=2)
    for storage in storages.values():
        stream.write(struct.pack("<q", storage.values.size))
        stream.write(storage.values.astype(storage.values.dtype.newbyteorder("<")).tobytes())
    return stream.getvalue()


@pytest.fixture
def write(tmp_path, torch_names):
    def write(tensors, **settings):
        path = tmp_path / "weights.pth"
        path.write_bytes(legacy_bytes(tensors, **settings))
        return path

    return write


VALUES = np.arange(6, dtype=np.float32)


def test_tensors_come_back_by_name(write):
    path = write(
        {
            "conv.weight": Tensor(VALUES, (2, 3), (3, 1)),
            "steps": Tensor(np.array([7], np.int64), (), ()),
        }
    )
    found = read_state_dict(path)
    assert list(found) == ["conv.weight", "steps"]
    np.testing.assert_array_equal(found["conv.weight"], [[0, 1, 2], [3, 4, 5]])
    assert found["conv.weight"].dtype == np.float32
    assert found["steps"] == 7
    assert found["steps"].shape == ()


def test_offsets_and_strides_are_followed(write):
    found = read_state_dict(write({"w": Tensor(VALUES, (2, 2), (1, 2), offset=1)}))
    np.testing.assert_array_equal(found["w"], [[1, 3], [2, 4]])


def test_arrays_do_not_hang_on_the_file(write):
    found = read_state_dict(write({"w": Tensor(VALUES, (6,), (1,))}))
    found["w"][0] = 9.0
    assert found["w"].flags.c_contiguous


class RunsCode:
    """A pickle of it would run a shell command when read."""

    def __reduce__(self):
        import os

        return os.system, ("touch run_by_pickle",)


def test_a_file_that_would_run_code_is_refused(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write({"w": RunsCode()})
    with pytest.raises(DataIntegrityError, match=r"it names \w+\.system, which is not allowed"):
        read_state_dict(path)
    assert not (tmp_path / "run_by_pickle").exists()


def test_other_names_of_torch_are_refused(write):
    path = write({"w": sys.modules["torch"].HalfStorage})
    with pytest.raises(DataIntegrityError, match=r"it names torch.HalfStorage, which is not"):
        read_state_dict(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"magic": 1}, "its first number is not the format's"),
        ({"protocol": 1002}, "its protocol is not 1001"),
        ({"sys_info": {**SYS_INFO, "little_endian": False}}, "it is big-endian"),
    ],
)
def test_another_format_is_refused(write, settings, message):
    path = write({"w": Tensor(VALUES, (6,), (1,))}, **settings)
    with pytest.raises(DataIntegrityError, match=f"weights.pth is not a legacy.*{message}"):
        read_state_dict(path)


def test_every_cut_of_a_file_is_refused(write):
    path = write({"w": Tensor(VALUES, (6,), (1,))})
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(DataIntegrityError, match="is not a legacy PyTorch weight file"):
            read_state_dict(path)


def test_bytes_after_the_end_are_refused(write):
    path = write({"w": Tensor(VALUES, (6,), (1,))})
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DataIntegrityError, match="bytes follow its last tensor"):
        read_state_dict(path)


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [((7,), (1,), 0), ((2, 3), (4, 1), 0), ((6,), (1,), 1), ((2,), (-1,), 0), ((2,), (1,), -1)],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(write, shape, strides, offset):
    path = write({"w": Tensor(VALUES, shape, strides, offset=offset)})
    with pytest.raises(DataIntegrityError, match="reaches beyond its 6 values"):
        read_state_dict(path)


def test_a_zip_file_of_later_versions_is_refused(tmp_path):
    (tmp_path / "new.pth").write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(DataIntegrityError, match=r"new\.pth is not a legacy PyTorch weight file"):
        read_state_dict(tmp_path / "new.pth")
