"""Confirm trains anew, but only writes the runs again where the databases were lost."""

import json
import time
from dataclasses import replace

import pytest

from pipeline.config import load_section
from pipeline.errors import StudyError
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.records.lock import study_lock
from pipeline.records.mirror.store import open_store
from pipeline.search.candidates import Candidate
from pipeline.search.sections import ConfirmParams, SearchParams
from pipeline.split_record import SPLIT_FILE, write_split
from pipeline.stages import confirm
from pipeline.stages.confirm import run
from pipeline.studies.timing import confirming
from pipeline.workspace import confirmed_answers_file, stamp_file
from testing.records import made_trial
from testing.split import split_record
from tests.commands.repository import Repository
from tests.commands.repository import run as run_command

STAMP = "mlruns/stages/confirm-tiny.json"


class Trained(Exception):
    """The stage began to train."""


@pytest.fixture(scope="module")
def template(tmp_path_factory, params_document):
    """A repository in which `search` and `confirm` have run, but whose stores are gone."""
    made = Repository(tmp_path_factory.mktemp("template"), params_document)
    made.document["confirm"] = {"top": 2, "seeds": 2, "export": "ensemble", "max_slowdown": 2.0}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(made.folder)
        made.set()
        made.search()
        made.confirm()
        open_store(made.folder).close()
    return made


