"""The whole graph as a user runs it: `dvc repro` on scikit-learn's digits, twice, and changed."""

import json
import os
import sqlite3
import subprocess
import sys

import numpy as np
import optuna
import pytest

from pipeline.records.studies import trial_records
from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.keras]


@pytest.fixture(scope="module")
def checkout(embedded, tmp_path_factory):
    """A checkout in which `dvc repro` has run once, with the test part made unreadable till late.

    Everything up to `confirm` runs while nobody can open data/test.npz: what reads it there fails.
    """
    made = embedded.copy(tmp_path_factory.mktemp("checkout"))
    with made.without_test_part():
        made.repro("--single-item", "search@scratch", "search@transfer")
    made.repro("confirm@scratch", "diagnose@scratch")
    # As a user runs it, where the rest are forks of a process that has the libraries.
    made.run("dvc", "repro")
    return made


def read(checkout, name):
    return json.loads((checkout.folder / name).read_text())


def query(checkout, database, sql):
    with sqlite3.connect(checkout.folder / database) as connection:
        return connection.execute(sql).fetchall()


def test_both_studies_are_evaluated_with_intervals(checkout):
    metrics = read(checkout, "results/metrics.json")
    assert set(metrics) == {"scratch", "transfer"}
    for study in metrics.values():
        accuracy = study["accuracy"]
        assert 0.5 < accuracy["low"] < accuracy["value"] < accuracy["high"] <= 1
        assert accuracy["n"] == read(checkout, "data/split.json")["counts"]["test"]["images"]


def test_every_study_holds_exactly_its_target(checkout):
    for name in ("scratch", "transfer"):
        states = [t["state"] for t in read(checkout, f"results/{name}/study.json")["trials"]]
        assert sum(state in ("COMPLETE", "PRUNED") for state in states) == 4
        assert "RUNNING" not in states


def test_what_is_queued_first_is_the_first_trial(checkout, params_document):
    first = read(checkout, "results/transfer/study.json")["trials"][0]
    queued = params_document["studies"]["transfer"]["enqueue"][0]
    expected = {name: queued[name] for name in ("activation", "units", "schedule", "optimizer")}
    assert {name: first["hyperparameters"][name] for name in expected} == expected


def test_every_trial_has_an_mlflow_run_whose_status_is_its_state(checkout):
    assert "trials, 0 differences found" in checkout.new_pipeline("audit")
    statuses = {row[0] for row in query(checkout, "mlflow.db", "select status from runs")}
    assert statuses <= {"FINISHED", "KILLED", "FAILED"}


def test_a_second_repro_runs_nothing(checkout):
    assert "Data and pipelines are up to date." in checkout.repro()


def test_a_trial_of_two_workers_trains_the_same_again_alone(checkout):
    assert "equal: to the last bit, over 3 epochs" in checkout.new_pipeline(
        "replay", "transfer", "1"
    )


def test_the_champion_is_written_for_another_runtime(checkout):
    """And is its equal; the libraries that write it say nothing."""
    size, answers = checkout.new_pipeline("export", "--format", "litert").splitlines()
    assert "MB, " in size
    assert answers.endswith("same class for 100.00%")


def test_the_card_lies_beside_the_model(checkout):
    (card,) = (checkout.folder / "mlruns").rglob("MODEL_CARD.md")
    text = card.read_text(encoding="utf-8")
    assert text.startswith("# Classifier of digits")
    assert "| noise |" in text


def test_the_notebook_of_the_docs_runs(checkout):
    output = checkout.run(sys.executable, str(ROOT / "docs/explore.py"))
    assert "trials, val_accuracy is to maximize" in output
    assert output.count(", labelled ") == 5


@pytest.fixture(scope="module")
def clone(checkout, tmp_path_factory):
    """Another machine, which has only what git and DVC hold."""
    return checkout.clone_and_pull(tmp_path_factory.mktemp("machine") / "clone")


STAMPS = ("search-scratch", "search-transfer", "confirm-scratch", "confirm-transfer", "register")
OF_TRAININGS = "join tags t on t.run_uuid = x.run_uuid and t.key = 'trial_uid'"
SHOWN_BY_MLFLOW = (
    f"select t.value, x.name, x.status, x.lifecycle_stage from runs x {OF_TRAININGS} order by 1",
    f"select t.value, x.key, x.value from params x {OF_TRAININGS} order by 1, 2",
    f"select t.value, x.key, x.step, x.value from metrics x {OF_TRAININGS} order by 1, 2, 3",
    "select name, version, status from model_versions",
    # Not of the copy as ONNX, whose nodes are named anew whenever it is made.
    "select version, key, value from model_version_tags "
    "where key not in ('restored', 'made_in', 'onnx_sha256') order by 1, 2",
    "select alias, version from registered_model_aliases",
)


def trials_of(checkout, study):
    storage = f"sqlite:///{checkout.folder}/mlruns/optuna.db"
    return trial_records(optuna.load_study(study_name=study, storage=storage))


