"""A registered model answers one question: whoever has another one gets a model of its own."""

import shutil
from dataclasses import replace

import pytest
import yaml

from pipeline.records.mirror.dataset_inputs import data_digest
from pipeline.records.mirror.store import open_store
from pipeline.records.model_registry.registered_models import (
    choose_model,
    contract,
    is_of_dataset,
    ready_versions,
)
from pipeline.workspace import checkout_name

BASE = "digits-classifier"
OTHERS = {
    "other classes": {"class_names": ("zero", "one", "four")},
    "another order": {"class_names": ("one", "zero", "two")},
    "another size": {"image_shape": (9, 9)},
    "colour": {"image_shape": (8, 8, 3)},
    "another range": {"value_range": (0.0, 1023.0)},
}


def with_data(split, letter):
    return replace(split, sha256={"train": letter * 64})


class Checkout:
    """A checkout that registers versions without a model, in a store of its own or a shared one."""

    def __init__(self, folder):
        folder.mkdir(exist_ok=True)
        self.store = open_store(folder)

    def choose(self, split, earlier=None):
        return choose_model(self.store, split, earlier=earlier)

    def register(self, split, earlier=None):
        """Makes a version as `register` does; returns its registered model."""
        name = self.choose(split, earlier)
        self.add(name, split, contract=contract(split), made_in=checkout_name(self.store.root))
        return name

    def add(self, name, split, metadata=None, **tags):
        """Makes a version; without tags, it is as an earlier release made it."""
        client, folder = self.store.client, self.store.root / "model"
        folder.mkdir(exist_ok=True)
        if metadata is not None:
            (folder / "MLmodel").write_text(yaml.safe_dump({"metadata": metadata}))
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        tags = {"data_digest": data_digest(split), **tags}
        client.create_model_version(name, source=folder.as_uri(), tags=tags)


def test_all_versions_are_found_however_many_pages_they_are(ann, split, monkeypatch):
    monkeypatch.setattr("pipeline.records.mirror.store.PAGE", 2)
    for _ in range(5):
        ann.add(BASE, split)
    assert len(ready_versions(ann.store, BASE)) == 5


@pytest.fixture
def ann(root):
    """The only checkout of its store."""
    return Checkout(root)


@pytest.fixture
def shared(template, tmp_path, monkeypatch):
    """Three checkouts of one store."""
    shutil.copyfile(template / "mlflow.db", tmp_path / "shared.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/shared.db")
    return [Checkout(tmp_path / name) for name in ("ann", "bob", "cem")]


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_another_question_has_a_registered_model_of_its_own(ann, split, other):
    assert ann.register(split) == BASE
    name = ann.register(replace(split, **other))
    assert name != BASE
    assert is_of_dataset(name, "digits")
    assert ann.register(replace(split, **other)) == name
    assert ann.register(split) == BASE
    assert ann.register(replace(split, **other), earlier=BASE) == name
    assert ann.register(split, earlier=name) == BASE


def test_new_data_of_the_same_question_stay_in_a_store_of_one_s_own(ann, split):
    ann.add(BASE, split, contract=contract(split), made_in="the same checkout, before it moved")
    assert ann.register(with_data(split, "e")) == BASE


def test_strangers_with_equal_names_and_classes_are_kept_apart(shared, split):
    own = [with_data(split, letter) for letter in "abc"]
    names = [one.register(data) for one, data in zip(shared, own, strict=True)]
    assert names[0] == BASE
    assert len(set(names)) == 3
    assert all(is_of_dataset(name, "digits") for name in names)
    for one, data, name in zip(shared, own, names, strict=True):
        assert one.choose(data) == name
        assert one.choose(with_data(split, "d"), earlier=name) == name


def test_who_learned_from_the_same_data_or_pulled_the_results_joins(shared, split):
    ann, bob, _ = shared
    assert ann.register(split) == BASE
    assert bob.choose(split) == BASE
    assert bob.choose(with_data(split, "e"), earlier=BASE) == BASE
    assert bob.choose(with_data(split, "e"), earlier="other-classifier") != BASE


class TestVersionsOfEarlierReleases:
    """They say neither contract nor place; the file beside the model says the classes."""

    def test_of_the_same_classes_are_joined_though_the_data_are_others(self, shared, split):
        ann, bob, _ = shared
        said = {"class_names": list(split.class_names), "image_shape": list(split.image_shape)}
        ann.add(BASE, split, said)
        for whole in (None, (0, 65535)):
            assert bob.choose(replace(with_data(split, "e"), value_range=whole)) == BASE

    @pytest.mark.parametrize(
        "metadata", [{"class_names": ["a", "b"], "image_shape": [8, 8]}, {}, None]
    )
    def test_of_other_or_unknown_classes_are_left_alone(self, ann, split, metadata):
        ann.add(BASE, split, metadata)
        name = ann.choose(split)
        assert name != BASE
        assert ann.choose(split, earlier=BASE) == name


def test_a_name_that_only_begins_alike_is_of_another_data_set():
    assert is_of_dataset("roses-classifier-0a1b2c3d", "roses")
    for name in ("roses-big-classifier", "roses-classifier-", "roses-classifierx0a1b2c3d", "roses"):
        assert not is_of_dataset(name, "roses")
