"""How TensorFlow and Keras compute here: threads, GPU memory, and settings that change numbers."""

import contextlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipeline.errors import ConfigError

STDERR = 2
# One of them is there where a driver of NVIDIA's is loaded; the second one in WSL.
GPU_DRIVERS = ("/dev/nvidiactl", "/dev/dxg")

logger = logging.getLogger(__name__)

FLOATX: Final = "float32"
EPSILON: Final = 1e-7
IMAGE_DATA_FORMAT: Final = "channels_last"
# Each makes Keras or TensorFlow 2.21 stop early or round in another way. XLA_FLAGS stays: it says
# where CUDA's files are, and nothing here is compiled by XLA unless TF_XLA_FLAGS says so.
NUMBER_CHANGING: Final = (
    "KERAS_MAX_EPOCHS",
    "KERAS_MAX_STEPS_PER_EPOCH",
    "NVIDIA_TF32_OVERRIDE",
    "DNNL_DEFAULT_FPMATH_MODE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_FP16_CONV_USE_FP32_COMPUTE",
    "TF_FP16_MATMUL_USE_FP32_COMPUTE",
    "TF_SET_ONEDNN_FPMATH_MODE",
    "TF_XLA_FLAGS",
)


def configure_tensorflow(*, num_threads: int) -> None:
    """Imports TensorFlow and Keras as `fix_settings`, bound to a number of threads.

    Call it first in a process: the settings hold only before TensorFlow is first used. Workers
    take one thread each, since two single-threaded processes train faster than one with two.

    Args:
        num_threads: CPU threads for one operation, and as many operations at once, >= 1.

    Raises:
        ConfigError: If Keras cannot read its `keras.json`.
        RuntimeError: If TensorFlow already runs with another number of threads, or Keras was
            imported before with another backend.
    """
    fix_settings()

    import tensorflow as tf

    threading = tf.config.threading
    if threading.get_intra_op_parallelism_threads() != num_threads:
        threading.set_intra_op_parallelism_threads(num_threads)
        threading.set_inter_op_parallelism_threads(num_threads)
        for gpu in tf.config.list_physical_devices("GPU"):
            # Else the first worker takes the whole GPU.
            tf.config.experimental.set_memory_growth(gpu, True)


def fix_settings() -> None:
    """Imports TensorFlow and Keras, quiet, with settings that nothing outside this project changes.

    Keras computes in float32, with channels last and its own epsilon, whatever `keras.json` says,
    and no variable of the environment makes it stop early or round in another way. One log line
    names what was set aside. `KERAS_HOME` holds: it says where weights are.

    Whatever process uses Keras calls this, or `configure_tensorflow`, first.

    Raises:
        ConfigError: If Keras cannot read its `keras.json`.
        RuntimeError: If Keras was imported before, with another backend.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _check_keras_file()
    aside = clear_environment()
    with without_startup_lines():
        import tensorflow as tf

        tf.config.list_physical_devices("GPU")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    aside += _fix_keras()
    if aside:
        logger.info(
            "settings of Keras and TensorFlow outside this project are not used, so that its "
            "numbers are the same everywhere: %s",
            ", ".join(aside),
        )


def _check_keras_file() -> None:
    """Refuses a `keras.json` whose values would end the import of TensorFlow with a traceback."""
    file = Path(os.environ.get("KERAS_HOME", "~/.keras"), "keras.json").expanduser()
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return  # Of what is no JSON Keras takes no notice.
    except OSError as error:
        raise ConfigError(f"Keras must be able to read {file}. Received: {error}.") from None
    is_read = isinstance(settings, dict) and (
        settings.get("floatx", FLOATX) in ("float16", "float32", "float64")
        and isinstance(settings.get("epsilon", EPSILON), float)
        and settings.get("image_data_format", IMAGE_DATA_FORMAT)
        in ("channels_last", "channels_first")
    )
    if not is_read:
        raise ConfigError(
            f"{file} must hold settings that Keras can read. Received: "
            f"{json.dumps(settings)[:200]}. Delete it: this project needs none."
        )


def clear_environment() -> list[str]:
    """Takes what changes numbers out of the environment; returns what that was."""
    aside = [f"{name}={os.environ.pop(name)}" for name in NUMBER_CHANGING if name in os.environ]
    # The training loop is written for this one. NNX is JAX's, and would have to be installed.
    for name, value in (("KERAS_BACKEND", "tensorflow"), ("KERAS_NNX_ENABLED", "false")):
        given = os.environ.get(name, value)
        if given.lower() not in ("", value):
            aside.append(f"{name}={given}")
        os.environ[name] = value
    return aside


def _fix_keras() -> list[str]:
    """Gives Keras the settings of this project; returns those that it had read from elsewhere."""
    import keras

    config = keras.config
    if config.backend() != "tensorflow":
        raise RuntimeError(
            "Keras must not be imported before pipeline.training.devices.fix_settings. Received: "
            f"backend={config.backend()}."
        )
    given = {
        "floatx": (config.floatx(), FLOATX, config.set_floatx),
        "epsilon": (config.epsilon(), EPSILON, config.set_epsilon),
        "image_data_format": (
            config.image_data_format(),
            IMAGE_DATA_FORMAT,
            config.set_image_data_format,
        ),
        # After floatx, which it follows unless it was set.
        "dtype_policy": (config.dtype_policy().name, FLOATX, config.set_dtype_policy),
    }
    for _, fixed, fix in given.values():
        fix(fixed)
    # The environment's were read if Keras was imported before.
    config.set_max_epochs(None)
    config.set_max_steps_per_epoch(None)
    found = {name: was for name, (was, fixed, _) in given.items() if was != fixed}
    if found.get("floatx") == found.get("dtype_policy"):
        found.pop("dtype_policy", None)
    return [f"{name}={was}" for name, was in found.items()]


@contextlib.contextmanager
def without_startup_lines() -> Iterator[None]:
    """Keeps to itself what TensorFlow says of its start while the block runs.

    Whatever else is written to the standard error comes out after it.
    """
    # TensorFlow 2.21 writes six informative lines before it has read its log level; no setting
    # stops them, and every worker would repeat them. Whatever else is written comes out after.
    saved = os.dup(STDERR)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), STDERR)
        try:
            yield
        finally:
            os.dup2(saved, STDERR)
            os.close(saved)
            said.seek(0)
            kept = (line for line in said if not _is_startup_line(line))
            os.write(STDERR, b"".join(kept))


def _is_startup_line(line: bytes) -> bool:
    # Built for CUDA, TensorFlow calls it an error that a machine without a GPU has none.
    if b"failed call to cuInit" in line:
        return not any(Path(device).exists() for device in GPU_DRIVERS)
    is_of_lite = line.startswith(b"INFO: Created TensorFlow Lite")
    return is_of_lite or line.startswith(b"I0000 ") or b"absl::InitializeLog()" in line
