"""The dataset's parts as inputs of runs."""

import json
from dataclasses import replace

from pipeline.records.mirror.dataset_inputs import data_digest, dataset_inputs


def test_each_part_is_a_dataset_with_its_context_and_counts(split):
    first, second = dataset_inputs(split, ("train", "val"))
    assert (first.dataset.name, second.dataset.name) == ("digits-train", "digits-val")
    assert [tag.value for tag in (*first.tags, *second.tags)] == ["training", "validation"]
    profile = json.loads(first.dataset.profile)
    assert profile["num_images"] == 30
    assert profile["per_class"] == {"zero": 10, "one": 12, "two": 8}


def test_the_digest_is_as_long_as_mlflow_allows(split):
    assert data_digest(split) == "ab" * 18
    assert dataset_inputs(split, ("train",))[0].dataset.digest == "ab" * 18


def test_a_part_that_the_split_does_not_have_is_left_out(split):
    counts = {part: split.counts[part] for part in ("train", "val", "test")}
    assert len(dataset_inputs(replace(split, counts=counts), ("train", "val", "confirmation"))) == 2


def test_mlflow_finds_the_source_again(split):
    from mlflow.data import get_source

    source = get_source(dataset_inputs(split, ("train",))[0].dataset)
    assert source.to_dict() == {"uri": "data/train.npz"}
