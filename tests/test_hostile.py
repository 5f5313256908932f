"""Files made to do harm: refused in one line, nothing in them runs, and memory stays bounded."""

import io
import json
import os
import pickle
import struct
import time
import zipfile
import zlib

import h5py
import numpy as np
import psutil
import pytest
from PIL import Image

from testing.forks import Fork
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

MOST_BYTES = 2_500_000_000
"""What a command may take; TensorFlow alone takes 0.6e9."""
CANARY = "canary"
PACKED = 1_000_000_000


class Touch:
    """Unpickled, it makes a file."""

    def __reduce__(self):
        return os.system, (f"touch {CANARY}",)


def lambda_config():
    """A network whose only layer is code that makes a file."""
    code = f"import os; os.system('touch {CANARY}')"
    layer = {
        "class_name": "Lambda",
        "module": "keras.layers",
        "registered_name": None,
        "config": {"name": "evil", "function": ["lambda", code], "arguments": {}},
    }
    return {
        "class_name": "Sequential",
        "module": "keras",
        "registered_name": None,
        "config": {"name": "evil", "layers": [layer]},
    }


def lambda_keras(folder):
    config = json.dumps(lambda_config())
    with zipfile.ZipFile(folder / "evil.keras", "w") as archive:
        archive.writestr("config.json", config)
    return folder / "evil.keras"


def lambda_hdf5(folder):
    with h5py.File(folder / "evil.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(lambda_config())
        file.attrs["keras_version"] = "2.15.0"
        file.create_group("model_weights")
    return folder / "evil.h5"


def traversal(folder):
    empty = {"class_name": "Sequential", "config": {"name": "m", "layers": []}}
    with zipfile.ZipFile(folder / "evil.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(empty))
        archive.writestr(f"assets/../../{CANARY}", "x")
    return folder / "evil.keras"


def zip_bomb(folder):
    empty = {"class_name": "Sequential", "config": {"name": "m", "layers": []}}
    file, packing = folder / "evil.keras", zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(file, "w", packing, compresslevel=1) as archive:
        archive.writestr("config.json", json.dumps(empty))
        with archive.open("model.weights.h5", "w", force_zip64=True) as stream:
            for _ in range(PACKED // 10_000_000):
                stream.write(bytes(10_000_000))
    return folder / "evil.keras"


def hdf5_bomb(folder):
    """Stored as it is, but compressed within."""
    empty = {"class_name": "Sequential", "config": {"name": "m", "layers": []}}
    with h5py.File(folder / "weights.h5", "w") as file:
        file.create_dataset("x", (PACKED,), "u1", chunks=(10_000_000,), compression="gzip")
        file["x"][:10_000_000] = 0
    with zipfile.ZipFile(folder / "evil.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(empty))
        archive.write(folder / "weights.h5", "model.weights.h5")
    return folder / "evil.keras"


def pickle_model(folder):
    (folder / "evil.keras").write_bytes(pickle.dumps(Touch()))
    return folder / "evil.keras"


def image(folder):
    file = folder / "image.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(file)
    return file


def run(folder, *arguments, **environment):
    """Runs a command; returns its exit code, what it said, and the most memory that it took."""
    process = Fork("pipeline", arguments, folder=folder, environment={**os.environ, **environment})
    peak, seen = 0, psutil.Process(process.pid)
    while process.poll() is None:
        try:
            peak = max(peak, seen.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.02)
    said, _ = process.communicate(timeout=60)
    return process.returncode, said, peak


def assert_refused(folder, *arguments, exit_code=2, because=""):
    code, said, peak = run(folder, *arguments)
    assert code == exit_code, said
    assert len(said.splitlines()) == 1, said
    assert because in said
    assert peak < MOST_BYTES
    assert not list(folder.parent.rglob(CANARY))


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "checkout"
    made.mkdir()
    return made


@pytest.mark.parametrize(
    ("make", "because"),
    [
        (lambda_keras, "a model with Lambda, a layer that is code"),
        (lambda_hdf5, "a model with Lambda, a layer that is code"),
        (traversal, "an archive that writes to"),
        (zip_bomb, "that unpacks to 1,000 MB"),
        (hdf5_bomb, "that unpacks to 1,000 MB"),
        (pickle_model, "a pickle of Python"),
    ],
)
def test_a_model_file_is_refused(folder, make, because):
    assert_refused(folder, "predict", image(folder), "--model", make(folder), because=because)


def test_params_that_name_code_are_refused(folder):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    evil = f"!!python/object/apply:os.system ['touch {CANARY}']"
    (folder / "params.yaml").write_text(text.replace("budget: 15m", f"budget: {evil}"))
    code, said, _ = run(folder, "check")
    assert code == 2
    assert "Traceback" not in said
    assert "tag:yaml.org,2002:python/object/apply:os.system" in said
    assert not (folder / CANARY).exists()


def fetch_params(folder, **fetch):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    for key, value in fetch.items():
        (line,) = [one for one in text.splitlines() if one.startswith(f"  {key}: ")][:1]
        text = text.replace(line, f"  {key}: {value}", 1)
    (folder / "params.yaml").write_text(text)


def test_arrays_that_are_objects_are_not_unpickled(folder):
    own = folder / "data/own"
    own.mkdir(parents=True)
    images = np.empty(8, object)
    images[:] = [Touch() for _ in range(8)]
    np.savez(own / "images.npz", images=images, labels=np.zeros(8, int))
    fetch_params(folder, dataset="npz", path="data/own")
    code, said, _ = run(folder, "fetch")
    assert code == 2, said
    assert "Received: Python objects" in said.splitlines()[-1]
    assert not list(folder.rglob(CANARY))


def chunk(kind, content):
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def image_bomb(folder):
    """A PNG of 60,000 x 60,000 pixels, in a few kilobytes."""
    side = 60_000
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(10_000_000), 9)
    file = folder / "bomb.png"
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return file


@pytest.mark.keras
def test_an_image_that_would_fill_memory_is_named_and_the_others_are_answered(folder):
    import keras

    inputs = keras.Input((8, 8), dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(flat)).save(
        folder / "own.keras"
    )
    code, said, peak = run(
        folder, "predict", image_bomb(folder), image(folder), "--model", folder / "own.keras"
    )
    assert code == 1
    assert "bomb.png is too large to be opened safely" in said
    assert "image.png: " in said
    assert peak < MOST_BYTES


def test_a_mirror_that_serves_another_file_is_refused(folder):
    mirror = folder / "mirror"
    mirror.mkdir()
    payload = io.BytesIO()
    pickle.dump(Touch(), payload)
    (mirror / "cifar-10-python.tar.gz").write_bytes(payload.getvalue())
    fetch_params(folder, dataset="cifar10")
    code, said, _ = run(folder, "fetch", PIPELINE_MIRROR=str(mirror))
    assert code == 2, said
    assert "Traceback" not in said
    assert not list(folder.rglob(CANARY))
