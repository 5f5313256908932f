"""TensorFlow and Keras in a process of their own: threads, lines, and settings from outside."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.training.devices import fix_settings

pytestmark = pytest.mark.keras

ROOT = Path(__file__).parents[2]

SCRIPT = """
from pipeline.training.devices import configure_tensorflow
configure_tensorflow(num_threads=1)
configure_tensorflow(num_threads=1)
import keras
import tensorflow as tf
tf.matmul(tf.ones((4, 4)), tf.ones((4, 4)))
threading = tf.config.threading
print(
    threading.get_intra_op_parallelism_threads(),
    threading.get_inter_op_parallelism_threads(),
    keras.backend.backend(),
    keras.config.max_steps_per_epoch(),
    keras.config.floatx(),
    keras.config.epsilon(),
    keras.config.image_data_format(),
    keras.config.dtype_policy().name,
    keras.src.backend.config.keras_home(),
)
"""
HOSTILE = {
    "floatx": "float16",
    "epsilon": 0.01,
    "backend": "jax",
    "image_data_format": "channels_first",
    "nnx_enabled": True,
}
NUMBERS = """
import json, sys
from hashlib import sha256
from pathlib import Path
import numpy as np
from pipeline.__main__ import main

digits = np.random.default_rng(0)
Path("data").mkdir()
labels = np.arange(40) % 2
images = digits.integers(0, 200, (40, 12, 12), dtype=np.uint8) + 50 * labels[:, None, None]
rows = np.split(np.arange(40), [24, 32])
parts = dict(zip(("train", "val", "confirmation"), rows))
np.savez("data/train.npz", images=images.astype(np.uint8), labels=labels, **parts)
Path("params.yaml").write_text(json.dumps({"embed": {
    "pixels_size": 64, "batch_size": 8, "max_bytes": 10**9, "bases": {
    "efficientnet_lite0": {"image_size": 32, "cuts": ["block0_bn2"]}}}}))
assert main(["embed"]) == 0

from pipeline.processes import num_cores
from pipeline.search.configurations import completed
from pipeline.search.executors.base import tensorflow_worker
from pipeline.search.space import SearchSpace
from pipeline.training.data import DataReference
from pipeline.training.messages import TrialSpec

run_trial = tensorflow_worker(num_threads=num_cores())
values = {**json.loads(sys.argv[1]), "cut": "block0_bn2", "units": 4, "batch_size": 8}
spec = TrialSpec(uid="t", hyperparameters=completed({}, SearchSpace({}, values)), seed=1, epochs=2,
                 judge=None, model_file=None)
features = "data/features/efficientnet_lite0"
data = DataReference(features=features, train_file="data/train.npz")
result = run_trial(spec, data, lambda _: False)
print(sha256(Path(features, "block0_bn2.npy").read_bytes()).hexdigest(), result.weights_sha256)
"""


def run_script(script, *arguments, cwd, **environment):
    kept = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def hostile(tmp_path):
    """An environment and a keras.json that change every number there is."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "keras.json").write_text(json.dumps(HOSTILE))
    return {"KERAS_HOME": str(home), "KERAS_BACKEND": "torch", "KERAS_MAX_STEPS_PER_EPOCH": "1"}


def test_a_configured_process_is_bound_and_silent_whatever_is_set_around_it(hostile, tmp_path):
    done = run_script(SCRIPT, cwd=tmp_path, **hostile)
    fixed = "tensorflow None float32 1e-07 channels_last float32"
    assert done.stdout == f"1 1 {fixed} {hostile['KERAS_HOME']}\n"
    assert done.stderr == ""


@pytest.mark.slow
def test_features_and_a_training_are_the_same_whatever_is_set_around_them(
    hostile, tmp_path, params_document
):
    defaults, printed = json.dumps(params_document["defaults"]), []
    for name, environment in {"plain": {}, "hostile": hostile}.items():
        (tmp_path / name).mkdir()
        done = run_script(NUMBERS, defaults, cwd=tmp_path / name, **environment)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout.splitlines()[-1])
        said = [line for line in done.stderr.splitlines() if "outside this project" in line]
        assert len(said) == len(environment) // 3
    assert printed[0] == printed[1]
    assert "image_data_format=channels_first" in said[0]


@pytest.mark.parametrize("settings", ['{"floatx": "bfloat16"}', '{"epsilon": 1}', "[1]"])
def test_a_keras_json_that_keras_cannot_read_is_named(tmp_path, monkeypatch, settings):
    (tmp_path / "keras.json").write_text(settings)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=f"{tmp_path}/keras.json must hold settings that Keras"):
        fix_settings()


def test_keras_on_another_backend_is_refused(monkeypatch):
    import keras

    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match=r"must not be imported before .*backend=jax"):
        fix_settings()


def test_limits_that_keras_has_read_already_are_lifted():
    import keras

    keras.config.set_max_epochs(1)
    keras.config.set_max_steps_per_epoch(1)
    fix_settings()
    assert (keras.config.max_epochs(), keras.config.max_steps_per_epoch()) == (None, None)


@pytest.mark.parametrize("has_driver", [False, True])
def test_that_there_is_no_gpu_is_an_error_only_where_there_is_a_driver(
    has_driver, capfd, monkeypatch, tmp_path
):
    from pipeline.training import devices

    monkeypatch.setattr(devices, "GPU_DRIVERS", (tmp_path if has_driver else tmp_path / "none",))
    line = b"E0000 00:00 cuda_platform.cc:52] failed call to cuInit: UNKNOWN ERROR (303)\n"
    with devices.without_startup_lines():
        os.write(devices.STDERR, line)
    assert capfd.readouterr().err == (line.decode() if has_driver else "")


def test_only_startup_lines_are_kept_back(capfd):
    from pipeline.training.devices import STDERR, without_startup_lines

    with without_startup_lines():
        os.write(STDERR, b"I0000 00:00 port.cc:153] oneDNN\nE0000 a real error\n")
        os.write(STDERR, b"WARNING: All log messages before absl::InitializeLog() ...\n")
    assert capfd.readouterr().err == "E0000 a real error\n"
