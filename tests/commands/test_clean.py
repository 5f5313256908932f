"""What old studies hold is shown with its size, and removed only when told to; nothing else is."""

import os
import shutil
import sqlite3
from contextlib import closing

import optuna
import pytest

from pipeline.database_addresses import AUTO
from pipeline.errors import StudyError
from pipeline.records.lock import study_lock
from pipeline.records.mirror.runs import StudyRuns
from pipeline.records.mirror.store import mirror_uid, open_store
from pipeline.records.storage import open_storage
from pipeline.records.studies import trial_dicts
from pipeline.studies.described import describe
from testing.tracking_server import TrackingServer
from tests.commands.repository import Repository, run


@pytest.fixture(scope="module")
def template(tmp_path_factory, params_document):
    """A repository whose current studies have predecessors, each with runs and an artifact.

    `tiny` was put aside under another seed, and `gone` was removed from params.yaml.
    """
    made = Repository(tmp_path_factory.mktemp("template"), params_document)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(made.folder)
        made.document["studies"]["gone"] = made.document["studies"]["other"]
        made.set(seed=99)
        for name in ("tiny", "gone"):
            fill(made, name)
        del made.document["studies"]["gone"]
        made.set(seed=1)
        for name in ("tiny", "other"):
            fill(made, name)
    return made.folder


@pytest.fixture
def cleaned(repository, template):
    """A copy of the template; MLflow knows its artifacts by absolute paths."""
    shutil.copytree(template, repository.folder, dirs_exist_ok=True)
    with closing(sqlite3.connect(repository.folder / "mlflow.db")) as connection, connection:
        for column in ("experiments.artifact_location", "runs.artifact_uri"):
            table, name = column.split(".")
            connection.execute(
                f"update {table} set {name} = replace({name}, ?, ?)",
                (str(template), str(repository.folder)),
            )
    return repository


def fill(repository, name):
    study = repository.study(name)
    for _ in range(2):
        repository.train(study)
    mirror(repository, name, study)
    return study


def mirror(repository, name, study):
    with StudyRuns.open(
        repository.folder,
        dataset="digits",
        study=name,
        study_name=f"digits-{name}",
        study_uid=mirror_uid(repository.folder, study.user_attrs["study_uid"], AUTO),
        tags={key: study.user_attrs[key] for key in ("objective", "identity")},
        params={},
    ) as runs:
        runs.reconcile(trial_dicts(study))
        (repository.folder / "note.txt").write_text("x" * 1000)
        runs.store.client.log_artifact(runs.run_id, str(repository.folder / "note.txt"))
        return runs


def studies(repository):
    return set(optuna.get_all_study_names(open_storage(repository.folder)))


def runs_by_study(repository):
    """Number of runs by name of their study and identity, in the trash or not."""
    query = """
        select s.value, substr(i.value, 1, 8), count(distinct r.run_uuid) from runs p
        join tags s on s.run_uuid = p.run_uuid and s.key = 'study_name'
        join tags i on i.run_uuid = p.run_uuid and i.key = 'identity'
        left join tags t on t.key = 'mlflow.parentRunId' and t.value = p.run_uuid
        join runs r on r.run_uuid in (p.run_uuid, t.run_uuid)
        group by 1, 2
    """
    return {(name, mark): count for name, mark, count in rows(repository, query)}


def rows(repository, query):
    with closing(sqlite3.connect(repository.folder / "mlflow.db")) as connection:
        return connection.execute(query).fetchall()


def old_mark(repository):
    repository.set(seed=99)
    mark = describe("tiny", root=repository.folder).identity[:8]
    repository.set(seed=1)
    return mark


def artifacts(repository):
    return sorted((repository.folder / "mlruns/artifacts").rglob("note.txt"))


def test_old_studies_are_shown_with_sizes_and_a_total(cleaned, capsys):
    assert run("clean") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["what", "why", "trials", "runs", "on", "disk"]
    assert lines[1] == ["digits-gone", "not", "in", "params.yaml", "2", "3", "1.0", "kB"]
    aside = f"digits-tiny-{old_mark(cleaned)}"
    assert lines[2] == [aside, "put", "aside", "2", "3", "1.0", "kB"]
    assert lines[3] == ["total", "4", "6", "2.0", "kB"]
    assert " ".join(lines[4]).startswith("Nothing was removed. `python -m pipeline clean --yes`")
    assert "`dvc gc" in " ".join(lines[5])


