"""A version holds the very file that was exported, and everything that led to it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.files import sha256_file
from pipeline.records.mirror.store import open_store
from pipeline.records.model_registry.registered_models import registered_model_name
from pipeline.records.model_registry.versions import log_version

pytestmark = pytest.mark.keras

NAME = "digits-classifier"

IN_A_FRESH_PROCESS = """
import sys
import numpy as np
import mlflow
images = np.load(sys.argv[1])
uri = "models:/digits-classifier/1"
mlflow.set_tracking_uri(sys.argv[2])
model = mlflow.keras.load_model(uri, load_model_kwargs={"safe_mode": True})
by_keras = model.predict(images, verbose=0)
assert "pipeline" not in sys.modules
answers = mlflow.pyfunc.load_model(uri).predict(images)
by_pyfunc = np.float32([list(one["probabilities"].values()) for one in answers])
assert "pipeline" not in sys.modules
np.save(sys.argv[3], np.stack([by_keras, by_pyfunc]))
"""


@pytest.fixture
def store(root):
    return open_store(root)


@pytest.fixture
def logged(store, candidate):
    """A candidate, and its version."""
    one = candidate()
    store.client.create_registered_model(NAME)
    return one, log_version(store, one, NAME)


def test_the_name_follows_the_dataset():
    assert registered_model_name("fashion_mnist") == "fashion_mnist-classifier"


def test_the_registered_file_is_the_exported_one(store, logged):
    candidate, version = logged
    (file,) = (store.root / "mlruns").rglob("model.keras")
    assert sha256_file(file) == sha256_file(candidate.model_file) == version.tags["model_sha256"]


def test_a_version_says_where_it_comes_from(logged):
    candidate, version = logged
    expected = {
        "study": "transfer",
        "trial": "5",
        "trials": "5, 3",
        "seeds": "7, 9",
        "base": "efficientnet_lite0",
        "base.model": "models:/flowers-classifier@champion",
        "base.version": "3",
        "dataset": "digits",
        "data_digest": "ab" * 18,
        "weights_sha256": candidate.evidence.weights_sha256,
        "confirmation.mean": "0.94",
        "confirmation.n": "30",
        "git.commit": "c0ffee",
    }
    assert expected.items() <= version.tags.items()
    assert candidate.lineage.items() <= version.tags.items()
    assert "Trial 5 of study `transfer`" in version.description
    assert "on 30 confirmation images, over 3 seeds: 0.9400" in version.description
    assert version.status == "READY"


def test_its_run_holds_figures_inputs_and_files(store, logged):
    candidate, version = logged
    run = store.client.get_run(version.run_id)
    assert (run.info.status, run.data.tags["role"]) == ("FINISHED", "register")
    assert run.data.params == {"units": "64"}
    assert run.data.metrics["confirmation_mean"] == 0.94
    assert run.data.metrics["confirmation_accuracy"] == 0.94
    assert len(run.inputs.dataset_inputs) == 3
    folder = Path(store.client.download_artifacts(version.run_id, ""))
    payload = json.loads((folder / "example/invocations.json").read_text())
    examples = np.load(folder / "example/images.npy")
    np.testing.assert_array_equal(examples, candidate.examples)
    assert payload["inputs"] == candidate.examples.tolist()
    assert (folder / "results/confirm.json").read_text() == "{}"


def test_what_a_version_is_made_for_and_of_is_said_beside_its_model(store, logged):
    from mlflow.models import Model

    folder = next((store.root / "mlruns").rglob("MLmodel")).parent
    info = Model.load(str(folder))
    assert info.metadata["class_names"] == ["zero", "one", "two"]
    assert info.metadata["value_range"] == [0, 4095]
    assert logged[1].tags["value_range"] == "0, 4095"
    requirements = (folder / "requirements.txt").read_text()
    assert "tensorflow==" in requirements
    assert "keras==" in requirements


@pytest.mark.slow
def test_a_fresh_process_loads_it_without_this_project(store, logged, tmp_path):
    candidate, _ = logged
    np.save(tmp_path / "images.npy", candidate.examples)
    arguments = [str(tmp_path / "images.npy"), store.uri, str(tmp_path / "answers.npy")]
    code = [sys.executable, "-c", IN_A_FRESH_PROCESS, *arguments]
    subprocess.run(code, check=True, cwd=tmp_path, capture_output=True, timeout=300)
    by_keras, by_pyfunc = np.load(tmp_path / "answers.npy")
    expected = candidate.model.predict(candidate.examples, verbose=0)
    np.testing.assert_array_equal(by_keras, expected)
    np.testing.assert_allclose(by_pyfunc, expected, atol=1e-6)


def test_a_failure_in_the_middle_leaves_a_failed_run_and_no_version(store, candidate):
    one = replace(candidate(), examples=None)
    store.client.create_registered_model(NAME)
    with pytest.raises(AttributeError):
        log_version(store, one, NAME)
    (run,) = store.search_runs(store.experiment("digits"), "tags.role = 'register'")
    assert run.info.status == "FAILED"
    assert list(store.client.search_model_versions()) == []


def test_a_run_that_a_killed_process_left_is_closed(store, candidate):
    one = candidate()
    store.client.create_registered_model(NAME)
    experiment = store.experiment("digits")
    left = store.client.create_run(experiment, tags={"role": "register"}).info.run_id
    log_version(store, one, NAME)
    assert store.client.get_run(left).info.status == "KILLED"


def test_one_training_shows_no_interval(store, candidate):
    one = candidate()
    store.client.create_registered_model(NAME)
    winner = replace(one.confirm.winner, std=None, low=None, high=None, num_seeds=1)
    evidence = replace(one.evidence, low=None, high=None, num_seeds=1)
    version = log_version(
        store,
        replace(one, evidence=evidence, confirm=replace(one.confirm, candidates=[winner])),
        NAME,
    )
    metrics = store.client.get_run(version.run_id).data.metrics
    assert metrics["confirmation_mean"] == 0.94
    assert "confirmation_std" not in metrics
    assert "over 1 seed: 0.9400. In the file" in version.description
    assert "confirmation.low" not in version.tags