def test_a_clone_restores_studies_runs_and_the_registered_version(checkout, clone):
    assert not (clone.folder / "mlflow.db").exists()
    clone.new_pipeline("restore")
    for study in ("digits-scratch", "digits-transfer"):
        assert trials_of(clone, study) == trials_of(checkout, study)
    for sql in SHOWN_BY_MLFLOW:
        assert query(clone, "mlflow.db", sql) == query(checkout, "mlflow.db", sql)
    assert len(query(clone, "mlflow.db", SHOWN_BY_MLFLOW[0])) == 12
    for name in STAMPS:
        stamp = f"mlruns/stages/{name}.json"
        assert (clone.folder / stamp).read_bytes() == (checkout.folder / stamp).read_bytes()
    assert "Data and pipelines are up to date." in clone.dvc("status")
    assert "Data and pipelines are up to date." in clone.repro()
    assert "trials, 0 differences found" in clone.pipeline("audit")


def test_restoring_again_changes_nothing(clone):
    everything = (
        "select * from runs order by 1",
        "select * from metrics order by 1, 2, 3, 4",
        "select * from model_versions",
    )
    before = [query(clone, "mlflow.db", sql) for sql in everything]
    assert "was there already" in clone.pipeline("restore")
    assert [query(clone, "mlflow.db", sql) for sql in everything] == before


def test_lost_databases_cost_no_training_of_the_confirmation_either(clone):
    outs = [
        clone.folder / name for name in ("results/transfer/confirm.json", "models/transfer.keras")
    ]
    before = [out.read_bytes() for out in outs]
    runs = query(clone, "mlflow.db", SHOWN_BY_MLFLOW[0])
    for file in [*clone.folder.glob("mlflow.db*"), *clone.folder.glob("mlruns/optuna.db*")]:
        file.unlink()
    for name in STAMPS:
        (clone.folder / f"mlruns/stages/{name}.json").unlink()
    output = clone.repro("confirm@transfer")
    assert "2 runs written again, nothing trained" in output
    assert [out.read_bytes() for out in outs] == before
    found = query(clone, "mlflow.db", SHOWN_BY_MLFLOW[0])
    assert found == [run for run in runs if run[1].startswith("transfer")]


def test_the_registered_model_classifies_raw_images_as_evaluate_said(checkout, tmp_path):
    # In a process that knows neither this project nor its folder.
    code = (
        "import mlflow, numpy as np, sys\n"
        "mlflow.set_tracking_uri(sys.argv[1])\n"
        "model = mlflow.keras.load_model('models:/digits-classifier@champion',"
        " load_model_kwargs={'safe_mode': True})\n"
        "data = np.load(sys.argv[2])\n"
        "assert data['images'].dtype == np.uint8\n"
        "p = model.predict(data['images'], verbose=0)\n"
        "assert np.allclose(p.sum(axis=1), 1, atol=1e-5)\n"
        "print('ACCURACY', (p.argmax(1) == data['labels']).mean())\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            code,
            f"sqlite:///{checkout.folder}/mlflow.db",
            str(checkout.folder / "data/test.npz"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    measured = float(done.stdout.split("ACCURACY")[1])
    said = read(checkout, "results/metrics.json")["transfer"]["accuracy"]["value"]
    assert measured == pytest.approx(said, abs=0.001)


def test_the_page_says_what_happened_without_a_network(checkout):
    page = (checkout.folder / "results/report/index.html").read_text(encoding="utf-8")
    assert "digits" in page
    # Names of languages, and the licence in the head of the library that draws.
    for known in ("http://www.w3.org", "http://www.apache.org/licenses"):
        page = page.replace(known, "")
    assert "http://" not in page


def test_the_parts_share_no_image(checkout):
    with np.load(checkout.folder / "data/train.npz") as train:
        parts = {
            name: {image.tobytes() for image in train["images"][train[name]]}
            for name in ("train", "val", "confirmation")
        }
    with np.load(checkout.folder / "data/test.npz") as test:
        parts["test"] = {image.tobytes() for image in test["images"]}
    names = list(parts)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            assert not parts[first] & parts[second], (first, second)


def test_raising_the_target_runs_exactly_the_difference(checkout):
    before = read(checkout, "results/scratch/study.json")["trials"]
    checkout.set({"search": {"trials": 6, "workers": 1}})
    checkout.repro("search@scratch")
    after = read(checkout, "results/scratch/study.json")["trials"]
    assert after[: len(before)] == before
    assert len(after) == len(before) + 2
    checkout.set({"search": {"trials": 4, "workers": 2}})


def test_lost_databases_are_rebuilt_from_the_exported_study_without_training(checkout):
    before = read(checkout, "results/transfer/study.json")["trials"]
    for file in [*checkout.folder.glob("mlflow.db*"), *checkout.folder.glob("mlruns/optuna.db*")]:
        file.unlink()
    (checkout.folder / "mlruns/stages/search-transfer.json").unlink()
    checkout.repro("search@transfer")
    assert read(checkout, "results/transfer/study.json")["trials"] == before
    found = checkout.pipeline("audit", expect=1)
    # Of the confirmation, whose stage has not run again.
    assert f"digits-transfer: {len(before)} trials, 2 differences found" in found
    assert found.count(" confirmation  COMPLETE ") == 2
    assert "digits-scratch: the study is lost" in found


def test_a_changed_split_does_not_fetch_again(checkout):
    checkout.set({"split": {"seed": 7}})
    output = checkout.repro("split")
    assert "Running stage 'split'" in output
    assert "Running stage 'fetch'" not in output


def test_no_process_is_left(checkout):
    done = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True)
    mine = [line for line in done.stdout.splitlines() if str(checkout.folder) in line]
    assert [line for line in mine if int(line.split()[0]) != os.getpid()] == []