def test_without_yes_nothing_is_removed(cleaned):
    before = (studies(cleaned), runs_by_study(cleaned), artifacts(cleaned))
    run("clean")
    assert (studies(cleaned), runs_by_study(cleaned), artifacts(cleaned)) == before


def test_with_yes_the_old_are_gone_for_good_and_the_current_untouched(cleaned, capsys):
    current = {name: trial_dicts(cleaned.study(name)) for name in ("tiny", "other")}
    assert len(artifacts(cleaned)) == 4
    assert run("clean", "--yes") == 0
    assert studies(cleaned) == {"digits-tiny", "digits-other"}
    left = runs_by_study(cleaned)
    assert {name for name, _ in left} == {"digits-tiny", "digits-other"}
    assert set(left.values()) == {3}
    assert rows(cleaned, "select count(*) from runs") == [(6,)]
    assert len(artifacts(cleaned)) == 2
    assert {name: trial_dicts(cleaned.study(name)) for name in current} == current
    out = capsys.readouterr().out
    assert "Removed 4 trials and 6 runs; freed 2.0 kB of files and" in out
    # The folder that MLflow leaves goes too.
    assert len(list((cleaned.folder / "mlruns/artifacts").iterdir())) == 2


def test_kept_trainings_of_no_current_study_go(cleaned, capsys):
    folder = cleaned.folder / "mlruns/trainings"
    for name in ("digits-gone", "digits-tiny"):
        cleaned.write(f"mlruns/trainings/{name}/one.json", {})
        (folder / name / "one.keras").write_bytes(b"x" * 4998)
    run("clean")
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    reason = ["trainings", "of", "no", "current", "study"]
    assert ["mlruns/trainings/digits-gone", *reason, "-", "-", "5.0", "kB"] in shown
    assert not [line for line in shown if line[0] == "mlruns/trainings/digits-tiny"]
    run("clean", "--yes")
    assert [study.name for study in folder.iterdir()] == ["digits-tiny"]
    assert len(list((folder / "digits-tiny").iterdir())) == 2


def test_a_second_clean_finds_nothing(cleaned, capsys):
    run("clean", "--yes")
    capsys.readouterr()
    assert run("clean", "--yes") == 0
    assert capsys.readouterr().out.startswith("There is nothing to clean")


def test_the_databases_shrink(cleaned):
    file = cleaned.folder / "mlruns/optuna.db"
    study = cleaned.study("other")
    for _ in range(30):
        trial = study.ask()
        trial.set_user_attr("long", "x" * 2000)
    cleaned.set(epochs=5)
    cleaned.study("other")
    before = file.stat().st_size + (file.parent / "optuna.db-wal").stat().st_size
    run("clean", "--yes")
    assert file.stat().st_size < before - 30 * 2000


def test_the_space_of_an_old_study_goes_back_to_the_disk(cleaned):
    file = cleaned.folder / "mlruns/optuna.db"
    trial = cleaned.study("other").ask()
    for number in range(30):
        trial.set_user_attr(f"long {number}", "x" * 10_000)
    cleaned.set(epochs=5)
    cleaned.study("other")
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        # What is in the log already would only be moved.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = file.stat().st_size
    run("clean", "--yes")
    assert file.stat().st_size < before - 30 * 10_000


def test_a_study_that_is_being_searched_keeps_its_old_ones(cleaned, capsys):
    with study_lock(cleaned.folder, "digits-tiny"):
        assert run("clean", "--yes") == 0
    aside = f"digits-tiny-{old_mark(cleaned)}"
    assert f"{aside} is left: digits-tiny is being searched already" in capsys.readouterr().out
    assert aside in studies(cleaned)
    assert "digits-gone" not in studies(cleaned)
    assert ("digits-tiny", old_mark(cleaned)) in runs_by_study(cleaned)


def test_a_run_that_a_registered_version_was_made_from_stays(cleaned):
    client = open_store(cleaned.folder).client
    query = "select run_uuid from tags where key = 'study_name' and value = 'digits-gone'"
    ((parent,),) = rows(cleaned, query)
    client.create_registered_model("mine")
    client.create_model_version("mine", client.get_run(parent).info.artifact_uri, run_id=parent)
    run("clean", "--yes")
    assert rows(cleaned, f"select lifecycle_stage from runs where run_uuid = '{parent}'") == [
        ("active",)
    ]
    assert len(artifacts(cleaned)) == 3


