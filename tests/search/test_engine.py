"""The driver keeps the budget exact, the study true and every attempt accounted for.

Trainings are doubles; processes, pipes and the study's store are real.
"""

import signal
import time
from dataclasses import replace

import optuna
import psutil
import pytest

from pipeline import processes as interrupts
from pipeline.errors import StudyError
from pipeline.records.storage import open_storage
from pipeline.records.studies import open_study
from pipeline.search import proposals
from pipeline.search.budget import Deadline
from pipeline.search.distributions import Choice, FloatRange
from pipeline.search.engine import Engine
from pipeline.search.executors.base import EpochDone
from pipeline.search.executors.local import LocalExecutor
from pipeline.search.forecast import Forecast
from pipeline.search.progress import Progress
from pipeline.search.queue import retire
from pipeline.search.rungs import Ladder
from pipeline.search.space import SearchSpace
from pipeline.training.data import DataReference
from testing.search import search_params
from tests.search.training_double import train

STATES = {"COMPLETE", "PRUNED", "FAIL"}


class RecordingRecorder:
    """Keeps what it was told, in order, by trial."""

    def __init__(self):
        self.calls = {}

    def start_trial(self, uid, **told):
        self.calls.setdefault(uid, []).append(("start", told))

    def log_epoch(self, uid, record, *, at_ms):
        self.calls[uid].append(("epoch", record.epoch))

    def end_trial(self, uid, state, **told):
        self.calls[uid].append(("end", state))


@pytest.fixture(autouse=True)
def table(monkeypatch):
    """A table of hyperparameters that the double understands."""
    from pipeline.search import space
    from pipeline.training import hyperparameters

    entry = hyperparameters.Hyperparameter
    names = {
        "top": entry(kind="float", help="value after the last epoch"),
        "behaviour": entry(kind="name", help="what goes wrong"),
        "epoch_seconds": entry(kind="float", help="time of an epoch"),
        "unfreeze": entry(kind="int", help="whether there is a phase 2"),
    }
    monkeypatch.setattr(space, "HYPERPARAMETERS", names)


class Search:
    """Runs searches of one study, and returns it with what was recorded.

    Attributes:
        missing: What the last search said is missing.
        interrupt_after: Number of finished trials after which Ctrl-C is pressed in mid-epoch.
    """

    def __init__(self, folder):
        self._folder = folder
        self.missing = None
        self.interrupt_after = None

    def __call__(
        self, target=4, behaviour="well", workers=2, pruner=None, limit_seconds=None, **changes
    ):
        study = open_study(
            open_storage(self._folder),
            retire=retire,
            name="digits-mine",
            identity="a" * 64,
            direction="maximize",
        )
        study.pruner = pruner or optuna.pruners.NopPruner()
        recorder = RecordingRecorder()
        seconds = changes.pop("epoch_seconds", 0.0)
        defaults = {"behaviour": behaviour, "epoch_seconds": seconds, "unfreeze": 0}
        settings = changes.pop("space", {"top": FloatRange(type="float", low=0.0, high=1.0)})
        if isinstance(behaviour, list):
            settings["behaviour"] = Choice(type="choice", choices=behaviour)
        told = {"seed": 1, "sampler": "random", "max_retries": 2, "max_failures": 3, **changes}
        params = search_params(trials=target, epochs=3, **told)
        with LocalExecutor(workers, train=train) as executor:
            driver = Engine(
                study,
                SearchSpace(settings, defaults),
                params,
                limit_seconds=limit_seconds,
                executor=executor,
                recorder=recorder,
                data=DataReference(
                    features=str(self._folder), train_file=str(self._folder / "log")
                ),
                progress=Progress(
                    None if target == "auto" else target,
                    direction="maximize",
                    num_rungs=params.num_rungs,
                ),
            )
            if self.interrupt_after is not None:
                self._press_ctrl_c(driver, study)
            self.missing = driver.run()
        return study, recorder

    def _press_ctrl_c(self, driver, study):
        original = driver._on_epoch

        def interrupt(uid, record):
            original(uid, record)
            if states(study).count("COMPLETE") >= self.interrupt_after and record.epoch == 1:
                raise KeyboardInterrupt

        driver._on_epoch = interrupt


@pytest.fixture
def search(tmp_path):
    return Search(tmp_path)


def states(study):
    return [trial.state.name for trial in study.trials]


def test_a_search_ends_with_exactly_its_target(search):
    study, _ = search(target=5)
    assert states(study) == ["COMPLETE"] * 5


