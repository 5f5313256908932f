"""How TensorFlow uses this machine: threads, GPU memory, and how much it says about it."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator

STDERR = 2


def configure_tensorflow(*, num_threads: int) -> None:
    """Imports TensorFlow, quiet and bound to a number of threads.

    Call it first in a process: the settings hold only before TensorFlow is first used. Workers
    take one thread each, since two single-threaded processes train faster than one with two.

    Args:
        num_threads: CPU threads for one operation, and as many operations at once, >= 1.

    Raises:
        RuntimeError: If TensorFlow already runs with another number of threads.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # ~/.keras/keras.json may name another backend; the training loop is written for this one.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with _without_startup_lines():
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    threading = tf.config.threading
    if threading.get_intra_op_parallelism_threads() != num_threads:
        threading.set_intra_op_parallelism_threads(num_threads)
        threading.set_inter_op_parallelism_threads(num_threads)
        for gpu in gpus:
            # Else the first worker takes the whole GPU.
            tf.config.experimental.set_memory_growth(gpu, True)


@contextlib.contextmanager
def _without_startup_lines() -> Iterator[None]:
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
    return line.startswith(b"I0000 ") or b"absl::InitializeLog()" in line