def test_the_trash_of_a_current_study_is_emptied_and_that_of_others_is_not(cleaned, capsys):
    client = open_store(cleaned.folder).client
    query = "select run_uuid from tags where key = 'study' and value = 'other' order by run_uuid"
    trial_run = next(
        run_id
        for (run_id,) in rows(cleaned, query)
        if "trial_uid" in client.get_run(run_id).data.tags
    )
    client.delete_run(trial_run)
    strangers = client.create_run(client.create_experiment("theirs")).info.run_id
    client.delete_run(strangers)
    deleted_experiment = client.create_experiment("in the trash")
    client.delete_experiment(deleted_experiment)
    run("clean")
    out = capsys.readouterr().out
    assert "MLflow's trash of digits-other  replaced or deleted" in out
    run("clean", "--yes")
    left = {run_id for (run_id,) in rows(cleaned, "select run_uuid from runs")}
    assert trial_run not in left
    assert strangers in left
    assert client.get_experiment(deleted_experiment).lifecycle_stage == "deleted"


def test_studies_of_another_data_set_and_those_of_others_stay(cleaned):
    storage = open_storage(cleaned.folder)
    optuna.create_study(study_name="my own-0a1b2c3d", storage=storage)
    optuna.create_study(study_name="digits-mine-too", storage=storage)
    other = optuna.create_study(study_name="cifar10-tiny", storage=storage)
    other.set_user_attr("identity", "ab" * 32)
    other.set_user_attr("study_uid", "cd" * 16)
    run("clean", "--yes")
    assert {"my own-0a1b2c3d", "digits-mine-too", "cifar10-tiny"} < studies(cleaned)


def test_the_current_study_stays_also_where_a_kill_left_it_under_its_hash(cleaned):
    """As after a kill between the two renamings of `open_study`."""
    from pipeline.records.storage import rename_study

    identity = describe("tiny", root=cleaned.folder).identity
    name = f"digits-tiny-{identity[:8]}"
    rename_study(open_storage(cleaned.folder), "digits-tiny", name)
    run("clean", "--yes")
    assert name in studies(cleaned)
    assert ("digits-tiny", identity[:8]) in runs_by_study(cleaned)
    assert len(trial_dicts(cleaned.study("tiny"))) == 2


def test_a_study_that_was_exported_stays_while_params_yaml_is_being_edited(cleaned):
    mark = old_mark(cleaned)
    old = optuna.load_study(study_name=f"digits-tiny-{mark}", storage=open_storage(cleaned.folder))
    cleaned.write("results/tiny/study.json", {"identity": old.user_attrs["identity"]})
    run("clean", "--yes")
    assert f"digits-tiny-{mark}" in studies(cleaned)


def test_files_of_dead_processes_are_removed_and_records_of_the_current_study_are_not(
    cleaned, capsys
):
    uid = cleaned.study().user_attrs["study_uid"]
    spool, locks = cleaned.folder / "mlruns/spool", cleaned.folder / "mlruns/locks"
    spool.mkdir(parents=True)
    for name in (f"digits-tiny-{uid[:8]}", "digits-tiny-0badcafe"):
        (spool / f"{name}.jsonl").write_text("{}\n")
        (spool / f"{name}.offset").write_text("0")
    locks.mkdir(parents=True, exist_ok=True)
    host = os.uname().nodename
    (locks / "digits-other.pid").write_text(f"999999999 on {host}")
    (locks / "digits-other.lock").touch()
    (locks / "digits-vanished.lock").touch()
    run("clean")
    out = capsys.readouterr().out
    assert "mlruns/spool/digits-tiny-0badcafe.*  unsent records of no current study" in out
    assert "mlruns/locks/digits-other.pid" in out
    assert "mlruns/locks/digits-vanished.lock" in out
    run("clean", "--yes")
    assert {file.name for file in spool.iterdir()} == {
        f"digits-tiny-{uid[:8]}.jsonl",
        f"digits-tiny-{uid[:8]}.offset",
    }
    assert not (locks / "digits-other.pid").exists()
    assert not (locks / "digits-vanished.lock").exists()


def test_results_and_models_are_not_touched(cleaned):
    kept = [cleaned.write(name, {}) for name in ("results/gone/best.json", "models/gone.keras")]
    run("clean", "--yes")
    assert all(file.exists() for file in kept)


def test_a_kill_in_the_middle_leaves_what_the_next_clean_finds(cleaned, monkeypatch):
    from pipeline.records.mirror import removal as cleaning

    original, calls = cleaning._remove_emptied, []

    def killed(folder, run_id):
        calls.append(run_id)
        if len(calls) == 2:
            raise KeyboardInterrupt
        original(folder, run_id)

    monkeypatch.setattr(cleaning, "_remove_emptied", killed)
    with pytest.raises(KeyboardInterrupt):
        run("clean", "--yes")
    monkeypatch.setattr(cleaning, "_remove_emptied", original)
    run("clean", "--yes")
    assert studies(cleaned) == {"digits-tiny", "digits-other"}
    assert rows(cleaned, "select count(*) from runs") == [(6,)]


