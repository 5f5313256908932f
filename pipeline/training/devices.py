"""How TensorFlow uses this machine: threads, GPU memory, and how much it says about it."""

import logging
import os


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
    import tensorflow as tf

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    threading = tf.config.threading
    if threading.get_intra_op_parallelism_threads() != num_threads:
        threading.set_intra_op_parallelism_threads(num_threads)
        threading.set_inter_op_parallelism_threads(num_threads)
        for gpu in tf.config.list_physical_devices("GPU"):
            # Else the first worker takes the whole GPU.
            tf.config.experimental.set_memory_growth(gpu, True)
