"""A graph of ONNX on this machine's CPU; what it takes to run one knows no TensorFlow."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

from pipeline.processes import num_cores

IMAGES_AT_A_TIME: Final = 64
RUNTIME_ERRORS: Final = (
    *(runtime_errors.Fail, runtime_errors.InvalidArgument, runtime_errors.InvalidGraph),
    *(runtime_errors.InvalidProtobuf, runtime_errors.NotImplemented),
    runtime_errors.RuntimeException,
)
"""What ONNX Runtime raises of a graph that it cannot take."""
_ERRORS_ONLY: Final = 3


def open_session(file: Path) -> onnxruntime.InferenceSession:
    """Returns what runs a graph of ONNX on the CPU, with as many threads as there are cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # It reserves a further block for each size of batch: 150 MB for the last one of 63 instead of
    # 64 images at 128 pixels. Without it nothing is slower.
    options.enable_mem_pattern = False
    # Threads that wait are not to burn a core that somebody else needs: beside one busy process on
    # 2 cores 415 images a second of EfficientNet-Lite0 at 64 pixels, and 316 with it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


class OnnxFile:
    """A model of images, with one output.

    Called with n images, uint8, it returns the output, float32, shape (n, num_classes). Any number
    may be given: they go through it `IMAGES_AT_A_TIME`.

    Args:
        file: The graph.

    Attributes:
        input_shape: Of images, as Keras says it: the first, their number, is None.
        output_shape: (None, num_classes).
    """

    def __init__(self, file: Path) -> None:
        self._session = open_session(file)
        (given,), (answered,) = self._session.get_inputs(), self._session.get_outputs()
        self._input = given.name
        self.input_shape: tuple[Any, ...] = (None, *given.shape[1:])
        self.output_shape: tuple[Any, ...] = (None, *answered.shape[1:])

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        starts = range(0, len(images), IMAGES_AT_A_TIME)
        parts = [images[start : start + IMAGES_AT_A_TIME] for start in starts]
        answers = [self._session.run(None, {self._input: part})[0] for part in parts]
        return np.concatenate(answers)
