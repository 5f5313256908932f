"""A person gives the alias back to the champion before, and it stays there."""

import argparse

import numpy as np
import pytest

from pipeline.commands import rollback
from pipeline.errors import ConfigError
from pipeline.records.mirror.store import open_store
from pipeline.records.model_registry.classifier import load_classifier
from pipeline.records.model_registry.rollback import RolledBack, roll_back
from testing.registering import register

pytestmark = pytest.mark.keras

NAME = "digits-classifier"


@pytest.fixture
def store(root):
    return open_store(root)


@pytest.fixture
def two(store, candidate):
    """A store in which version 2 took over from version 1."""
    register(store, candidate(seed=0, mean=0.94))
    register(store, candidate(seed=1, mean=0.95))
    return store


def aliases(store):
    return {k: str(v) for k, v in store.client.get_registered_model(NAME).aliases.items()}


def test_the_aliases_change_places_and_again_change_back(two):
    assert roll_back(two, NAME) == RolledBack(champion="1", former="2")
    assert aliases(two) == {"champion": "1", "previous": "2"}
    assert roll_back(two, NAME) == RolledBack(champion="2", former="1")
    assert aliases(two) == {"champion": "2", "previous": "1"}


def test_predict_and_what_serves_answer_as_the_former_champion_again(two, monkeypatch):
    """`models:/NAME@champion` is what `predict` and `mlflow models serve` load."""
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", two.uri)
    uri = f"models:/{NAME}@champion"
    # On the border between two classes the two models differ.
    images = np.tile(np.arange(70, 90, dtype=np.uint8)[:, None, None], (1, 8, 8))

    def answers():
        served = mlflow.pyfunc.load_model(uri).predict(images)
        by_predict = load_classifier(two.root, uri).model.predict(images, verbose=0)
        rows = [list(one["probabilities"].values()) for one in served]
        np.testing.assert_allclose(rows, by_predict, atol=1e-6)
        return by_predict

    version_2 = answers()
    roll_back(two, NAME)
    version_1 = answers()
    assert np.abs(version_1 - version_2).max() > 0.01
    roll_back(two, NAME)
    np.testing.assert_array_equal(answers(), version_2)


def test_what_was_rolled_back_from_is_not_made_champion_by_the_next_run(two, candidate):
    roll_back(two, NAME)
    done = register(two, candidate(seed=1, mean=0.95))
    assert (done.version, done.champion) == ("2", False)
    assert "somebody rolled back from it" in done.reason
    assert register(two, candidate(seed=2, mean=0.96)).champion
    assert aliases(two) == {"champion": "3", "previous": "1"}


def test_taken_back_it_may_be_champion_again(two, candidate):
    roll_back(two, NAME)
    roll_back(two, NAME)
    tags = {v.version: v.tags for v in two.client.search_model_versions(f"name = '{NAME}'")}
    assert not any("rolled_back" in own for own in tags.values())
    assert register(two, candidate(seed=1, mean=0.95)).champion


def test_a_deleted_champion_is_replaced_by_the_one_before(two):
    two.client.delete_model_version(NAME, "2")
    assert roll_back(two, NAME) == RolledBack(champion="1", former=None)
    assert aliases(two) == {"champion": "1"}


def test_interrupted_in_the_middle_there_is_a_champion(two, monkeypatch):
    give = two.client.set_registered_model_alias

    def killed(name, alias, version):
        if alias == "previous":
            raise KeyboardInterrupt
        give(name, alias, version)

    monkeypatch.setattr(two.client, "set_registered_model_alias", killed)
    with pytest.raises(KeyboardInterrupt):
        roll_back(two, NAME)
    assert aliases(two)["champion"] == "1"
    monkeypatch.undo()
    assert roll_back(two, NAME) == RolledBack(champion="1", former="2")
    assert aliases(two) == {"champion": "1", "previous": "2"}


def test_interrupted_while_it_is_taken_back_all_is_as_before(two, monkeypatch):
    roll_back(two, NAME)
    give, given = two.client.set_registered_model_alias, []

    def killed(name, alias, version):
        if given:
            raise KeyboardInterrupt
        given.append(alias)
        give(name, alias, version)

    monkeypatch.setattr(two.client, "set_registered_model_alias", killed)
    with pytest.raises(KeyboardInterrupt):
        roll_back(two, NAME)
    monkeypatch.undo()
    assert roll_back(two, NAME) == RolledBack(champion="1", former="2")
    assert roll_back(two, NAME) == RolledBack(champion="2", former="1")


def test_without_an_earlier_champion_nothing_changes(store, candidate):
    register(store, candidate())
    with pytest.raises(ConfigError, match=r"No other version of .* was champion before"):
        roll_back(store, NAME)
    with pytest.raises(ConfigError, match="no registered model digits-clasifier"):
        roll_back(store, "digits-clasifier")
    assert aliases(store) == {"champion": "1"}


def test_the_command_says_from_where_to_where(two, monkeypatch, capsys):
    monkeypatch.chdir(two.root)
    parser = argparse.ArgumentParser()
    rollback.add_arguments(parser)
    assert rollback.main(parser.parse_args([NAME])) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{NAME}: version 1 is champion again; version 2, which was, is")
