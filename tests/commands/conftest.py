"""A small repository as the working directory."""

import pytest

from tests.commands.repository import Repository


@pytest.fixture
def repository(tmp_path, monkeypatch, params_document):
    """Two studies that nothing has been done for yet."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return Repository(tmp_path, params_document)
