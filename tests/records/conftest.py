"""A real SQLite store in a folder of its own, and trials as a study exports them."""

import shutil
from functools import partial

import pytest

from pipeline.records.mirror.runs import StudyRuns
from pipeline.records.mirror.store import open_store
from testing.registering import made_model
from testing.split import split_record
from tests.conftest import STUDY_UID


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A repository with an empty store; creating one takes 2 s, copying it nothing."""
    root = tmp_path_factory.mktemp("template")
    open_store(root).close()
    return root


@pytest.fixture(autouse=True)
def _no_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def root(template, tmp_path):
    """A repository whose store is ready and empty."""
    shutil.copyfile(template / "mlflow.db", tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def open_runs(root):
    """Opens the runs of a study, as its driver does."""

    def open_runs(study_uid=STUDY_UID, **params):
        return StudyRuns.open(
            root,
            dataset="digits",
            study="transfer",
            study_name="digits-transfer",
            study_uid=study_uid,
            tags={"objective": "val_accuracy", "git.commit": "c0ffee"},
            params=params,
        )

    return open_runs


@pytest.fixture
def split():
    """The record of three classes."""
    return split_record(
        class_names=("zero", "one", "two"), value_range=(0, 4095), per_class=(10, 12, 8)
    )


@pytest.fixture
def candidate(root, split):
    """Makes models of three classes on 8x8 images, as `made_model` does."""
    return partial(made_model, root, split)
