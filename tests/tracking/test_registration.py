"""One version for each set of weights, and one champion."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.errors import ConfigError
from pipeline.tracking.registration import register
from pipeline.tracking.store import locked, open_store

pytestmark = pytest.mark.keras

NAME = "digits-classifier"


@pytest.fixture
def store(root):
    return open_store(root)


def aliases(store):
    return {k: str(v) for k, v in store.client.get_registered_model(NAME).aliases.items()}


def test_the_first_model_is_version_1_and_champion(store, candidate):
    done = register(store, candidate())
    assert (done.version, done.is_new, done.is_champion) == ("1", True, True)
    assert done.reason == "there was no champion yet"
    assert aliases(store) == {"champion": "1"}
    assert "uint8 images of shape (8, 8)" in store.client.get_registered_model(NAME).description


def test_a_better_model_takes_over_and_the_old_one_is_kept_as_previous(store, candidate):
    register(store, candidate(seed=0, mean=0.94))
    done = register(store, candidate(seed=1, mean=0.95))
    assert (done.version, done.is_champion) == ("2", True)
    assert aliases(store) == {"champion": "2", "previous": "1"}


def test_a_worse_model_is_registered_but_not_champion(store, candidate):
    register(store, candidate(seed=0, mean=0.94))
    done = register(store, candidate(seed=1, mean=0.93))
    assert (done.version, done.is_new, done.is_champion) == ("2", True, False)
    assert "is not better than version 1's" in done.reason
    assert aliases(store) == {"champion": "1"}


def test_a_model_on_other_data_takes_over_and_says_so(store, candidate):
    register(store, candidate(seed=0, mean=0.94))
    done = register(store, candidate(seed=1, mean=0.50, data="ef" * 32))
    assert done.is_champion
    assert "not comparable" in done.reason


def test_the_same_weights_are_registered_once(store, candidate):
    register(store, candidate())
    done = register(store, candidate())
    assert (done.version, done.is_new, done.is_champion) == ("1", False, True)
    assert done.reason == "these weights are version 1 already; it is the champion already"
    assert len(store.client.search_model_versions(f"name = '{NAME}'")) == 1


def test_known_weights_can_win_the_alias_back(store, candidate):
    """As when parameters are set back: the registry follows what the pipeline works on."""
    register(store, candidate(seed=0, mean=0.94))
    register(store, candidate(seed=1, mean=0.50, data="ef" * 32))
    done = register(store, candidate(seed=0, mean=0.94))
    assert (done.version, done.is_new, done.is_champion) == ("1", False, True)
    assert aliases(store) == {"champion": "1", "previous": "2"}


def test_a_deleted_champion_is_replaced(store, candidate):
    register(store, candidate(seed=0, mean=0.94))
    store.client.delete_model_version(NAME, "1")
    done = register(store, candidate(seed=1, mean=0.93))
    assert (done.version, done.reason) == ("2", "there was no champion yet")


def test_nobody_registers_while_another_process_does(store, candidate, monkeypatch):
    monkeypatch.setattr("pipeline.tracking.store.LOCK_SECONDS", 0.1)
    with (
        locked(store.root, "registry"),
        pytest.raises(ConfigError, match=r"registry\.lock has been locked by another process"),
    ):
        register(store, candidate())


def test_two_at_once_make_two_versions_and_the_better_one_champion(store, candidate):
    rivals = [candidate(seed=seed, mean=mean) for seed, mean in ((0, 0.94), (1, 0.95))]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda rival: register(store, rival), rivals))
    assert {one.version for one in done} == {"1", "2"}
    assert aliases(store)["champion"] == done[1].version
