"""The whole graph as a user runs it: `dvc repro` on scikit-learn's digits, twice, and changed."""

import json
import os
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from tests.checkout import Checkout

pytestmark = [pytest.mark.slow, pytest.mark.keras]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout in which `dvc repro` has run once, with the test part made unreadable till late.

    Everything up to `confirm` runs while nobody can open data/test.npz: what reads it there fails.
    """
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    made.repro("split")
    test_part = made.folder / "data/test.npz"
    kept = test_part.read_bytes()
    test_part.unlink()
    for stage in ("embed", "search@scratch", "search@transfer"):
        made.repro("--single-item", stage)
    test_part.write_bytes(kept)
    made.repro()
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


def test_the_lectures_summary_is_the_first_trial(checkout):
    first = read(checkout, "results/transfer/study.json")["trials"][0]
    assert first["hyperparameters"]["activation"] == "selu"
    assert first["hyperparameters"]["schedule"] == "performance"


def test_every_trial_has_an_mlflow_run_whose_status_is_its_state(checkout):
    assert "trials, 0 differences found" in checkout.pipeline("audit")
    statuses = {row[0] for row in query(checkout, "mlflow.db", "select status from runs")}
    assert statuses <= {"FINISHED", "KILLED", "FAILED"}


def test_a_second_repro_runs_nothing(checkout):
    assert "Data and pipelines are up to date." in checkout.repro()


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
    assert "http://" not in page.replace("http://www.w3.org", "")


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
    checkout.set({"search": {"trials": 6}})
    checkout.repro("search@scratch")
    after = read(checkout, "results/scratch/study.json")["trials"]
    assert after[: len(before)] == before
    assert len(after) == len(before) + 2
    checkout.set({"search": {"trials": 4}})


def test_lost_databases_are_rebuilt_from_the_exported_study_without_training(checkout):
    before = read(checkout, "results/transfer/study.json")["trials"]
    for file in [*checkout.folder.glob("mlflow.db*"), *checkout.folder.glob("mlruns/optuna.db*")]:
        file.unlink()
    (checkout.folder / "mlruns/stages/search-transfer.json").unlink()
    checkout.repro("search@transfer")
    assert read(checkout, "results/transfer/study.json")["trials"] == before
    assert "trials, 0 differences found" in checkout.pipeline("audit")


def test_a_changed_split_does_not_fetch_again(checkout):
    checkout.set({"split": {"seed": 7}})
    output = checkout.repro("split")
    assert "Running stage 'split'" in output
    assert "Running stage 'fetch'" not in output


def test_no_process_is_left(checkout):
    done = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True)
    mine = [line for line in done.stdout.splitlines() if str(checkout.folder) in line]
    assert [line for line in mine if int(line.split()[0]) != os.getpid()] == []
