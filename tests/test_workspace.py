"""An experiment that runs in a copy of the repository records into the checkout it was copied from.

`dvc exp run` itself makes the copy; the stage is the real search on scikit-learn's digits.
"""

import json
import sqlite3
from contextlib import closing

import pytest

from pipeline.records.lock import study_lock
from pipeline.records.mirror.store import Store, locked, tracking_uri
from pipeline.records.storage import storage_url
from pipeline.trials import identity
from pipeline.trials.identity import code_sha256
from pipeline.workspace import stamp_file, store_root, write_stamp
from testing.records import made_confirmation, made_registration, made_study

TEMP = ".dvc/tmp/exps/standalone/tmpa1b2c3"
QUEUE = ".dvc/tmp/exps/tmpa1b2c3"
SEARCH = "search@scratch"

STAMPS = {
    "search": (
        made_study(identity="ab" * 32, target=4),
        {"identity": "ab" * 32, "target": 4},
    ),
    "confirm": (
        made_confirmation(identity="ab" * 32, top=2, seeds=3),
        {"identity": "ab" * 32, "top": 2, "seeds": 3},
    ),
    "register": (
        made_registration(study="transfer", weights_sha256="cd" * 32),
        {"study": "transfer", "weights_sha256": "cd" * 32},
    ),
}


@pytest.fixture(autouse=True)
def _own_stores(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "OPTUNA_STORAGE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("copy", [TEMP, QUEUE, f"{TEMP}/sub/project"])
def test_a_copy_belongs_to_the_checkout_it_was_copied_from(tmp_path, copy):
    assert store_root(tmp_path / copy) == tmp_path


@pytest.mark.parametrize("other", ["", ".dvc/tmp", "tmp/exps/run", "work/.dvc/exps/tmp"])
def test_any_other_folder_is_its_own(tmp_path, other):
    assert store_root(tmp_path / other) == tmp_path / other


def test_a_relative_path_and_a_link_are_followed(tmp_path, monkeypatch):
    copy = tmp_path / TEMP
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    assert store_root(copy.relative_to(copy)) == tmp_path
    (tmp_path / "link").symlink_to(copy)
    assert store_root(tmp_path / "link") == tmp_path


def test_every_store_and_lock_of_a_copy_is_the_originals(tmp_path):
    copy = tmp_path / TEMP
    copy.mkdir(parents=True)
    assert tracking_uri(copy) == tracking_uri(tmp_path)
    assert storage_url(copy) == storage_url(tmp_path)
    assert storage_url(copy, "sqlite:///mine.db") == f"sqlite:///{tmp_path}/mine.db"
    store = Store(root=copy, uri="sqlite:///mlflow.db", client=None)
    assert store._artifact_location() == (tmp_path / "mlruns/artifacts").as_uri()
    with locked(copy, "store"), study_lock(copy, "digits-mine"):
        assert (tmp_path / "mlruns/.store.lock").exists()
        assert (tmp_path / "mlruns/locks/digits-mine.pid").exists()
    assert not (copy / "mlruns").exists()


@pytest.fixture(scope="module")
def experiment(embedded, tmp_path_factory):
    """A checkout in which `dvc exp run --temp` has searched one study."""
    checkout = embedded.copy(tmp_path_factory.mktemp("experiment"))
    checkout.set({"search": {"trials": 4, "epochs": 1, "workers": 1}})
    checkout.commit("data")
    checkout.run("dvc", "exp", "run", "--temp", "-n", "tried", "-S", "search.trials=2", SEARCH)
    return checkout


def rows(checkout, database, query):
    with closing(sqlite3.connect(checkout.folder / database)) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.slow
@pytest.mark.keras
class TestAnExperimentInACopy:
    def test_records_its_trials_in_the_checkout(self, experiment):
        states = rows(experiment, "mlruns/optuna.db", "SELECT state FROM trials")
        assert states == [("COMPLETE",)] * 2
        runs = rows(experiment, "mlflow.db", "SELECT status, artifact_uri FROM runs")
        assert [status for status, _ in runs] == ["FINISHED"] * 3
        home = (experiment.folder / "mlruns/artifacts").as_uri()
        assert all(uri.startswith(home) for _, uri in runs)

    def test_leaves_the_checkouts_results_alone(self, experiment):
        assert not (experiment.folder / "results/scratch/study.json").exists()
        assert not list((experiment.folder / ".dvc/tmp/exps/standalone").glob("tmp*"))

    def test_says_which_commit_and_experiment_it_was(self, experiment):
        tags = dict(rows(experiment, "mlflow.db", "SELECT DISTINCT key, value FROM tags"))
        assert tags["dvc.experiment"] == "tried"
        assert tags["git.commit"] == experiment.git("rev-parse", "HEAD").strip()
        assert tags["git.dirty"] == "true"
        assert len(tags["dvc.train"]) == 32

    def test_shows_its_target_among_the_experiments(self, experiment):
        shown = json.loads(experiment.dvc("exp", "show", "--json"))
        text = json.dumps(shown)
        assert "tried" in text
        assert '"trials": 2' in text

    def test_is_continued_after_it_was_applied(self, experiment):
        # DVC applies what there is, and fails over the outs of stages that have never run.
        experiment.dvc("exp", "apply", "tried", expect=255)
        study = json.loads((experiment.folder / "results/scratch/study.json").read_text())
        assert len(study["trials"]) == 2
        experiment.repro(SEARCH)
        assert (
            rows(experiment, "mlruns/optuna.db", "SELECT state FROM trials") == [("COMPLETE",)] * 2
        )


@pytest.mark.parametrize("stage", STAMPS)
def test_a_stamp_holds_nothing_that_changes_from_run_to_run(tmp_path, stage):
    record, expected = STAMPS[stage]
    write_stamp(tmp_path, stage, record.stamp, study="transfer")
    text = f"{json.dumps(expected, indent=2, sort_keys=True)}\n"
    assert stamp_file(tmp_path, stage, "transfer").read_text() == text


def test_the_names_are_those_of_dvc_yaml(tmp_path):
    assert stamp_file(tmp_path, "register") == tmp_path / "mlruns/stages/register.json"
    assert stamp_file(tmp_path, "search", "a").name == "search-a.json"


def test_the_hash_of_code_depends_on_the_parts_named():
    assert code_sha256("seeds.py") == code_sha256("seeds.py")
    assert code_sha256("seeds.py") != code_sha256("errors.py")
    assert code_sha256("training") != code_sha256("training", "seeds.py")
    assert len(code_sha256("models")) == 64


def test_the_hash_of_code_depends_on_its_content_and_on_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "__file__", str(tmp_path / "trials" / "identity.py"))
    (tmp_path / "training").mkdir()
    code = tmp_path / "training" / "fit.py"
    code.write_text("rate = 1")
    before = code_sha256("training")
    (tmp_path / "training" / "notes.txt").write_text("not code")
    assert code_sha256("training") == before
    code.write_text("rate = 2")
    assert code_sha256("training") != before