def test_a_search_that_has_its_target_does_nothing(search):
    search(target=3)
    study, recorder = search(target=3)
    assert len(study.trials) == 3
    assert recorder.calls == {}


def test_raising_the_target_runs_exactly_the_difference(search):
    search(target=3)
    study, recorder = search(target=5)
    assert len(study.trials) == 5
    assert len(recorder.calls) == 2


def test_the_value_of_a_trial_is_its_best_epochs(search):
    study, _ = search(target=1)
    trial = study.trials[0]
    assert trial.value == pytest.approx(trial.params["top"])
    assert list(trial.intermediate_values) == [0, 1, 2]


def test_every_epoch_is_recorded_with_its_metrics_and_time(search):
    study, recorder = search(target=1)
    (calls,) = recorder.calls.values()
    assert [name for name, _ in calls] == ["start", "epoch", "epoch", "epoch", "end"]
    epochs = study.trials[0].user_attrs["epochs"]
    assert [entry["epoch"] for entry in epochs] == [0, 1, 2]
    assert set(epochs[0]["metrics"]) == {"val_accuracy", "loss"}


def test_an_epoch_is_in_the_study_before_it_is_recorded(search, tmp_path, monkeypatch):
    found = []

    def log_epoch(self, uid, record, *, at_ms):
        study = optuna.load_study(study_name="digits-mine", storage=open_storage(tmp_path))
        (trial,) = study.trials
        told = {"epoch": record.epoch, "metrics": record.metrics, "at_ms": at_ms}
        found.append((trial.state.name, trial.user_attrs["epochs"][record.epoch :] == [told]))

    monkeypatch.setattr(RecordingRecorder, "log_epoch", log_epoch)
    search(target=1)
    assert found == [("RUNNING", True)] * 3


def test_a_pruned_trial_is_pruned_in_the_study_and_in_the_record(search):
    pruner = optuna.pruners.ThresholdPruner(lower=2.0)
    study, recorder = search(target=3, pruner=pruner)
    assert states(study) == ["PRUNED"] * 3
    assert {calls[-1] for calls in recorder.calls.values()} == {("end", "PRUNED")}
    assert study.trials[0].user_attrs["outcome"] == "pruned"


@pytest.mark.parametrize(
    ("unfreeze", "min_epochs", "state", "num_epochs"),
    [(0, 1, "PRUNED", 1), (1, 1, "PRUNED", 2), (1, 2, "COMPLETE", 3)],
)
def test_a_trial_of_two_phases_is_judged_in_the_second(
    search, unfreeze, min_epochs, state, num_epochs
):
    space = {
        "top": FloatRange(type="float", low=0.0, high=1.0),
    }
    space["unfreeze"] = Choice(type="choice", choices=[unfreeze])
    pruner = optuna.pruners.ThresholdPruner(lower=2.0)
    study, _ = search(target=1, pruner=pruner, space=space, min_epochs=min_epochs)
    assert states(study) == [state]
    assert len(study.trials[0].intermediate_values) == num_epochs


def test_a_diverged_trial_counts_as_pruned_and_says_so(search):
    study, _ = search(target=2, behaviour="diverge")
    assert states(study) == ["PRUNED"] * 2
    assert study.trials[0].user_attrs["outcome"] == "diverged"


def test_a_killed_worker_costs_one_attempt_and_its_hyperparameters_are_tried_again(search):
    study, recorder = search(target=3, behaviour="die_once", workers=1)
    assert sorted(states(study)) == ["COMPLETE", "COMPLETE", "COMPLETE", "FAIL"]
    failed = study.trials[0]
    (retry,) = [trial for trial in study.trials if trial.user_attrs.get("retry_of") == 0]
    assert retry.params == failed.params
    assert retry.user_attrs["seed"] == failed.user_attrs["seed"]
    assert retry.user_attrs["attempt"] == 1
    assert len(recorder.calls) == 4


def test_a_configuration_that_always_kills_its_worker_ends_the_search(search, tmp_path):
    with pytest.raises(StudyError, match="3 trials failed in a row, all with: its worker"):
        search(target=3, behaviour="die", workers=1)
    study = optuna.load_study(study_name="digits-mine", storage=open_storage(tmp_path))
    assert set(states(study)) <= STATES
    assert [trial.user_attrs.get("retry_of") for trial in study.trials] == [None, 0, 1]


