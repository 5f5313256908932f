"""What this machine does in a second."""

import time
from typing import Final

import numpy as np

REPEATS: Final = 5
SIZE: Final = 2048
FLOATING_POINT_OPERATIONS: Final = 2  # of an entry of a matrix product: a product and a sum


def matmul_gflops() -> float:
    """Returns the speed of products of float32 matrices on all cores, 1e9 operations a second.

    The best of some short runs: what else the machine does makes others slower, never faster.
    """
    random = np.random.default_rng(0)
    left, right = (random.random((SIZE, SIZE), dtype=np.float32) for _ in range(2))
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        np.matmul(left, right)
        seconds.append(time.perf_counter() - start)
    return FLOATING_POINT_OPERATIONS * SIZE**3 / min(seconds) / 1e9
