"""What the layers of a network hold and compute for one image, from the shapes of their outputs."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import keras

FLOAT32_BYTES: Final = 4
MOST_BYTES: Final = 10**9
"""What the activations of a batch may take."""


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


def _inside(operation: Any) -> Activations:
    import keras

    from pipeline.bases.flat import functional

    graph = functional(operation) if isinstance(operation, keras.Model) else None
    return Activations(held=0, computed=0) if graph is None else activations(graph)


def _size(tensor: Any) -> int:
    return math.prod(side or 1 for side in tensor.shape[1:])
