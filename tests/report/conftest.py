"""Made-up results, read and rendered once for all tests of the report."""

from dataclasses import replace

import pytest

from pipeline.report.inputs import read_results
from pipeline.report.page import render
from tests.report.example import write_example


@pytest.fixture(scope="session")
def example_root(tmp_path_factory):
    return write_example(tmp_path_factory.mktemp("example"), n=1_000, num_trials=20)


@pytest.fixture(scope="session")
def results(example_root):
    return read_results(example_root)


@pytest.fixture(scope="session")
def lean(results):
    """One study with one searched hyperparameter: what is quick to draw."""
    study = results.studies[0]
    space = {name: study.search.space[name] for name in ("clipping_threshold",)}
    search = replace(study.search, space=space)
    return replace(results, studies=[replace(study, search=search)])


@pytest.fixture(scope="session")
def page(results):
    return render(results)