def test_an_error_in_training_is_kept_with_its_traceback_and_not_retried(search, tmp_path):
    with pytest.raises(StudyError, match="RuntimeError: the weights are on fire"):
        search(target=3, behaviour="raise", workers=1)
    study = optuna.load_study(study_name="digits-mine", storage=open_storage(tmp_path))
    assert states(study) == ["FAIL"] * 3
    assert "training_double.py" in study.trials[0].user_attrs["traceback"]


def test_single_failures_between_good_trials_do_not_end_the_search(search):
    study, _ = search(target=6, behaviour=["well", "infeasible"], workers=1, max_failures=20)
    assert states(study).count("COMPLETE") == 6
    assert "FAIL" in states(study)


def test_an_interrupted_search_closes_its_trials_and_tries_them_again(search, monkeypatch):
    original = Engine._on_epoch

    def interrupt(self, uid, record):
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "_on_epoch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        search(target=4)
    monkeypatch.setattr(Engine, "_on_epoch", original)
    study, _ = search(target=4)
    assert "RUNNING" not in states(study)
    assert states(study).count("COMPLETE") == 4
    failed = [trial for trial in study.trials if trial.state.name == "FAIL"]
    again = [trial for trial in study.trials if "retry_of" in trial.user_attrs]
    assert [trial.params for trial in again] == [trial.params for trial in failed]


def test_one_worker_and_a_seed_give_the_same_trials_also_when_resumed(search, tmp_path):
    study, _ = search(target=6, workers=1, sampler="tpe")
    straight = [trial.params for trial in study.trials]
    optuna.delete_study(study_name="digits-mine", storage=open_storage(tmp_path))
    for target in (2, 5, 6):
        study, _ = search(target=target, workers=1, sampler="tpe")
    assert len(straight) == 6
    assert [trial.params for trial in study.trials][:2] == straight[:2]


def test_a_configuration_that_was_tried_is_not_trained_again(search, tmp_path):
    space = {"top": Choice(type="choice", choices=[0.25, 0.75])}
    study, recorder = search(target=8, space=space)
    trained = (tmp_path / "log").read_text().count("start")
    copies = [trial for trial in study.trials if "duplicate_of" in trial.user_attrs]
    assert states(study) == ["COMPLETE"] * 8
    assert trained + len(copies) == 8
    assert trained <= 4  # Two workers may begin with the same one each.
    for copy in copies:
        original = study.trials[copy.user_attrs["duplicate_of"]]
        assert copy.params == original.params
        assert copy.value == original.value
        assert copy.user_attrs["seed"] == original.user_attrs["seed"]
        assert copy.intermediate_values == original.intermediate_values
        assert recorder.calls[copy.user_attrs["trial_uid"]][-1] == ("end", "COMPLETE")


def test_the_progress_knows_what_was_not_trained(search, monkeypatch):
    told, original = [], Progress.trial_ended

    def trial_ended(self, *arguments, is_copy, **settings):
        told.append(is_copy)
        original(self, *arguments, is_copy=is_copy, **settings)

    monkeypatch.setattr(Progress, "trial_ended", trial_ended)
    study, _ = search(target=3, workers=1, space={"top": Choice(type="choice", choices=[0.5])})
    assert told == ["duplicate_of" in trial.user_attrs for trial in study.trials]
    assert told.count(True) > 0


def test_a_result_of_other_code_is_not_reused(search, tmp_path, monkeypatch):
    space = {"top": Choice(type="choice", choices=[0.25])}
    for target, code in ((2, "ab" * 32), (4, "cd" * 32)):
        monkeypatch.setattr(proposals, "training_code", lambda code=code: code)
        study, recorder = search(target=target, space=space, workers=1)
    attrs = [trial.user_attrs for trial in study.trials]
    assert [one["code_sha256"][:2] for one in attrs] == ["ab", "ab", "cd", "cd"]
    assert [one.get("duplicate_of") for one in attrs] == [None, 0, None, 2]
    assert (tmp_path / "log").read_text().count("start") == 2
    ((_, told), *_) = recorder.calls[attrs[3]["trial_uid"]]
    assert told["tags"]["code_sha256"] == "cd" * 32


def test_a_copy_of_a_pruned_trial_is_pruned(search):
    space = {"top": Choice(type="choice", choices=[0.25])}
    pruner = optuna.pruners.ThresholdPruner(lower=2.0)
    study, _ = search(target=3, space=space, workers=1, pruner=pruner)
    assert states(study) == ["PRUNED"] * 3
    assert [trial.user_attrs.get("duplicate_of") for trial in study.trials] == [None, 0, 0]


