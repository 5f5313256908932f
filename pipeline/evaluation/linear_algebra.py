"""How many threads the linear algebra of NumPy and SciPy has."""

import functools
from contextlib import AbstractContextManager
from typing import Any


def one_blas_thread() -> AbstractContextManager[object]:
    """Returns a block in which linear algebra runs on one thread.

    Threads of a factorization wait for each other, busily. Where other processes have the cores,
    that takes longer than all else: `eigh` of 1,500 features 13.9 s instead of 0.17, ridge heads of
    2,000 images 0.6 to 14 s instead of 0.17 (2 cores of an AMD EPYC, OpenBLAS, two trainings beside
    it, 2026-11-30). Plain products of matrices hardly suffer, and keep all cores.
    """
    limited: AbstractContextManager[object] = _blas().limit(limits=1, user_api="blas")
    return limited


@functools.cache
def _blas() -> Any:
    # SciPy brings a library of its own, which is found only once it is loaded.
    import scipy.linalg  # type: ignore[import-untyped]  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
