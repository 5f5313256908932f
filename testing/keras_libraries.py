"""What else a process of `testing.forks` imports first where tests use Keras: libraries of stages.

TensorFlow starts its threads when it is first used, and nothing is computed here: a process that
has them cannot be forked.
"""

import gc

import dvc.cli.parser
import dvc.repo.reproduce  # noqa: F401
import matplotlib.pyplot  # noqa: F401
import mlflow.keras  # noqa: F401
import onnxruntime  # noqa: F401
import scipy.stats  # noqa: F401
import sklearn.metrics  # noqa: F401
import tensorflow  # noqa: F401

# Forks look through all of it, and copy its pages, whenever they look for garbage.
gc.collect()
gc.freeze()
