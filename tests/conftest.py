"""Fixtures for all tests."""

import os

# Before anything imports TensorFlow or MLflow.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DVC_NO_ANALYTICS", "1")

from pathlib import Path

import pytest

from pipeline.config import read_document
from pipeline.training.devices import clear_environment, fix_settings
from tests.postgres import database, postgres, proxy

clear_environment()

ROOT = Path(__file__).parents[1]
__all__ = ["database", "postgres", "proxy"]


@pytest.fixture(scope="session")
def params_document():
    """The project's own params.yaml."""
    return read_document(ROOT / "params.yaml")


@pytest.fixture(scope="session", autouse=True)
def _fixed_settings(request):
    """Keras computes in every test as in the pipeline, whatever this machine's keras.json says."""
    if any(item.get_closest_marker("keras") for item in request.session.items):
        fix_settings()