def test_replicates_are_trained_with_seeds_of_their_own(search, tmp_path):
    space = {"top": Choice(type="choice", choices=[0.25])}
    study, _ = search(target=3, space=space, duplicates="replicate")
    assert (tmp_path / "log").read_text().count("start") == 3
    assert len({trial.user_attrs["seed"] for trial in study.trials}) == 3


@pytest.mark.alone
def test_a_search_whose_time_is_up_says_what_is_missing_and_can_be_continued(search):
    start = time.monotonic()
    study, _ = search(target=50, epoch_seconds=0.4, limit_seconds=4.0)
    assert time.monotonic() - start < 4.0 + 0.4 + 10.0
    finished = states(study).count("COMPLETE")
    assert 0 < finished < 50
    assert search.missing == 50 - finished
    cut = [trial for trial in study.trials if trial.state.name == "FAIL"]
    assert {trial.user_attrs["reason"] for trial in cut} <= {"the search's time was up"}
    study, _ = search(target=finished + 2, epoch_seconds=0.0)
    assert states(study).count("COMPLETE") == finished + 2


@pytest.mark.alone
def test_a_hanging_trial_does_not_outlast_the_time(search):
    start = time.monotonic()
    study, _ = search(target=2, behaviour="hang", limit_seconds=2.0)
    assert time.monotonic() - start < 2.0 + 3.0 + 20.0
    assert states(study)[:2] == ["FAIL", "FAIL"]
    assert "RUNNING" not in states(study)
    assert search.missing == 2


def test_an_interrupted_search_gives_the_same_trials_as_a_straight_one(search, tmp_path):
    def configurations(study):
        done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
        done.sort(key=lambda trial: trial.user_attrs["index"])
        return [(trial.params, trial.user_attrs["seed"], trial.value) for trial in done]

    study, _ = search(target=8, workers=1, sampler="tpe")
    straight = configurations(study)
    optuna.delete_study(study_name="digits-mine", storage=open_storage(tmp_path))
    for target in (3, 6):
        search.interrupt_after = target
        with pytest.raises(KeyboardInterrupt):
            search(target=8, workers=1, sampler="tpe")
    search.interrupt_after = None
    study, _ = search(target=8, workers=1, sampler="tpe")
    assert states(study).count("FAIL") == 2
    assert configurations(study) == straight


def test_a_long_search_leaves_no_file_open_and_no_process_behind(search):
    this = psutil.Process()
    # Servers that other tests share stay.
    before = this.children(recursive=True)
    search(target=4)
    files = this.num_fds()
    search(target=40)
    # The second search has a connection of its own to the store.
    assert this.num_fds() - files <= 4
    # Python keeps one process to tidy up, and one that workers are forks of.
    new = set(this.children(recursive=True)) - set(before) - set(this.children())
    assert new == set()


def test_two_workers_train_at_the_same_time(search, tmp_path):
    search(target=4, workers=2, epoch_seconds=0.3)
    log = (tmp_path / "log").read_text().split()[::3]
    assert ["start", "start"] in [log[at : at + 2] for at in range(len(log))]


def test_a_lost_machine_costs_its_trials_no_attempt(search, monkeypatch):
    original = LocalExecutor._bury

    def with_machine(self, worker, reason):
        return [replace(event, with_machine=True) for event in original(self, worker, reason)]

    monkeypatch.setattr(LocalExecutor, "_bury", with_machine)
    study, _ = search(target=2, behaviour="die_once", workers=1, max_retries=0)
    assert states(study) == ["FAIL", "COMPLETE", "COMPLETE"]
    assert study.trials[1].params == study.trials[0].params
    assert study.trials[1].user_attrs["attempt"] == 0


@pytest.fixture
def ended(search, tmp_path, monkeypatch):
    """What the record is told of each trial's end, with the state that the study has by then."""
    found = []

    def end_trial(self, uid, state, **told):
        study = optuna.load_study(study_name="digits-mine", storage=open_storage(tmp_path))
        (trial,) = [one for one in study.trials if one.user_attrs.get("trial_uid") == uid]
        found.append({"told": trial.state.name, "state": state, **told})

    monkeypatch.setattr(RecordingRecorder, "end_trial", end_trial)
    return found


def queue(folder, *configurations):
    """Puts configurations into the queue of the study that a search will open."""
    study = open_study(
        open_storage(folder),
        retire=retire,
        name="digits-mine",
        identity="a" * 64,
        direction="maximize",
    )
    for configuration in configurations:
        study.enqueue_trial(configuration)


