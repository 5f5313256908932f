"""One version for each set of weights, and one champion."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pipeline.errors import ConfigError
from pipeline.records.mirror.store import locked, open_store
from pipeline.records.model_registry import registration
from pipeline.records.model_registry.registration import is_registered, restore
from pipeline.studies.comparison import compare
from testing.records import made_registration
from testing.registering import register

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


def test_a_worse_model_is_registered_as_challenger(store, candidate):
    register(store, candidate(seed=0, mean=0.94))
    done = register(store, candidate(seed=1, mean=0.93))
    assert (done.version, done.registered, done.champion) == ("2", True, False)
    assert "not shown to be better" in done.reason
    assert aliases(store) == {"champion": "1", "challenger": "2"}


def test_the_files_are_compared_and_not_what_was_said_of_them(store, candidate):
    """The mean over seeds is of other models than the one that is exported."""
    register(store, candidate(seed=0, mean=0.94))
    flattered = candidate(seed=1, mean=0.93)
    done = register(store, replace(flattered, evidence=replace(flattered.evidence, mean=0.99)))
    assert not done.champion
    assert "accuracy 0.9333 on the 2400 confirmation images, version 1's 0.9417" in done.reason


def test_a_champion_of_other_data_is_compared_on_the_images_of_today(store, candidate):
    register(store, candidate(seed=0, mean=0.94))
    done = register(store, candidate(seed=1, mean=0.50, data="ef" * 32))
    assert not done.champion
    assert "learned from other data" in done.reason
    assert register(store, candidate(seed=2, mean=0.96, data="ef" * 32)).champion


def test_a_comparison_counts_and_is_made_once(store, candidate):
    register(store, candidate(seed=0, mean=0.94))
    for seed in (1, 2):
        done = register(store, candidate(seed=seed, mean=0.93))
    assert "in comparison 2 on these images" in done.reason
    again = register(store, candidate(seed=2, mean=0.93))
    assert again.reason.endswith("comparison 2 on these images), as was found before")
    tags = store.client.get_registered_model(NAME).tags
    assert [n for key, n in tags.items() if key.startswith("comparisons.")] == ["2"]


def test_a_champion_whose_file_is_gone_keeps_the_alias_and_that_is_said(store, candidate):
    register(store, candidate(seed=0, mean=0.94))
    for file in (store.root / "mlruns").rglob("model.keras"):
        file.unlink()
    done = register(store, candidate(seed=1, mean=0.96))
    assert not done.champion
    assert "version 1, the champion, cannot be compared with" in done.reason


def test_a_champion_whose_folder_is_gone_keeps_the_alias_and_that_is_said(store, candidate):
    register(store, candidate(seed=0, mean=0.94))
    shutil.rmtree(store.root / "mlruns")
    done = register(store, candidate(seed=1, mean=0.96))
    assert not done.champion
    assert "version 1, the champion, cannot be compared with" in done.reason
    record = made_registration(registered_model=NAME, weights_sha256=done.weights_sha256)
    assert not is_registered(store, record)
    assert restore(store, candidate(seed=1, mean=0.96), earlier=NAME, number="2").champion
    assert aliases(store)["champion"] == "2"


def test_a_champion_of_another_checkout_of_meanwhile_is_compared_with_too(store, candidate):
    register(store, candidate(seed=0, mean=0.90))
    register(store, candidate(seed=1, mean=0.95))
    store.client.set_registered_model_alias(NAME, "champion", "1")

    def compare_late(challenger, champion, objective):
        # As another checkout does, which has a lock of its own.
        store.client.set_registered_model_alias(NAME, "champion", "2")
        return compare(challenger, champion, objective, root=store.root)

    done = registration.register(store, candidate(seed=2, mean=0.93), compare=compare_late)
    assert not done.champion
    assert aliases(store)["champion"] == "2"


def test_the_same_weights_are_registered_once(store, candidate):
    register(store, candidate())
    done = register(store, candidate())
    assert (done.version, done.registered, done.champion) == ("1", False, True)
    assert done.reason == "these weights are version 1 already; it is the champion already"
    assert len(store.client.search_model_versions(f"name = '{NAME}'")) == 1


def test_registered_again_known_weights_have_the_card_and_the_chain_of_today(store, candidate):
    one = replace(candidate(), card="of yesterday", chain={"raw": {"a": "1"}})
    register(store, one)
    register(store, replace(one, card="of today", chain={"raw": {"a": "2"}}))
    (card,) = (store.root / "mlruns").rglob("MODEL_CARD.md")
    assert card.read_text() == "of today"
    (chain,) = (store.root / "mlruns").rglob("lineage.json")
    assert '"2"' in chain.read_text()


def test_a_challenger_becomes_champion_where_there_is_none_any_more(store, candidate):
    register(store, candidate(seed=0, mean=0.94))
    register(store, candidate(seed=1, mean=0.93))
    store.client.delete_model_version(NAME, "1")
    done = register(store, candidate(seed=1, mean=0.93))
    assert (done.version, done.registered, done.champion) == ("2", False, True)
    assert aliases(store) == {"champion": "2"}


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
    rivals = [
        candidate(seed=seed, mean=mean, study=f"study-{seed}")
        for seed, mean in ((0, 0.94), (1, 0.95))
    ]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda rival: register(store, rival), rivals))
    assert {one.version for one in done} == {"1", "2"}
    assert aliases(store)["champion"] == done[1].version


def test_the_test_part_has_no_say_in_who_is_champion(store, candidate):
    register(store, candidate(seed=0, mean=0.94, test_accuracy=0.10))
    done = register(store, candidate(seed=1, mean=0.93, test_accuracy=0.99))
    assert not done.champion
    assert aliases(store)["champion"] == "1"
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
        done = restore(store, one, earlier=NAME, number="3")
        assert (done.version, done.registered, done.champion) == ("3", True, True)
        assert numbers(store) == [3]
        assert aliases(store) == {"champion": "3"}
        version = store.client.get_model_version(NAME, "3")
        assert version.tags["git.commit"] == "c0ffee"
        assert version.tags["restored"] == "true"
        assert version.tags["test.n"] == "1000"

    def test_one_that_is_there_stays_as_it_is(self, store, candidate):
        register(store, candidate())
        done = restore(store, candidate(), earlier=NAME, number="3")
        assert (done.version, done.registered) == ("1", False)
        assert numbers(store) == [1]

    def test_a_lost_champion_leaves_the_alias_to_what_is_restored(self, store, candidate):
        """Also to a challenger: the champion that it was compared with was lost."""
        assert restore(store, candidate(), earlier=NAME, number="2").champion
        assert aliases(store) == {"champion": "2"}

    def test_a_champion_whose_files_are_lost_counts_as_lost(self, store, candidate):
        """As after `rm -r mlruns`, with the database beside it."""
        record = made_registration(
            registered_model=NAME, weights_sha256=candidate().evidence.weights_sha256
        )
        register(store, candidate())
        shutil.rmtree(store.root / "mlruns")
        assert not is_registered(store, record)
        done = restore(store, candidate(), earlier=NAME, number="1")
        assert (done.version, done.champion) == ("2", True)
        assert is_registered(store, record)

    def test_a_better_champion_of_today_keeps_the_alias(self, store, candidate):
        register(store, candidate(seed=0, mean=0.95))
        done = restore(store, candidate(seed=1, mean=0.94), earlier=NAME, number="1")
        assert (done.version, done.champion) == ("2", False)
        assert aliases(store) == {"champion": "1"}

    def test_a_kill_before_the_alias_is_made_good(self, store, candidate):
        restore(store, candidate(), earlier=NAME, number="1")
        store.client.delete_registered_model_alias(NAME, "champion")
        restore(store, candidate(), earlier=NAME, number="1")
        assert aliases(store) == {"champion": "1"}

    def test_a_present_champion_is_not_taken_from_by_one_that_was_there(self, store, candidate):
        register(store, candidate(seed=0, mean=0.94))
        register(store, candidate(seed=1, mean=0.96))
        restore(store, candidate(seed=0, mean=0.94), earlier=NAME, number="1")
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
