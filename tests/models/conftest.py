"""Hyperparameters of a head, and small models with known graphs."""

import pytest

from pipeline.tuning.configurations import completed


@pytest.fixture
def hyperparameters(params_document):
    """Returns the active hyperparameters of the project's defaults with some changed."""

    def changed(**values):
        return completed({}, {}, {**params_document["defaults"], **values})

    return changed
