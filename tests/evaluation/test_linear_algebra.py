"""Factorizations run on one thread, whatever the process has: several wait for each other."""

import numpy as np
import pytest
import scipy.linalg
from threadpoolctl import ThreadpoolController

from pipeline.review.duplicates import find_duplicates
from pipeline.review.folds import out_of_fold_scores
from pipeline.training.ridge import held_out, left_out

FEATURES = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
KERNELS = FEATURES @ FEATURES.T
LABELS, ROWS = np.arange(40) % 2, np.arange(40)
PICTURES = np.random.default_rng(1).normal(size=(40, 8, 8)).astype(np.float32)


@pytest.mark.parametrize(
    ("module", "name", "run"),
    [
        (scipy.linalg.lapack, "spotrf", lambda: left_out(KERNELS, LABELS)),
        (scipy.linalg.lapack, "strtri", lambda: left_out(KERNELS, LABELS)),
        (
            scipy.linalg,
            "cho_factor",
            lambda: held_out(KERNELS, LABELS, fit=ROWS[:20], judged=ROWS[20:]),
        ),
        (
            scipy.linalg,
            "cho_factor",
            lambda: out_of_fold_scores(FEATURES, LABELS, ROWS // 20, num_classes=2),
        ),
        (scipy.linalg, "eigh", lambda: find_duplicates(FEATURES, PICTURES)),
    ],
)
def test_a_factorization_has_one_thread(monkeypatch, module, name, run):
    blas, threads = ThreadpoolController(), []
    factorize = getattr(module, name)

    def noted(*arguments, **settings):
        threads.extend(each["num_threads"] for each in blas.info() if each["user_api"] == "blas")
        return factorize(*arguments, **settings)

    monkeypatch.setattr(module, name, noted)
    with blas.limit(limits=2, user_api="blas"):
        run()
    assert set(threads) == {1}
