"""A worker function whose libraries take long to import."""

import multiprocessing
import time

from tests.search import training_double

IMPORT_SECONDS = 3.0

if multiprocessing.current_process().name != "MainProcess":
    time.sleep(IMPORT_SECONDS)


def train(spec, data, report):
    """The double's, under another module's name."""
    return training_double.train(spec, data, report)
