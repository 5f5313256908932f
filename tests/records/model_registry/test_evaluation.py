"""What evaluate measured is beside the version that it measured, once."""

from dataclasses import replace

import pytest

from pipeline.records.mirror.store import open_store
from pipeline.records.model_registry.registration import log_test
from pipeline.records.model_registry.versions import log_version

pytestmark = pytest.mark.keras

NAME = "digits-classifier"

FIGURES = {
    **{"test_accuracy": 0.9, "test_accuracy_low": 0.85, "test_accuracy_high": 0.95},
    **{"test_log_loss": 0.3, "test_log_loss_low": 0.25, "test_log_loss_high": 0.35},
    "test_n": 1000.0,
}


@pytest.fixture
def store(root):
    return open_store(root)


@pytest.fixture
def logged(store, candidate):
    """A candidate, and its version."""
    one = candidate()
    store.client.create_registered_model(NAME)
    return one, log_version(store, one, NAME)


def again(store, version):
    return store.client.get_model_version(version.name, version.version)


def test_its_run_its_model_and_its_tags_hold_the_figures_with_n(store, logged):
    candidate, version = logged
    log_test(store, version, candidate.test)
    metrics = store.client.get_run(version.run_id).data.metrics
    assert FIGURES.items() <= metrics.items()
    (output,) = store.client.get_run(version.run_id).outputs.model_outputs
    of_model = store.client.get_logged_model(output.model_id).metrics
    assert {metric.key: metric.value for metric in of_model} == FIGURES
    tags = again(store, version).tags
    assert (tags["test.accuracy"], tags["test.log_loss"], tags["test.n"]) == ("0.9", "0.3", "1000")


def test_logged_again_they_are_not_doubled(store, logged):
    candidate, version = logged
    for _ in range(2):
        log_test(store, again(store, version), candidate.test)
    assert len(store.client.get_metric_history(version.run_id, "test_accuracy")) == 1


def test_a_new_evaluation_is_the_one_that_is_shown(store, logged):
    candidate, version = logged
    log_test(store, version, candidate.test)
    better = {"accuracy": {**candidate.test["accuracy"], "value": 0.92}}
    log_test(store, again(store, version), better)
    assert store.client.get_run(version.run_id).data.metrics["test_accuracy"] == 0.92
    assert again(store, version).tags["test.accuracy"] == "0.92"


def test_a_version_whose_run_is_in_the_trash_gets_its_tags(store, logged):
    candidate, version = logged
    store.client.delete_run(version.run_id)
    log_test(store, version, candidate.test)
    assert again(store, version).tags["test.n"] == "1000"


def test_without_an_evaluation_nothing_is_said(store, logged):
    candidate, version = logged
    log_test(store, version, replace(candidate, test={}).test)
    assert not any(name.startswith("test") for name in again(store, version).tags)
