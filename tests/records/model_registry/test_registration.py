"""One version for each set of weights, and one champion."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pipeline.errors import ConfigError
from pipeline.records.mirror.store import locked, open_store
from pipeline.records.model_registry.registration import is_registered, register, restore
from testing.records import made_registration

pytestmark = pytest.mark.keras

NAME = "digits-classifier"


@pytest.fixture
def store(root):
    return open_store(root)


def aliases(store):
    return {k: str(v) for k, v in store.client.get_registered_model(NAME).aliases.items()}


def test_the_first_model_is_version_1_and_champion(store, candidate):
    done = register(store, candidate())
    assert (done.version, done.registered, done.champion) == ("1", True, True)
    assert done.reason == "there was no champion yet"
    assert aliases(store) == {"champion": "1"}
    assert "uint8 images of shape (8, 8)" in store.client.get_registered_model(NAME).description


def test_a_better_model_takes_over_and_the_old_one_is_kept_as_previous(store, candidate):
    register(store, candidate(seed=0, mean=0.94))
    done = register(store, candidate(seed=1, mean=0.95))
    assert (done.version, done.champion) == ("2", True)
    assert aliases(store) == {"champion": "2", "previous": "1"}


def test_a_worse_model_is_registered_but_not_champion(store, candidate):
    register(store, candidate(seed=0, mean=0.94))
    done = register(store, candidate(seed=1, mean=0.93))
    assert (done.version, done.registered, done.champion) == ("2", True, False)
    assert "is not better than version 1's" in done.reason
    assert aliases(store) == {"champion": "1"}


def test_a_model_on_other_data_takes_over_and_says_so(store, candidate):
    register(store, candidate(seed=0, mean=0.94))
    done = register(store, candidate(seed=1, mean=0.50, data="ef" * 32))
    assert done.champion
    assert "not comparable" in done.reason


def test_the_same_weights_are_registered_once(store, candidate):
    register(store, candidate())
    done = register(store, candidate())
    assert (done.version, done.registered, done.champion) == ("1", False, True)
    assert done.reason == "these weights are version 1 already; it is the champion already"
    assert len(store.client.search_model_versions(f"name = '{NAME}'")) == 1


def test_known_weights_can_win_the_alias_back(store, candidate):
    """As when parameters are set back: the registry follows what the pipeline works on."""
    register(store, candidate(seed=0, mean=0.94))
    register(store, candidate(seed=1, mean=0.50, data="ef" * 32))
    done = register(store, candidate(seed=0, mean=0.94))
    assert (done.version, done.registered, done.champion) == ("1", False, True)
    assert aliases(store) == {"champion": "1", "previous": "2"}


def test_a_deleted_champion_is_replaced(store, candidate):
    register(store, candidate(seed=0, mean=0.94))
    store.client.delete_model_version(NAME, "1")
    done = register(store, candidate(seed=1, mean=0.93))
    assert (done.version, done.reason) == ("2", "there was no champion yet")


def test_nobody_registers_while_another_process_does(store, candidate, monkeypatch):
    monkeypatch.setattr("pipeline.records.mirror.store.LOCK_SECONDS", 0.1)
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


def test_the_test_part_has_no_say_in_who_is_champion(store, candidate):
    register(store, candidate(seed=0, mean=0.94, test_accuracy=0.10))
    done = register(store, candidate(seed=1, mean=0.93, test_accuracy=0.99))
    assert not done.champion
    assert aliases(store) == {"champion": "1"}
    versions = {v.version: v.tags for v in store.client.search_model_versions()}
    assert {number: tags["test.accuracy"] for number, tags in versions.items()} == {
        **{1: "0.1", 2: "0.99"},
    }


def test_the_lineage_of_known_weights_is_that_of_their_version(store, candidate):
    register(store, candidate())
    later = replace(candidate(), lineage={"git.commit": "d15ea5e", "version.keras": "4"})
    assert register(store, later).lineage == candidate().lineage


def numbers(store):
    return sorted(int(v.version) for v in store.client.search_model_versions(f"name = '{NAME}'"))


class TestRestore:
    def test_a_lost_version_gets_its_number_its_alias_and_its_lineage_back(self, store, candidate):
        one = candidate()
        done = restore(store, one, earlier=NAME, number="3", was_champion=True)
        assert (done.version, done.registered, done.champion) == ("3", True, True)
        assert numbers(store) == [3]
        assert aliases(store) == {"champion": "3"}
        version = store.client.get_model_version(NAME, "3")
        assert version.tags["git.commit"] == "c0ffee"
        assert version.tags["restored"] == "true"
        assert version.tags["test.n"] == "1000"

    def test_one_that_is_there_stays_as_it_is(self, store, candidate):
        register(store, candidate())
        done = restore(store, candidate(), earlier=NAME, number="3", was_champion=True)
        assert (done.version, done.registered) == ("1", False)
        assert numbers(store) == [1]

    def test_one_that_was_no_champion_becomes_none(self, store, candidate):
        done = restore(store, candidate(), earlier=NAME, number="1", was_champion=False)
        assert not done.champion
        assert aliases(store) == {}

    def test_a_better_champion_of_today_keeps_the_alias(self, store, candidate):
        register(store, candidate(seed=0, mean=0.95))
        done = restore(
            store, candidate(seed=1, mean=0.94), earlier=NAME, number="1", was_champion=True
        )
        assert (done.version, done.champion) == ("2", False)
        assert aliases(store) == {"champion": "1"}

    def test_a_kill_before_the_alias_is_made_good(self, store, candidate):
        restore(store, candidate(), earlier=NAME, number="1", was_champion=False)
        restore(store, candidate(), earlier=NAME, number="1", was_champion=True)
        assert aliases(store) == {"champion": "1"}

    def test_a_present_champion_is_not_taken_from_by_one_that_was_there(self, store, candidate):
        register(store, candidate(seed=0, mean=0.94))
        register(store, candidate(seed=1, mean=0.50, data="ef" * 32))
        restore(store, candidate(seed=0, mean=0.94), earlier=NAME, number="1", was_champion=True)
        assert aliases(store)["champion"] == "2"

    def test_whether_it_is_there_can_be_asked(self, store, candidate):
        one = candidate()
        record = made_registration(
            registered_model=NAME, weights_sha256=one.evidence.weights_sha256
        )
        assert not is_registered(store, record)
        register(store, one)
        assert is_registered(store, record)
        store.client.delete_registered_model_alias(NAME, "champion")
        assert not is_registered(store, record)
        assert is_registered(store, replace(record, champion=False))
