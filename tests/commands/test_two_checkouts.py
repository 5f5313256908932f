"""Checkouts that share a store leave each other's studies and runs alone."""

import optuna
import pytest

from pipeline.records.mirror.store import open_store
from pipeline.records.storage import open_storage
from pipeline.records.studies import trial_records
from pipeline.studies.described import describe
from pipeline.studies.opened import leave
from tests.commands.repository import Repository, run


class Checkouts:
    """Two checkouts of the same project, and what they share."""

    def __init__(self, folder, document, monkeypatch):
        self._monkeypatch = monkeypatch
        self.ann, self.bob = (self._new(folder / name, document) for name in ("ann", "bob"))

    def _new(self, folder, document):
        folder.mkdir()
        return Repository(folder, document)

    def share(self, variable, folder):
        self._monkeypatch.setenv(variable, f"sqlite:///{folder}/shared.db")

    def enter(self, repository):
        self._monkeypatch.chdir(repository.folder)
        return repository

    def run(self, repository, *command):
        self.enter(repository)
        return run(*command)

    def search(self, repository, *, num_trials=2):
        """Trains, and mirrors it, without a network."""
        study = self.enter(repository).study()
        for _ in range(num_trials):
            repository.train(study)
        assert self.run(repository, "audit", "--repair") == 0
        return study


@pytest.fixture
def checkouts(tmp_path, monkeypatch, params_document):
    for variable in ("MLFLOW_TRACKING_URI", "OPTUNA_STORAGE"):
        monkeypatch.delenv(variable, raising=False)
    return Checkouts(tmp_path, params_document, monkeypatch)


def num_active(repository):
    store = open_store(repository.folder)
    return len(store.search_runs(store.experiment("digits"), "tags.role = 'trial'"))


def test_the_same_study_in_two_checkouts_has_two_sets_of_runs(checkouts, tmp_path):
    checkouts.share("MLFLOW_TRACKING_URI", tmp_path)
    checkouts.search(checkouts.ann)
    checkouts.search(checkouts.bob, num_trials=3)
    assert checkouts.run(checkouts.ann, "audit") == 0
    assert checkouts.run(checkouts.bob, "audit") == 0
    assert num_active(checkouts.ann) == 5


def test_a_study_that_was_pulled_and_goes_on_leaves_the_runs_of_the_original(checkouts, tmp_path):
    checkouts.share("MLFLOW_TRACKING_URI", tmp_path)
    study = checkouts.search(checkouts.ann)
    described = describe("tiny", root=checkouts.ann.folder)
    study.set_user_attr("comparable", "c" * 64)  # As the stage does.
    leave(study, described, root=checkouts.bob.folder)
    assert checkouts.run(checkouts.bob, "restore") == 0
    checkouts.search(checkouts.ann)
    checkouts.search(checkouts.bob, num_trials=1)
    assert checkouts.run(checkouts.ann, "audit") == 0
    assert checkouts.run(checkouts.bob, "audit") == 0
    assert num_active(checkouts.ann) == 4 + 3


def test_status_and_audit_are_about_the_study_of_the_own_data(checkouts, tmp_path, capsys, caplog):
    """In one study store, and with equal names, the other's study has the name."""
    checkouts.share("OPTUNA_STORAGE", tmp_path)
    ann, bob = checkouts.ann, checkouts.bob
    study = checkouts.search(ann)
    described = describe("tiny", root=ann.folder)
    study.set_user_attr("comparable", "c" * 64)  # As the stage does.
    leave(study, described, root=ann.folder)
    bob.write("data/split.json", {**bob.split(), "sha256": {"train": "ef" * 32}})
    assert checkouts.run(bob, "audit") == 0
    assert "digits-tiny: the study has not been searched yet" in capsys.readouterr().out
    checkouts.search(bob, num_trials=3)
    assert f"was made in {study.user_attrs['made_in']}; if that is another" in caplog.text
    for checkout, num_trials in ((ann, 2), (bob, 3)):
        capsys.readouterr()
        assert checkouts.run(checkout, "status") == 0
        assert f"tiny   {num_trials}/3 " in capsys.readouterr().out
        assert checkouts.run(checkout, "audit") == 0
        assert f"digits-tiny: {num_trials} trials, 0 differences" in capsys.readouterr().out


def test_gc_leaves_what_another_checkout_made(checkouts, tmp_path, capsys):
    checkouts.share("OPTUNA_STORAGE", tmp_path)
    for repository in (checkouts.ann, checkouts.bob):
        repository.document["studies"][f"of-{repository.folder.name}"] = repository.document[
            "studies"
        ]["tiny"]
        repository.set()
        repository.train(checkouts.enter(repository).study(f"of-{repository.folder.name}"))
        del repository.document["studies"][f"of-{repository.folder.name}"]
        repository.set()
    capsys.readouterr()
    assert checkouts.run(checkouts.bob, "gc", "--yes") == 0
    names = optuna.get_all_study_names(open_storage(tmp_path))
    assert names == ["digits-of-ann"]
    (kept,) = trial_records(optuna.load_study(study_name=names[0], storage=open_storage(tmp_path)))
    assert kept.state == "COMPLETE"