def test_the_study_is_told_before_the_record(search, ended):
    search(target=3, behaviour=["well", "diverge", "infeasible"], workers=1, max_failures=20)
    assert len(ended) >= 3
    assert all(end["told"] == end["state"] for end in ended)


def test_trials_that_were_pruned_by_an_earlier_search_count(search):
    search(target=3, pruner=optuna.pruners.ThresholdPruner(lower=2.0))
    study, recorder = search(target=4)
    assert states(study) == ["PRUNED"] * 3 + ["COMPLETE"]
    assert len(recorder.calls) == 1


def test_a_good_trial_ends_a_row_of_failures(search, tmp_path):
    kinds = ["infeasible", "well"] * 3
    queue(tmp_path, *({"top": n / 10, "behaviour": kind} for n, kind in enumerate(kinds)))
    study, _ = search(target=3, behaviour=["well", "infeasible"], workers=1, max_failures=2)
    assert states(study) == ["FAIL", "COMPLETE"] * 3


def test_the_record_gets_the_traceback_of_each_error_and_none_is_a_retry(search, ended, tmp_path):
    with pytest.raises(StudyError):
        search(target=3, behaviour="raise", workers=1)
    assert all("training_double.py" in end["traceback"] for end in ended)
    study = optuna.load_study(study_name="digits-mine", storage=open_storage(tmp_path))
    assert not any("retry_of" in trial.user_attrs for trial in study.trials)


def test_a_lost_machine_is_no_failure_of_its_trials(search, monkeypatch):
    original = LocalExecutor._bury

    def with_machine(self, worker, reason):
        return [replace(event, with_machine=True) for event in original(self, worker, reason)]

    monkeypatch.setattr(LocalExecutor, "_bury", with_machine)
    study, _ = search(target=1, behaviour="die_once", workers=1, max_failures=1)
    assert states(study) == ["FAIL", "COMPLETE"]


def test_a_long_reason_fits_into_a_tag(search, ended, monkeypatch):
    original = LocalExecutor._bury

    def long(self, worker, reason):
        return [replace(event, reason="x" * 9000) for event in original(self, worker, reason)]

    monkeypatch.setattr(LocalExecutor, "_bury", long)
    search(target=1, behaviour="die_once", workers=1)
    # MLflow takes no longer value of a tag.
    assert len(ended[0]["tags"]["reason"]) == 5000


def test_what_is_pruned_in_its_last_epoch_is_complete(search):
    space = {"top": FloatRange(type="float", low=0.9, high=1.0)}
    study, _ = search(target=2, space=space, pruner=optuna.pruners.ThresholdPruner(upper=0.8))
    assert states(study) == ["COMPLETE"] * 2


class Asked(optuna.pruners.BasePruner):
    """Prunes nothing, and notes the epoch that it was asked about."""

    def __init__(self):
        self.epochs = []

    def prune(self, study, trial):
        self.epochs.append(trial.last_step)
        return False


def test_an_epoch_that_gives_nan_is_neither_reported_nor_judged(search):
    pruner = Asked()
    study, recorder = search(target=1, behaviour="nan_epoch", pruner=pruner)
    trial = study.trials[0]
    assert list(trial.intermediate_values) == [1, 2]
    assert [sorted(epoch["metrics"]) for epoch in trial.user_attrs["epochs"]] == [
        *(["loss"], ["loss", "val_accuracy"], ["loss", "val_accuracy"]),
    ]
    assert pruner.epochs == [1]
    assert [name for name, _ in next(iter(recorder.calls.values()))].count("epoch") == 3


def test_a_training_that_gives_no_value_counts_as_pruned(search):
    study, _ = search(target=2, behaviour="nan_result", workers=1)
    assert states(study) == ["PRUNED"] * 2
    assert "val_accuracy" not in study.trials[0].user_attrs["metrics"]


def test_an_event_of_a_trial_that_has_ended_changes_nothing(search, monkeypatch):
    original = LocalExecutor.wait

    def wait(self, timeout_seconds):
        events = original(self, timeout_seconds)
        return events + [event for event in events if not isinstance(event, EpochDone)]

    monkeypatch.setattr(LocalExecutor, "wait", wait)
    study, recorder = search(target=2, workers=1)
    assert states(study) == ["COMPLETE"] * 2
    assert [calls[-1] for calls in recorder.calls.values()] == [("end", "COMPLETE")] * 2


