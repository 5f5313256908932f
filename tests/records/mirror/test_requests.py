"""Few requests, within MLflow's limits."""

import math

import pytest

from pipeline.records.mirror import requests as writer
from pipeline.records.mirror.store import open_store


@pytest.fixture
def client(root):
    return open_store(root).client


@pytest.fixture
def run_id(client):
    return client.create_run("0").info.run_id


def test_more_than_one_request_holds_is_split(client, run_id):
    metrics = [p for step in range(1900) for p in writer.points({"m": 0.5}, step=step, at_ms=1)]
    params = {f"p{index}": "x" for index in range(150)}
    tags = {f"t{index}": "x" for index in range(210)}
    writer.log(client, run_id, metrics=metrics, params=params, tags=tags)
    data = client.get_run(run_id).data
    assert len(client.get_metric_history(run_id, "m")) == 1900
    assert data.params == params
    assert {name for name in data.tags if name.startswith("t")} == set(tags)


def test_the_same_point_again_is_not_doubled(client, run_id):
    for _ in range(2):
        writer.log(client, run_id, metrics=writer.points({"m": 0.5}, step=3, at_ms=7))
    assert [(p.step, p.value) for p in client.get_metric_history(run_id, "m")] == [(3, 0.5)]


def test_what_is_not_finite_has_no_point():
    metrics = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.5}
    assert [point.key for point in writer.points(metrics, step=0, at_ms=1)] == ["d"]


def test_only_params_that_changed_become_tags():
    assert writer.changed_params({"a": "1", "b": "True"}, {"a": 2, "b": True, "new": 3}) == {
        "latest.a": "2"
    }