@pytest.fixture
def repository(template, monkeypatch):
    """The template, for a test that leaves it as it was."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(template.folder)

    def train(*args, **kwargs):
        raise Trained

    monkeypatch.setattr(confirm, "_train", train)
    files = [f for f in template.folder.rglob("*") if f.is_file() and "mlruns" not in f.parts]
    before = {file: file.read_bytes() for file in files}
    yield template
    for file, content in before.items():
        file.write_bytes(content)
    stamp_file(template.folder, "confirm", "tiny").unlink(missing_ok=True)


def stage(repository):
    run(
        "tiny",
        "none",
        load_section(ConfirmParams, "confirm"),
        load_section(SearchParams, "search"),
        root=repository.folder,
    )


def confirm_runs(repository):
    store = open_store(repository.folder)
    return store.search_runs(store.experiment("digits"), "tags.role = 'confirm'")


def test_lost_runs_are_written_again_without_training(repository):
    report = repository.folder / "results/tiny/confirm.json"
    before = report.read_bytes()
    stage(repository)
    assert report.read_bytes() == before
    runs = {run.data.tags["trial_uid"]: run for run in confirm_runs(repository)}
    trainings = json.loads(before)["trainings"]
    assert set(runs) == {training["uid"] for training in trainings}
    for training in trainings:
        run_ = runs[training["uid"]]
        assert (run_.info.status, run_.info.start_time, run_.info.end_time) == (
            *("FINISHED", 1000, 9000),
        )
        assert run_.data.tags["seed"] == str(training["seed"])
        assert run_.data.metrics["confirmation_accuracy"] == 0.75
        assert run_.data.metrics["value"] == 0.5
        assert run_.data.params["units"]
        history = open_store(repository.folder).client.get_metric_history(run_.info.run_id, "loss")
        assert [(p.step, p.value, p.timestamp) for p in history] == [
            *((0, 1.25, 2000), (1, 1.25, 2001)),
        ]


def test_written_twice_nothing_is_doubled(repository):
    stage(repository)
    stamp_file(repository.folder, "confirm", "tiny").unlink()
    before = {run.info.run_id for run in confirm_runs(repository)}
    stage(repository)
    assert {run.info.run_id for run in confirm_runs(repository)} == before


def test_runs_of_one_that_diverged_and_was_left_out_are_written_too(repository):
    report = repository.read("results/tiny/confirm.json")
    diverged = report["candidates"].pop()
    report["left_out"] = {str(diverged["number"]): diverged["hyperparameters"]}
    # It has no further seed.
    last = report["trainings"].pop()
    nothing = {"outcome": "diverged", "value": None, "metrics": {}, "epochs": []}
    report["trainings"][-1] |= nothing
    assert {last["number"], report["trainings"][-1]["number"]} == {diverged["number"]}
    repository.write("results/tiny/confirm.json", report)
    stage(repository)
    runs = {run.data.tags["trial_uid"]: run.data for run in confirm_runs(repository)}
    own = [t["uid"] for t in report["trainings"] if t["number"] == diverged["number"]]
    assert [runs[uid].params["units"] for uid in own] == [str(diverged["hyperparameters"]["units"])]
    assert run_command("audit") == 0


def test_the_stamp_holds_what_the_trainings_follow_from(repository):
    stage(repository)
    identity = repository.read("results/tiny/study.json")["identity"]
    assert repository.read(STAMP) == {"identity": identity, "top": 2, "seeds": 2}


def test_with_its_stamp_the_stage_trains_anew(repository):
    repository.write(STAMP, {})
    with pytest.raises(Trained):
        stage(repository)


@pytest.mark.parametrize(
    "change", [{"top": 1}, {"seeds": 1}, {"export": "best_seed"}, {"export": "auto"}]
)
def test_other_trainings_are_not_restored(repository, change):
    repository.document["confirm"] |= change
    repository.set()
    try:
        with pytest.raises(Trained):
            stage(repository)
    finally:
        repository.document["confirm"] |= {
            "top": 2,
            "seeds": 2,
            "export": "ensemble",
            "max_slowdown": 2.0,
        }


def test_more_epochs_are_not_restored(repository):
    report = repository.read("results/tiny/confirm.json")
    repository.write("results/tiny/confirm.json", {**report, "epochs": 3})
    with pytest.raises(Trained):
        stage(repository)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("results/tiny/study.json", {"identity": "ab" * 32}),
        ("results/tiny/confirm.json", {"code_sha256": "ab" * 32}),
        ("results/tiny/confirm.json", {"trainings": []}),
    ],
)
def test_what_belongs_to_another_study_or_code_is_not_restored(repository, file, change):
    repository.write(file, {**repository.read(file), **change})
    with pytest.raises(Trained):
        stage(repository)


def test_trials_of_the_same_numbers_and_other_hyperparameters_are_not_restored(repository):
    study = repository.read("results/tiny/study.json")
    for trial in study["trials"]:
        trial["hyperparameters"]["units"] += 1
    repository.write("results/tiny/study.json", study)
    with pytest.raises(Trained):
        stage(repository)


@pytest.mark.parametrize("content", [None, b"other weights"])
def test_a_model_that_is_not_the_one_told_of_is_trained_anew(repository, content):
    model = repository.folder / "models/tiny.keras"
    model.unlink() if content is None else model.write_bytes(content)
    with pytest.raises(Trained):
        stage(repository)


@pytest.mark.parametrize("content", [None, b"others"])
def test_without_the_winners_own_answers_it_is_trained_anew(repository, content):
    answers = confirmed_answers_file(repository.folder, "tiny")
    answers.unlink() if content is None else answers.write_bytes(content)
    with pytest.raises(Trained):
        stage(repository)


def test_a_report_of_an_earlier_release_is_trained_anew(repository):
    report = repository.read("results/tiny/confirm.json")
    del report["trainings"], report["code_sha256"]
    repository.write("results/tiny/confirm.json", report)
    with pytest.raises(Trained):
        stage(repository)


def test_the_first_time_the_stage_trains(repository):
    (repository.folder / "results/tiny/confirm.json").unlink()
    with pytest.raises(Trained):
        stage(repository)


@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.parametrize(
    ("unfreeze", "starts_from", "rule"),
    [
        (0, "block2", "auto"),
        (1, "block1", "ensemble"),
        (1, "block1", "best_seed"),
    ],
)
def test_the_exported_model_goes_on_from_the_cut_that_its_training_started_from(
    tmp_path, params_document, monkeypatch, unfreeze, starts_from, rule
):
    """Images to that cut by the untouched base, and from there by what was trained."""
    import numpy as np

    from pipeline.search.configurations import completed
    from pipeline.search.space import SearchSpace
    from pipeline.studies.exported import export_confirmed, judge_all
    from pipeline.training import devices
    from pipeline.training.export import load_exported, predict_probabilities
    from pipeline.training.messages import TrialSpec
    from pipeline.training.worker import run_trial
    from tests.bases.small_base import digits, rows, small_base, write_features

    # Only a fresh process can set TensorFlow's threads.
    monkeypatch.setattr(devices, "configure_tensorflow", lambda *, num_threads: None)
    # The metrics are of the whole part, of whose images the file is run on some.
    monkeypatch.setattr("pipeline.studies.exported.VERIFIED_IMAGES", 41)
    features = tmp_path / "features"
    features.mkdir()
    reference = write_features(features, small_base())
    told = {"cut": "block2", "unfreeze": unfreeze, "images_per_epoch": 1}
    values = {**params_document["defaults"], **told}
    spec = TrialSpec(
        uid="trial",
        hyperparameters=completed(
            {}, SearchSpace({}, {**values, "learning_rate": 0.003, "learning_rate_ratio": 0.5})
        ),
        seed=1,
        epochs=12,
        judge="confirmation",
    )
    specs = [replace(spec, uid=str(n), seed=n, model_file=f"{tmp_path}/{n}.keras") for n in (1, 2)]
    results = {one.uid: run_trial(one, reference, lambda _: False) for one in specs}
    assert starts_from in {result.starts_from for result in results.values()}
    write_split(split_record(), tmp_path / SPLIT_FILE)
    planned, objective = [Candidate(made_trial(4), tuple(specs))], OBJECTIVES["val_accuracy"]
    exported, metrics = export_confirmed(
        tmp_path,
        "mine",
        planned,
        results,
        data=reference,
        objective=objective,
        winner=0,
        params=ConfirmParams(top=1, seeds=2, export=rule, max_slowdown=2.0),
    )
    assert {one.number for one in exported.members} == {4}
    assert exported.verified["n"] == 41
    assert len(exported.members) <= {"auto": 2, "ensemble": 2, "best_seed": 1}[rule]
    # The two side by side, the ensemble's answers being those of the file.
    if len(exported.members) == 2:
        single, both = exported.compared
        assert (single.num_networks, both.num_networks) == (1, 2)
        assert single.num_parameters < both.num_parameters
        assert both.metrics["accuracy"] == pytest.approx(metrics["accuracy"], abs=0.01)
        assert "times the time for an image" in exported.reason
    images, labels = digits()
    part = rows()["confirmation"]
    probabilities = predict_probabilities(load_exported(tmp_path / exported.file), images[part])
    accuracy = float(np.mean(probabilities.argmax(axis=1) == labels[part]))
    assert accuracy == pytest.approx(metrics["accuracy"], abs=0.01)
    if rule == "best_seed":
        best = max(results.values(), key=lambda result: result.metrics["val_accuracy"])
        assert metrics["accuracy"] == best.metrics["confirmation_accuracy"]
        # Candidates are compared by the size of the whole file, the base below the cut included.
        twice = [*planned, replace(planned[0], trial=made_trial(5))]
        judged, _ = judge_all(twice, results, reference, objective)
        sizes = [best.num_parameters, load_exported(tmp_path / exported.file).count_params()]
        assert sizes[0] < sizes[1] <= judged.standing.num_parameters


def test_a_study_that_is_searched_is_not_confirmed(repository):
    with (
        study_lock(repository.folder, "digits-tiny"),
        pytest.raises(StudyError, match="is being worked on already"),
    ):
        stage(repository)


def test_a_run_of_the_search_that_was_lost_is_written_too(repository):
    stage(repository)
    stamp_file(repository.folder, "confirm", "tiny").unlink()
    store = open_store(repository.folder)

    def runs():
        found = store.search_runs(store.experiment("digits"), "tags.role = 'trial'")
        return sorted((run.data.tags["trial_uid"], run.info.run_id) for run in found)

    before = runs()
    store.client.delete_run(before[0][1])
    stage(repository)
    assert [uid for uid, _ in runs()] == [uid for uid, _ in before]


def test_a_run_that_was_cut_off_is_written_again(repository):
    stage(repository)
    client = open_store(repository.folder).client
    client.set_terminated(confirm_runs(repository)[0].info.run_id, "KILLED")
    stamp_file(repository.folder, "confirm", "tiny").unlink()
    stage(repository)
    finished = [run for run in confirm_runs(repository) if run.info.status == "FINISHED"]
    assert len({run.data.tags["trial_uid"] for run in finished}) == 4


def test_a_stage_that_is_cut_off_leaves_no_stamp(repository):
    (repository.folder / "results/tiny/confirm.json").unlink()
    with pytest.raises(Trained):
        stage(repository)
    assert not stamp_file(repository.folder, "confirm", "tiny").exists()


def test_trials_that_an_interrupted_search_added_keep_their_runs(repository):
    study = repository.study()
    repository.train(study)
    assert len(study.trials) > len(repository.read("results/tiny/study.json")["trials"])
    assert run_command("audit", "--repair") == 0
    stage(repository)
    assert run_command("audit") == 0


class TestExportTime:
    """What the export takes is kept free: the clock's end is that of the stage."""

    @pytest.fixture
    def left(self, tmp_path, params_document, monkeypatch):
        monkeypatch.chdir(tmp_path)
        made = Repository(tmp_path, params_document)
        made.document["studies"]["tiny"]["base"] = "auto"

        def left(budget, seconds_per_image=None):
            made.document["budget"] = budget
            made.set()
            chosen = {"chosen": {"seconds_per_image": seconds_per_image}}
            explained = {} if seconds_per_image is None else {"auto": chosen}
            made.write("results/plan.json", {"explained": explained})
            (tmp_path / "mlruns/clock.json").unlink(missing_ok=True)
            with confirming("tiny", identity="a", root=tmp_path) as ends:
                return ends - time.time()

        return left

    def test_the_model_answers_for_images_of_the_confirmation_part(self, left, monkeypatch):
        num_images = split_record().counts["confirmation"].images
        assert left("10h", 0.0) - left("10h", 2.0) == pytest.approx(2 * num_images, abs=2.0)
        # Of a large part for some.
        monkeypatch.setattr("pipeline.studies.timing.VERIFIED_IMAGES", num_images // 2)
        expected = 2 * (num_images // 2)
        assert left("10h", 0.0) - left("10h", 2.0) == pytest.approx(expected, abs=2.0)

    def test_without_a_plan_a_share_of_the_time_is_kept(self, left):
        of_stage = left("100h", 0.0) + 30
        assert left("100h") == pytest.approx(0.85 * of_stage, rel=0.01)

    def test_half_of_the_time_is_for_trainings_in_any_case(self, left):
        # All that there is at least: three percent of the budget.
        assert left("10m", 1000.0) == pytest.approx(left("10m", 2000.0), abs=2.0)
        assert left("10m", 1000.0) > 8
