"""Examples in docstrings are true."""

import doctest
import importlib

import pytest

from tests.conftest import ROOT

# Some modules load TensorFlow.
pytestmark = pytest.mark.keras

FILES = [f for f in sorted((ROOT / "pipeline").rglob("*.py")) if "    >>> " in f.read_text()]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_examples_of_a_module_are_true(file):
    name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
