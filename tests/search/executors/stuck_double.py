"""A worker function whose libraries are never imported."""

import multiprocessing
import time

from tests.search import training_double

if multiprocessing.current_process().name != "MainProcess":
    time.sleep(600)


def train(spec, data, report):
    """The double's, under another module's name."""
    return training_double.train(spec, data, report)