def test_without_a_store_there_is_nothing_to_clean(repository):
    with pytest.raises(StudyError, match="No study has run here yet"):
        run("clean")


def test_without_a_split_nothing_is_taken_for_old(cleaned):
    before = (studies(cleaned), runs_by_study(cleaned))
    (cleaned.folder / "data/split.json").unlink()
    with pytest.raises(StudyError, match="to tell current studies from old ones"):
        run("clean", "--yes")
    assert (studies(cleaned), runs_by_study(cleaned)) == before


def test_a_study_that_was_killed_half_built_leaves_the_runs_of_its_identity(cleaned):
    """As after a kill while a lost study is rebuilt from its export."""
    storage, attrs = open_storage(cleaned.folder), cleaned.study().user_attrs
    identity = attrs["identity"]
    optuna.delete_study(study_name="digits-tiny", storage=storage)
    draft = optuna.create_study(
        study_name=f"digits-tiny-{identity[:8]}.draft", storage=storage, direction="maximize"
    )
    draft.set_user_attr("identity", identity)
    draft.set_user_attr("study_uid", attrs["study_uid"])
    run("clean", "--yes")
    assert studies(cleaned) == {"digits-other"}
    assert runs_by_study(cleaned)["digits-tiny", identity[:8]] == 3


def test_the_lock_of_a_current_study_stays_the_same_file(cleaned):
    """Else who waits for the old file and who opens the new one would both hold the lock."""
    with study_lock(cleaned.folder, "digits-tiny"):
        pass
    lock = cleaned.folder / "mlruns/locks/digits-tiny.lock"
    before = lock.stat().st_ino
    run("clean", "--yes")
    assert lock.stat().st_ino == before


def test_the_files_of_a_living_process_are_no_leftovers(cleaned, capsys):
    with study_lock(cleaned.folder, "digits-other"), study_lock(cleaned.folder, "digits-unknown"):
        run("clean")
    assert "mlruns/locks" not in capsys.readouterr().out


def test_what_a_user_put_beside_the_artifacts_of_a_run_stays(cleaned):
    query = "select run_uuid from tags where key = 'study_name' and value = 'digits-gone'"
    ((parent,),) = rows(cleaned, query)
    (folder,) = [f for f in (cleaned.folder / "mlruns/artifacts").rglob(parent) if f.is_dir()]
    (folder / "mine.txt").touch()
    run("clean", "--yes")
    assert [file.name for file in folder.iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_on_a_server_the_runs_go_to_its_trash_which_is_its_own(
    repository, tmp_path_factory, monkeypatch, capsys
):
    with TrackingServer(tmp_path_factory.mktemp("server")) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        repository.set(seed=99)
        fill(repository, "tiny")
        repository.set(seed=1)
        fill(repository, "tiny")
        from mlflow.entities import ViewType

        store = open_store(repository.folder)
        experiment, everything = store.experiment("digits"), ViewType.ALL
        run("clean", "--yes")
        found = store.client.search_runs([experiment], run_view_type=everything)
        assert [r.info.lifecycle_stage for r in found].count("deleted") == 3
        assert len(found) == 6
        assert "The runs are in the server's trash" in capsys.readouterr().out
        # The trash of a current study is not ours to empty either.
        current = next(r for r in found if r.info.lifecycle_stage == "active")
        store.client.delete_run(current.info.run_id)
        run("clean", "--yes")
        assert "There is nothing to clean" in capsys.readouterr().out


def test_a_data_set_whose_name_begins_alike_keeps_its_studies_and_its_unsent_records(
    repository, capsys
):
    """Names have dashes and dots: `digits.v2-big-tiny` is `tiny` of `digits.v2-big`."""
    for dataset in ("digits.v2-big", "digits.v2"):
        repository.write("data/split.json", {**repository.split(), "dataset": dataset})
        study = repository.study()
        repository.train(study)
        uid = study.user_attrs["study_uid"][:8]
        repository.write(f"mlruns/spool/{dataset}-tiny-{uid}.jsonl", {})
    assert run("clean", "--yes") == 0
    assert studies(repository) == {"digits.v2-tiny", "digits.v2-big-tiny"}
    assert len(list((repository.folder / "mlruns/spool").iterdir())) == 2
