"""Fixtures for all tests."""

import os

# Before anything imports TensorFlow or MLflow.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DVC_NO_ANALYTICS", "1")
# Tests start hundreds of processes: what one compiles, the next ones find.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import gc
import sqlite3
import sys
import warnings
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from pipeline.config import read_document
from pipeline.search.configurations import completed
from pipeline.search.space import SearchSpace
from pipeline.training.devices import clear_environment, fix_settings
from testing.checkout import embedded
from testing.forks import preload_tensorflow
from testing.postgres import database, postgres, proxy
from testing.records import made_trial

clear_environment()
sys.dont_write_bytecode = False

ROOT = Path(__file__).parents[1]
LIBRARY = "tensorflow"
# Whose tests open stores of studies and runs, or start workers, and take a second each.
STORES = ("commands", "stages", "records/mirror", "records/model_registry", "search/executors")
STORES += ("search/test_engine.py", "records/test_studies.py", "search/test_warm_start.py")
# Files of minutes, longest first: begun last, one would be waited for by all other processes.
LONGEST = ("test_end_to_end", "test_base_from_registry", "test_kill", "test_confirm_goes_on")
LONGEST += ("stages/test_embed", "test_faults", "search/test_engine", "search/test_two_phases")
LONGEST += ("records/test_retrying_storage", "bases/test_applications")
__all__ = ["database", "embedded", "postgres", "proxy"]

STUDY_UID = "0123456789abcdef" * 4


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Marks what needs PostgreSQL by its fixtures, and stores by its place, before `-m` chooses.

    Also begins with the longest files.
    """
    first = [ROOT / "tests" / f"{name}.py" for name in LONGEST]
    items.sort(key=lambda item: first.index(item.path) if item.path in first else len(first))
    places = [ROOT / "tests" / name for name in STORES]
    for item in items:
        if any(item.path.is_relative_to(place) for place in places):
            item.add_marker("stores")
        if "postgres" in item.fixturenames:
            item.add_marker("server")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item):
    """Fails the first test that imports TensorFlow where none is marked `keras`.

    Beside one that is, TensorFlow may be there already: `make test-fast` looks, the rest does not.
    """
    result = yield
    if LIBRARY in sys.modules and not has_marker(item.session, "keras"):
        pytest.fail(f"{item.name} imports {LIBRARY}: mark it `keras`", pytrace=False)
    return result


def has_marker(session, name):
    """Whether a test of this session has a marker."""
    return any(item.get_closest_marker(name) for item in session.items)


@pytest.fixture(scope="session")
def params_document():
    """The project's own params.yaml."""
    return read_document(ROOT / "params.yaml")


@pytest.fixture(scope="session", autouse=True)
def _fixed_settings(request):
    """Keras computes in every test as in the pipeline, whatever this machine's keras.json says."""
    if has_marker(request.session, "keras"):
        fix_settings()
        preload_tensorflow()
        # A training looks for garbage before it begins, and through all of this for 0.3 s.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow warns of its own type hints.
            import testing.keras_libraries
            import testing.libraries  # noqa: F401
        gc.collect()
        gc.freeze()
    yield
    # Hypothesis' summary looks for who refers to what, which frozen objects do not show.
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _tables_copied(request):
    """MLflow's migrations of a new SQLite file, 2 s, run once; files after it begin as its copies.

    In processes that tests start, every file is migrated.
    """
    if not has_marker(request.session, "stores"):
        yield
        return
    from mlflow.store.db import utils

    initialize = utils._initialize_tables
    kept = sqlite3.connect(":memory:", check_same_thread=False)

    def copied(engine):
        is_first = not kept.execute("select 1 from sqlite_master").fetchone()
        if is_first or engine.dialect.name != "sqlite":
            initialize(engine)
        if engine.dialect.name == "sqlite":
            with closing(sqlite3.connect(engine.url.database)) as file:
                file.backup(kept) if is_first else kept.backup(file)

    utils._initialize_tables = copied
    yield
    utils._initialize_tables = initialize
    kept.close()


@pytest.fixture
def hyperparameters(params_document):
    """Returns the active hyperparameters of the project's defaults with some changed."""

    def changed(**values):
        return completed({}, SearchSpace({}, {**params_document["defaults"], **values}))

    return changed


@pytest.fixture
def trial():
    """Makes a finished trial of a minute."""

    def trial(number=0, state="COMPLETE", values=(0.5, 0.75), **told):
        known = {
            "value": max(values, default=None) if state != "FAIL" else None,
            "params": {"units": 64},
            "hyperparameters": {"units": 64, "learning_rate": 0.001, "normalize_first": False},
            "intermediate_values": dict(enumerate(values)),
            "attributes": {"trial_uid": f"{STUDY_UID[:12]}-{number:04d}", "seed": 7},
            "started": datetime(2026, 11, 21, 10, number, 0, 250_000),
            "ended": datetime(2026, 11, 21, 10, number + 1, 0, 250_000),
        }
        return made_trial(number, state, **{**known, **told})

    return trial