def test_a_search_interrupted_after_telling_leaves_the_trial_as_it_was_told(search, monkeypatch):
    original = optuna.Study.tell

    def tell(self, *args, **kwargs):
        original(self, *args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(optuna.Study, "tell", tell)
    with pytest.raises(KeyboardInterrupt):
        search(target=3, workers=1)
    monkeypatch.setattr(optuna.Study, "tell", original)
    study, _ = search(target=3, workers=1)
    assert states(study) == ["COMPLETE"] * 3


def test_a_trial_that_was_cut_off_keeps_its_epochs(search):
    search.interrupt_after = 0
    with pytest.raises(KeyboardInterrupt):
        search(target=1, workers=1)
    search.interrupt_after = None
    study, _ = search(target=1, workers=1)
    failed = study.trials[0]
    assert failed.state.name == "FAIL"
    assert [epoch["epoch"] for epoch in failed.user_attrs["epochs"]] == [0, 1]


def test_attempts_of_two_studies_have_different_names(search):
    study, recorder = search(target=1)
    assert list(recorder.calls) == [study.user_attrs["study_uid"][:12] + "-0000"]


class OverInEpoch(Deadline):
    """Is over as soon as an epoch of this number has ended, with time for the trial to stop."""

    epoch = 0

    def epoch_ended(self, uid, epoch):
        super().epoch_ended(uid, epoch)
        self._is_over = epoch >= self.epoch

    @property
    def is_over(self):
        return getattr(self, "_is_over", False)

    def has_room(self):
        return not self.is_over


def at_the_limit(monkeypatch, epoch):
    monkeypatch.setattr(OverInEpoch, "epoch", epoch)
    monkeypatch.setattr("pipeline.search.engine.Deadline", OverInEpoch)


def test_a_trial_whose_last_epoch_ends_after_the_limit_counts(search, monkeypatch):
    at_the_limit(monkeypatch, 2)
    study, _ = search(target=2, workers=1)
    assert states(study) == ["COMPLETE"]
    assert search.missing == 1


def test_a_trial_that_is_pruned_after_the_limit_counts(search, monkeypatch):
    at_the_limit(monkeypatch, 0)
    study, _ = search(target=2, workers=1, pruner=optuna.pruners.ThresholdPruner(lower=2.0))
    assert states(study) == ["PRUNED"]


def test_a_trial_that_is_cut_off_does_not_count(search, monkeypatch):
    at_the_limit(monkeypatch, 1)
    study, _ = search(target=2, workers=1)
    assert states(study) == ["FAIL", "WAITING"]
    assert search.missing == 2


def test_a_signal_whose_exception_got_lost_ends_the_search_all_the_same(search, monkeypatch):
    original = Engine._on_epoch
    monkeypatch.setattr(interrupts, "_received", [])

    def lost(self, uid, record):
        original(self, uid, record)
        interrupts._received.append(signal.SIGTERM)

    monkeypatch.setattr(Engine, "_on_epoch", lost)
    with pytest.raises(SystemExit) as ended:
        search(target=50, workers=1, epoch_seconds=0.1)
    assert ended.value.code == 143
    monkeypatch.setattr(Engine, "_on_epoch", original)
    interrupts._received.clear()
    study, _ = search(target=1, workers=1)
    assert states(study)[0] == "FAIL"
    assert "RUNNING" not in states(study)


def on_rung(study, rung):
    done = [t for t in study.trials if t.state.name in ("COMPLETE", "PRUNED")]
    return [trial for trial in done if trial.user_attrs["rung"] == rung]


def test_the_best_third_goes_on_to_each_rung(search):
    study, recorder = search(target=9, rungs=3)
    counts = [len(on_rung(study, rung)) for rung in range(3)]
    assert counts == [9, 3, 1]
    assert len(study.trials) == 13
    (last,) = on_rung(study, 2)
    assert last.user_attrs["share"] == 1.0
    assert recorder.calls[last.user_attrs["trial_uid"]][0][1]["tags"]["rung"] == "2"


def test_what_goes_on_is_the_same_configuration_with_the_same_seed(search):
    study, _ = search(target=9, rungs=2)
    for trial in on_rung(study, 1):
        former = study.trials[trial.user_attrs["promoted_from"]]
        assert trial.params == former.params
        for name in ("index", "seed", "hyperparameters"):
            assert trial.user_attrs[name] == former.user_attrs[name]


def test_a_study_with_rungs_that_has_its_target_does_nothing(search):
    search(target=6, rungs=2)
    study, recorder = search(target=6, rungs=2)
    assert len(study.trials) == 8
    assert recorder.calls == {}


def test_raising_the_target_of_a_study_with_rungs_runs_the_difference(search):
    search(target=6, rungs=2)
    study, _ = search(target=9, rungs=2)
    assert [len(on_rung(study, rung)) for rung in range(2)] == [9, 3]


def test_what_is_lost_on_a_higher_rung_goes_on_again(search, monkeypatch):
    original, lost = LocalExecutor.submit, []

    def submit(self, spec, data):
        if spec.share == 1.0 and not lost:
            lost.append(spec.uid)
            spec = replace(spec, hyperparameters={**spec.hyperparameters, "behaviour": "die"})
        original(self, spec, data)

    monkeypatch.setattr(LocalExecutor, "submit", submit)
    study, _ = search(target=3, rungs=2, workers=1)
    assert states(study) == ["COMPLETE"] * 3 + ["FAIL", "COMPLETE"]
    failed, again = study.trials[3:]
    assert again.params == failed.params
    assert again.user_attrs["retry_of"] == 3
    assert again.user_attrs["attempt"] == 1
    assert again.user_attrs["promoted_from"] == failed.user_attrs["promoted_from"]


def test_a_search_with_rungs_that_was_interrupted_comes_to_the_same(search, tmp_path):
    def trained(study):
        done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
        told = [(t.user_attrs["rung"], t.user_attrs["index"], t.params, t.value) for t in done]
        return sorted(told, key=lambda one: one[:2])

    study, _ = search(target=9, rungs=3, workers=1, sampler="tpe")
    straight = trained(study)
    optuna.delete_study(study_name="digits-mine", storage=open_storage(tmp_path))
    for after in (2, 5, 9, 11):
        search.interrupt_after = after
        with pytest.raises(KeyboardInterrupt):
            search(target=9, rungs=3, workers=1, sampler="tpe")
    search.interrupt_after = None
    study, _ = search(target=9, rungs=3, workers=1, sampler="tpe")
    assert states(study).count("FAIL") == 4
    assert trained(study) == straight


def test_a_search_without_a_target_ends_where_its_space_is_exhausted(search):
    space = {"top": Choice(type="choice", choices=[0.25, 0.75])}
    study, _ = search(target="auto", space=space, limit_seconds=60.0)
    assert {trial.params["top"] for trial in study.trials} == {0.25, 0.75}
    assert len(study.trials) < 40


@pytest.mark.alone
def test_a_search_without_a_target_takes_the_time_it_is_given(search, tmp_path):
    # A machine that stalls in the last second cuts off a training; not in each of three searches.
    for _ in range(3):
        start = time.monotonic()
        study, _ = search(target="auto", rungs=3, epoch_seconds=0.05, limit_seconds=10.0)
        assert 7.5 < time.monotonic() - start < 14.0
        counts = [len(on_rung(study, rung)) for rung in range(3)]
        assert counts[0] > 2 * counts[1] > 0
        assert counts[2] > 0
        if "FAIL" not in states(study):
            break
        optuna.delete_study(study_name="digits-mine", storage=open_storage(tmp_path))
    else:
        pytest.fail("Each time a training was begun that did not end in time.")


def test_while_there_is_time_more_than_a_third_goes_on(search, monkeypatch):
    # There is time for three configurations, whatever they take; a third of them is one.
    monkeypatch.setattr(
        Forecast, "num_more", lambda self, trainings, **_: 3 - self.num_there(0, trainings)
    )
    study, _ = search(target="auto", rungs=2, limit_seconds=60.0)
    assert [len(on_rung(study, rung)) for rung in range(2)] == [3, 3]


def test_a_target_is_kept_to_the_third(search):
    study, _ = search(target=6, rungs=2, limit_seconds=60.0)
    assert [len(on_rung(study, rung)) for rung in range(2)] == [6, 2]


@pytest.mark.parametrize(("target", "is_exact"), [(4, True), ("auto", False)])
def test_thirds_are_exact_where_a_number_was_asked_for(search, monkeypatch, target, is_exact):
    told, original = set(), Ladder.promotions

    def promotions(self, trainings, **settings):
        told.add(settings.get("is_exact", True))
        return original(self, trainings, **settings)

    monkeypatch.setattr(Ladder, "promotions", promotions)
    monkeypatch.setattr(
        Forecast, "num_more", lambda self, trainings, **_: 3 - self.num_there(0, trainings)
    )
    search(target=target, rungs=2, limit_seconds=60.0 if target == "auto" else None)
    assert told == {is_exact}


def test_a_search_that_is_late_does_less_and_never_nothing(search):
    study, _ = search(target="auto", rungs=3, epoch_seconds=0.3, limit_seconds=0.01)
    assert states(study).count("COMPLETE") == 1
    assert len(study.trials) <= 2


def test_what_the_clock_cuts_off_has_not_failed(search, monkeypatch):
    ended, original = [], Progress.trial_ended

    def noted(self, state, value, **told):
        ended.append(state)
        original(self, state, value, **told)

    monkeypatch.setattr(Progress, "trial_ended", noted)
    search(target=2, behaviour="hang", limit_seconds=0.5)
    assert set(ended) == {"CUT OFF"}
    with pytest.raises(StudyError):
        search(behaviour="raise", max_failures=1)
    assert set(ended) == {"CUT OFF", "FAIL"}


def test_a_late_search_of_a_new_space_tries_one_though_others_were_taken_over(search):
    study, _ = search(target=1)
    taken = optuna.trial.create_trial(
        value=0.5,
        params={"top": 0.5},
        distributions=study.trials[0].distributions,
        user_attrs={**study.trials[0].user_attrs, "taken_over_from": "digits-mine-1#0"},
    )
    name, storage, told = study.study_name, study._storage, study.user_attrs
    optuna.delete_study(study_name=name, storage=storage)
    study = optuna.create_study(study_name=name, storage=storage, direction="maximize")
    for key, value in told.items():
        study.set_user_attr(key, value)
    study.add_trial(taken)
    study, _ = search(target="auto", rungs=3, limit_seconds=0.01)
    num_trials = len(study.trials)
    assert num_trials > 1
    assert "taken_over_from" in study.trials[0].user_attrs
    study, _ = search(target="auto", rungs=3, limit_seconds=0.01)
    assert len(study.trials) == num_trials


def test_when_what_trains_the_base_has_had_its_time_the_base_stays_as_it_is(search, monkeypatch):
    monkeypatch.setattr(Forecast, "fine_tuned_enough", lambda self, trainings: len(trainings) >= 3)
    space = {
        "top": FloatRange(type="float", low=0.0, high=1.0),
        "unfreeze": Choice(type="choice", choices=[0, 1]),
    }
    study, _ = search(target="auto", space=space, limit_seconds=4.0, epoch_seconds=0.02, workers=1)
    drawn = [trial for trial in study.trials if trial.state.name != "WAITING"]
    tuned = [trial.user_attrs["hyperparameters"]["unfreeze"] for trial in drawn]
    assert len(tuned) > 6
    assert any(tuned[:3])
    assert not any(tuned[3:])


def test_where_no_more_is_left_of_what_trains_no_layer_of_the_base_the_rest_goes_on(
    search, monkeypatch
):
    """Of that there is one configuration: all further ones would be copies of it."""
    monkeypatch.setattr(Forecast, "fine_tuned_enough", lambda self, trainings: True)
    space = {
        "top": Choice(type="choice", choices=[0.5]),
        "unfreeze": Choice(type="choice", choices=[0, 1]),
        "learning_rate_ratio": FloatRange(type="float", low=0.1, high=1.0),
    }
    study, _ = search(target="auto", space=space, limit_seconds=2.0, epoch_seconds=0.05, workers=1)
    assert any(trial.user_attrs["hyperparameters"]["unfreeze"] for trial in study.trials)


def test_a_search_in_which_all_diverges_ends_after_its_time(search):
    study, _ = search(target="auto", behaviour="diverge", limit_seconds=0.01)
    assert states(study) == ["PRUNED"] * 3


def test_a_study_that_was_searched_without_rungs_goes_on_with_them(search):
    search(target=12)
    study, _ = search(target="auto", rungs=3, epoch_seconds=0.02, limit_seconds=4.0)
    assert sum(trial.user_attrs.get("rung") == 0 for trial in study.trials) >= 3


def test_what_must_train_the_base_does_so_in_a_timed_search(search):
    space = {
        "top": FloatRange(type="float", low=0.0, high=1.0),
        "unfreeze": Choice(type="choice", choices=[1, 2]),
    }
    study, _ = search(target="auto", space=space, limit_seconds=3.0, epoch_seconds=0.05)
    assert {t.user_attrs["hyperparameters"]["unfreeze"] for t in study.trials} <= {1, 2}
    assert len(study.trials) > 2
