"""What a network takes of memory: its layers' outputs for one image, and its conversion to ONNX."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

if TYPE_CHECKING:
    import keras

FLOAT32_BYTES: Final = 4
MOST_BYTES: Final = 10**9
"""What the activations of a batch may take."""
CONVERSION_BYTES: Final = 60
"""How much memory a conversion takes for each byte of weights: tf2onnx copies them again and again.

57 of EfficientNet-B0 (16 MB of weights), 50 of ResNet50 (94 MB), at most (2026-11-30).
"""
LIMIT_FILES: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container's limit stands, by the two versions of control groups."""


@dataclass(frozen=True, kw_only=True)
class Activations:
    """Values that layers put out for one image.

    Attributes:
        held: The most that are there at one moment, if a value goes when no layer needs it any
            more. An engine that merges layers holds less.
        computed: All of them: a measure of the work.
    """

    held: int
    computed: int


def activations(model: "keras.Model") -> Activations:
    """Counts the outputs of a functional model's layers, those of models inside it too.

    A dimension that is not fixed counts 1.
    """
    from pipeline.bases.graph import nodes_in_order

    nodes = nodes_in_order(model)
    uses = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    # What the model gives is there to the end.
    uses.update(id(tensor) for tensor in model.outputs)
    sizes = {id(tensor): _size(tensor) for tensor in model.inputs}
    held = sum(sizes.values())
    most, computed = held, 0
    for node in nodes:
        inner = _inside(node.operation)
        most = max(most, held + inner.held)
        computed += inner.computed
        for tensor in node.output_tensors:
            sizes[id(tensor)] = _size(tensor)
            held += sizes[id(tensor)]
            computed += sizes[id(tensor)]
        most = max(most, held)
        for tensor in node.input_tensors:
            uses[id(tensor)] -= 1
            if not uses[id(tensor)]:
                held -= sizes[id(tensor)]
    return Activations(held=most, computed=computed)


def batch_size(found: Activations, *, most: int, most_bytes: int = MOST_BYTES) -> int:
    """Returns how many images may go through a network at a time, from 1 to `most`.

    Args:
        found: Of the network.
        most: From which on more at a time are not faster.
        most_bytes: What its activations may take by this count.

    >>> batch_size(Activations(held=10_000_000, computed=0), most=64)
    25
    """
    return max(1, min(most, most_bytes // (FLOAT32_BYTES * max(found.held, 1))))


def conversion_problem(model: "keras.Model") -> str:
    """Returns why a conversion to ONNX would take more than half of the memory, or nothing.

    Of all memory, not of what is free, so that the same images go the same way tomorrow; and half,
    since TensorFlow, data and other programs are there too.
    """
    num_bytes = sum(math.prod(one.shape) * FLOAT32_BYTES for one in model.weights)
    needed, total = CONVERSION_BYTES * num_bytes, memory_bytes()
    if needed <= total / 2:
        return ""
    return (
        f"converting its {num_bytes / 1e6:,.0f} MB of weights takes up to {needed / 1e9:.0f} GB of "
        f"memory, of {total / 1e9:.0f} GB that there are"
    )


def memory_bytes(limit_files: Sequence[str] = LIMIT_FILES) -> int:
    """Returns how much memory there is: the machine's, or what a container is limited to.

    Args:
        limit_files: That hold a number of bytes, or a word; those that are missing say nothing.
    """
    texts = [Path(file).read_text().strip() for file in limit_files if Path(file).is_file()]
    limits = [int(text) for text in texts if text.isdigit()]
    total: int = psutil.virtual_memory().total
    return min([total, *limits])


def _inside(operation: Any) -> Activations:
    import keras

    from pipeline.bases.flat import functional

    graph = functional(operation) if isinstance(operation, keras.Model) else None
    return Activations(held=0, computed=0) if graph is None else activations(graph)


def _size(tensor: Any) -> int:
    return math.prod(side or 1 for side in tensor.shape[1:])
