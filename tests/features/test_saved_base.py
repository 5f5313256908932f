"""The saved base: what `embed` used, byte for byte the same whoever writes it, and nothing else."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.bases.load import load_base
from pipeline.bases.model_files import weights_sha256
from pipeline.errors import DataIntegrityError
from pipeline.features.saved_base import BASE_FILE, load_saved_base, save_base
from pipeline.files import sha256_file
from testing.features import write_cuts
from tests.bases.damage import flip_bit

pytestmark = pytest.mark.keras

ROOT = Path(__file__).parents[2]
# In another process: objects have other addresses, and Keras has counted other layers before.
WRITE = """
import sys, keras
from pathlib import Path
from pipeline.bases.load import load_base
from pipeline.features.saved_base import save_base
keras.layers.Add(), keras.layers.Activation("relu"), keras.Input((2,)) + 1
keras.utils.set_random_seed(5)
save_base(load_base("mobilenet_v3_small", image_size=32, weights="random"), Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def base():
    import keras

    keras.utils.set_random_seed(5)
    return load_base("mobilenet_v3_small", image_size=32, weights="random")


@pytest.fixture
def folder(tmp_path, base):
    save_base(base, tmp_path)
    write_cuts(tmp_path, weights_sha256=weights_sha256(base))
    return tmp_path


def test_the_saved_base_computes_what_the_base_does(folder, base):
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    loaded = load_saved_base(folder)
    np.testing.assert_array_equal(loaded(images), base(images))
    assert [layer.name for layer in loaded.operations] == [layer.name for layer in base.operations]


def test_it_is_frozen_and_not_compiled(folder):
    loaded = load_saved_base(folder)
    assert loaded.trainable_weights == []
    assert not loaded.compiled


def test_another_process_writes_the_same_bytes(folder, tmp_path):
    other = tmp_path / "other"
    command = [sys.executable, "-c", WRITE, str(other)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    assert sha256_file(other / BASE_FILE) == sha256_file(folder / BASE_FILE)


def test_no_time_is_in_the_file(folder):
    with zipfile.ZipFile(folder / BASE_FILE) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
        assert list(json.loads(archive.read("metadata.json"))) == ["keras_version"]


def test_objects_that_layers_share_are_numbered_in_order(tmp_path):
    """Keras writes their addresses in memory, which are other ones in every process."""
    from pipeline.bases.efficientnet_lite import build_efficientnet_lite

    save_base(build_efficientnet_lite("efficientnet_lite0", 32), tmp_path)
    with zipfile.ZipFile(tmp_path / BASE_FILE) as archive:
        config = archive.read("config.json").decode()
    assert set(re.findall(r'"shared_object_id": (\d+)', config)) == {"0"}


def test_other_weights_give_another_file(folder, base, tmp_path):
    import keras

    other = keras.models.clone_model(base)
    weights = base.get_weights()
    weights[0] = weights[0] + 1e-3
    other.set_weights(weights)
    assert sha256_file(save_base(other, tmp_path / "other")) != sha256_file(folder / BASE_FILE)


def test_nothing_else_is_left_in_the_folder(folder):
    assert sorted(path.name for path in folder.iterdir()) == [BASE_FILE, "manifest.json"]


def test_other_weights_than_those_of_the_features_are_refused(folder):
    write_cuts(folder, weights_sha256="ab" * 32)
    with pytest.raises(DataIntegrityError, match=r"Expected sha256: abab.* dvc repro -f embed"):
        load_saved_base(folder)


@pytest.mark.parametrize("name", [BASE_FILE, "manifest.json"])
def test_a_missing_file_says_what_to_run(folder, name):
    (folder / name).unlink()
    with pytest.raises(DataIntegrityError, match=r"base\.keras cannot be loaded: .*-f embed"):
        load_saved_base(folder)


def test_a_cut_file_is_refused(folder):
    file = folder / BASE_FILE
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(DataIntegrityError, match=r"base\.keras cannot be loaded"):
        load_saved_base(folder)


@pytest.mark.parametrize("deflated", [False, True])
def test_a_damaged_file_is_refused(folder, deflated):
    flip_bit(folder / BASE_FILE, deflated=deflated)
    with pytest.raises(DataIntegrityError, match=r"base\.keras cannot be loaded"):
        load_saved_base(folder)
