"""TensorFlow in a process of its own: as many threads as told, and no lines of its own."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.keras

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
)
"""


def test_a_configured_process_is_bound_and_silent():
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == "1 1 tensorflow\n"
    assert done.stderr == ""


def test_only_startup_lines_are_kept_back(capfd):
    from pipeline.training.devices import STDERR, _without_startup_lines

    with _without_startup_lines():
        os.write(STDERR, b"I0000 00:00 port.cc:153] oneDNN\nE0000 a real error\n")
        os.write(STDERR, b"WARNING: All log messages before absl::InitializeLog() ...\n")
    assert capfd.readouterr().err == "E0000 a real error\n"
