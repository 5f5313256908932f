"""A study's parent run, from opening to closing."""

import pytest

from pipeline.errors import StudyError
from pipeline.records.mirror.outage import RETRIES
from pipeline.records.mirror.runs import StudyRuns
from pipeline.records.mirror.store import Store
from tests.records.mirror.web_server import WebServer


def test_a_new_study_is_a_running_parent_in_its_datasets_experiment(open_runs):
    runs = open_runs(base="efficientnet_lite0", trials=40)
    run = runs.store.client.get_run(runs.run_id)
    assert (run.info.status, run.info.run_name) == ("RUNNING", "transfer")
    assert run.data.params == {"base": "efficientnet_lite0", "trials": "40"}
    expected = {"role": "study", "study_name": "digits-transfer", "git.commit": "c0ffee"}
    assert expected.items() <= run.data.tags.items()
    experiment = runs.store.client.get_experiment(run.info.experiment_id)
    assert experiment.name == "digits"


def test_opening_again_goes_on_with_the_same_parent(open_runs):
    first = open_runs(trials=40)
    first.close()
    again = open_runs(trials=40)
    assert again.run_id == first.run_id
    assert again.store.client.get_run(again.run_id).info.status == "RUNNING"


def test_a_parameter_that_grew_becomes_a_tag(open_runs):
    open_runs(trials=40)
    run = open_runs(trials=60, epochs=12)
    found = run.store.client.get_run(run.run_id).data
    assert found.params == {"trials": "40", "epochs": "12"}
    assert found.tags["latest.trials"] == "60"


def test_a_study_without_its_objective_is_a_bug(root):
    with pytest.raises(KeyError, match="objective"):
        StudyRuns.open(
            root, dataset="d", study="s", study_name="d-s", study_uid="i", tags={}, params={}
        )


def test_inputs_are_logged_once_however_often_they_are_told(open_runs, split):
    for _ in range(2):
        open_runs().log_inputs(split)
    runs = open_runs()
    run = runs.store.client.get_run(runs.run_id)
    found = [(i.dataset.name, i.tags[0].value) for i in run.inputs.dataset_inputs]
    assert sorted(found) == [
        ("digits-confirmation", "confirmation"),
        ("digits-train", "training"),
        ("digits-val", "validation"),
    ]


def test_the_test_part_is_no_input(open_runs, split):
    runs = open_runs()
    runs.log_inputs(split)
    inputs = runs.store.client.get_run(runs.run_id).inputs.dataset_inputs
    assert not any("cd" * 18 in str(i.dataset.to_dictionary()) for i in inputs)


def test_a_folder_becomes_artifacts_below_mlruns(open_runs, root):
    folder = root / "results" / "transfer"
    folder.mkdir(parents=True)
    (folder / "study.json").write_text("{}")
    runs = open_runs()
    (root / "results/plan.json").write_text("{}")
    runs.log_artifacts(folder, root / "results/plan.json", root / "results/not-there.json")
    artifacts = runs.store.client.list_artifacts(runs.run_id)
    assert sorted(f.path for f in artifacts) == ["plan.json", "study.json"]
    assert list((root / "mlruns/artifacts").rglob("study.json"))


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "FINISHED"), (RuntimeError, "FAILED"), (KeyboardInterrupt, "KILLED")],
)
def test_the_parent_ends_as_its_block_does(open_runs, error, status):
    runs = open_runs()
    try:
        with runs:
            if error is not None:
                raise error
    except (RuntimeError, KeyboardInterrupt):
        pass
    assert runs.store.client.get_run(runs.run_id).info.status == status


def test_a_parent_that_was_closed_in_its_block_stays_so(open_runs):
    with open_runs() as runs:
        runs.close("KILLED")
    assert runs.store.client.get_run(runs.run_id).info.status == "KILLED"


@pytest.fixture
def lost(open_runs, monkeypatch):
    """A study's runs whose server went away after they had been opened."""
    from mlflow import MlflowClient

    monkeypatch.setenv(RETRIES, "0")
    runs = open_runs()
    with WebServer(503) as server:
        client = MlflowClient(server.uri)
        yield StudyRuns(Store(root=runs.store.root, uri=server.uri, client=client), runs.parent)


@pytest.mark.parametrize(
    "use",
    [
        lambda runs, split: runs.log_inputs(split),
        lambda runs, split: runs.log_artifacts(runs.store.root),
        lambda runs, split: runs.reconcile([]),
        lambda runs, split: runs.close(),
    ],
)
def test_a_store_that_goes_away_is_said_in_one_line(lost, split, use):
    with pytest.raises(StudyError, match=r"must answer .*: HTTP 503") as caught:
        use(lost, split)
    assert "\n" not in str(caught.value)


def test_a_store_that_goes_away_does_not_hide_what_ended_the_search(lost, caplog, monkeypatch):
    monkeypatch.delenv(RETRIES)  # MLflow's own client would try for four minutes.
    with pytest.raises(KeyboardInterrupt), lost:
        raise KeyboardInterrupt
    assert "put right by the next start: HTTP 503" in caplog.text
