"""What nobody needs is shown with its size, and removed only when told to; nothing else is."""

import shutil
import sqlite3
from contextlib import closing

import optuna
import pytest

from pipeline.database_addresses import AUTO
from pipeline.errors import DataIntegrityError
from pipeline.records.lock import study_lock
from pipeline.records.mirror.runs import StudyRuns
from pipeline.records.mirror.store import mirror_uid, open_store
from pipeline.records.storage import open_storage
from pipeline.records.studies import trial_records
from pipeline.studies.described import describe
from pipeline.trials.study import write_study
from testing.features import embedded, write_cuts
from testing.records import made_study
from testing.tracking_server import TrackingServer
from tests.commands.repository import Repository, run


@pytest.fixture(scope="module")
def template(tmp_path_factory, params_document):
    """A repository whose current studies have predecessors, each with runs and an artifact.

    `tiny` was archived under another seed, and `gone` was removed from params.yaml.
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
def littered(repository, template):
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
        runs.reconcile(trial_records(study))
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


def test_old_studies_are_shown_with_sizes(littered, capsys):
    assert run("gc") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["what", "why", "trials", "runs", "on", "disk"]
    assert lines[1] == ["digits-gone", "not", "in", "params.yaml", "2", "3", "0.0", "MB"]
    aside = f"digits-tiny-{old_mark(littered)}"
    assert lines[2] == [aside, "archived", "2", "3", "0.0", "MB"]
    assert " ".join(lines[3]).startswith("Nothing was removed. `python -m pipeline gc --yes`")


def keep_arrays(folder, *keys):
    store = folder / "data/cache/features"
    store.mkdir(parents=True)
    for key in keys:
        (store / f"{key}.npy").write_bytes(b"x" * 600_000)
        (store / f"{key}.json").write_text("{}")


def test_arrays_that_no_manifest_names_go(littered, capsys):
    keep_arrays(littered.folder, "named", "one", "two")
    write_cuts(littered.folder / "data/features/base", {"cut": embedded(key="named")})
    run("gc")
    out = capsys.readouterr().out
    assert "data/cache/features, 2 arrays  not in data/features       -     -   1.2 MB" in out
    run("gc", "--yes")
    left = {path.name for path in (littered.folder / "data/cache/features").iterdir()}
    assert left == {"named.npy", "named.json", "lock"}


def test_arrays_go_also_where_no_study_has_run_yet(repository, capsys):
    """Those that `embed` has not taken."""
    keep_arrays(repository.folder, "one")
    assert run("gc", "--yes") == 0
    assert "Removed 0 trials, 0 runs and 0.6 MB of files." in capsys.readouterr().out
    assert not (repository.folder / "data/cache/features/one.npy").exists()


def test_without_features_arrays_go_and_what_is_put_aside_stays(littered, capsys):
    """As `dvc repro` leaves it while `embed` runs: what is put aside may be what comes next."""
    keep_arrays(littered.folder, "one")
    aside = f"digits-tiny-{old_mark(littered)}"
    shutil.rmtree(littered.folder / "data/features")
    assert run("gc", "--yes") == 0
    assert studies(littered) == {"digits-tiny", "digits-other", aside}
    assert not (littered.folder / "data/cache/features/one.npy").exists()


def test_without_yes_nothing_is_removed(littered):
    before = (studies(littered), runs_by_study(littered), artifacts(littered))
    run("gc")
    assert (studies(littered), runs_by_study(littered), artifacts(littered)) == before


def test_with_yes_the_old_are_gone_for_good_and_the_current_untouched(littered, capsys):
    current = {name: trial_records(littered.study(name)) for name in ("tiny", "other")}
    assert len(artifacts(littered)) == 4
    assert run("gc", "--yes") == 0
    assert studies(littered) == {"digits-tiny", "digits-other"}
    left = runs_by_study(littered)
    assert {name for name, _ in left} == {"digits-tiny", "digits-other"}
    assert set(left.values()) == {3}
    assert rows(littered, "select count(*) from runs") == [(6,)]
    assert len(artifacts(littered)) == 2
    assert {name: trial_records(littered.study(name)) for name in current} == current
    out = capsys.readouterr().out
    assert "Removed 4 trials, 6 runs and 0.0 MB of files." in out
    # The folder that MLflow leaves goes too.
    assert len(list((littered.folder / "mlruns/artifacts").iterdir())) == 2


def test_kept_trainings_of_no_current_study_go(littered, capsys):
    folder = littered.folder / "mlruns/trainings"
    for name in ("digits-gone", "digits-tiny"):
        littered.write(f"mlruns/trainings/{name}/one.json", {})
        (folder / name / "one.keras").write_bytes(b"x" * 499_998)
    run("gc")
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    reason = ["trainings", "of", "no", "current", "study"]
    assert ["mlruns/trainings/digits-gone", *reason, "-", "-", "0.5", "MB"] in shown
    assert not [line for line in shown if line[0] == "mlruns/trainings/digits-tiny"]
    run("gc", "--yes")
    assert [study.name for study in folder.iterdir()] == ["digits-tiny"]
    assert len(list((folder / "digits-tiny").iterdir())) == 2


def test_kept_trainings_of_a_study_whose_store_was_lost_stay(littered):
    littered.write("mlruns/trainings/digits-tiny/one.json", {})
    optuna.delete_study(study_name="digits-tiny", storage=open_storage(littered.folder))
    run("gc", "--yes")
    assert (littered.folder / "mlruns/trainings/digits-tiny/one.json").exists()


def test_a_second_time_there_is_nothing(littered, capsys):
    run("gc", "--yes")
    capsys.readouterr()
    assert run("gc", "--yes") == 0
    assert capsys.readouterr().out.startswith("There is nothing to remove")


def test_the_databases_shrink(littered):
    file = littered.folder / "mlruns/optuna.db"
    study = littered.study("other")
    for _ in range(30):
        trial = study.ask()
        trial.set_user_attr("long", "x" * 2000)
    littered.set(epochs=5)
    littered.study("other")
    before = file.stat().st_size + (file.parent / "optuna.db-wal").stat().st_size
    run("gc", "--yes")
    assert file.stat().st_size < before - 30 * 2000


def test_the_space_of_an_old_study_goes_back_to_the_disk(littered):
    file = littered.folder / "mlruns/optuna.db"
    trial = littered.study("other").ask()
    for number in range(30):
        trial.set_user_attr(f"long {number}", "x" * 10_000)
    littered.set(epochs=5)
    littered.study("other")
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        # What is in the log already would only be moved.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = file.stat().st_size
    run("gc", "--yes")
    assert file.stat().st_size < before - 30 * 10_000


def test_a_study_that_is_being_searched_keeps_its_old_ones(littered, capsys):
    with study_lock(littered.folder, "digits-tiny"):
        assert run("gc", "--yes") == 0
    aside = f"digits-tiny-{old_mark(littered)}"
    assert f"{aside} is left: digits-tiny is being worked on already" in capsys.readouterr().out
    assert aside in studies(littered)
    assert "digits-gone" not in studies(littered)
    assert ("digits-tiny", old_mark(littered)) in runs_by_study(littered)


def test_a_run_that_a_registered_version_was_made_from_stays(littered):
    client = open_store(littered.folder).client
    query = "select run_uuid from tags where key = 'study_name' and value = 'digits-gone'"
    ((parent,),) = rows(littered, query)
    client.create_registered_model("mine")
    client.create_model_version("mine", client.get_run(parent).info.artifact_uri, run_id=parent)
    run("gc", "--yes")
    assert rows(littered, f"select lifecycle_stage from runs where run_uuid = '{parent}'") == [
        ("active",)
    ]
    assert len(artifacts(littered)) == 3


def test_what_others_deleted_stays_in_mlflows_trash(littered):
    client = open_store(littered.folder).client
    strangers = client.create_run(client.create_experiment("theirs")).info.run_id
    client.delete_run(strangers)
    deleted_experiment = client.create_experiment("in the trash")
    client.delete_experiment(deleted_experiment)
    run("gc", "--yes")
    assert strangers in {run_id for (run_id,) in rows(littered, "select run_uuid from runs")}
    assert client.get_experiment(deleted_experiment).lifecycle_stage == "deleted"


def test_runs_of_an_old_study_go_from_mlflows_trash_too(littered):
    client = open_store(littered.folder).client
    query = "select run_uuid from tags where key = 'study_name' and value = 'digits-gone'"
    ((parent,),) = rows(littered, query)
    client.delete_run(parent)
    run("gc", "--yes")
    assert rows(littered, "select count(*) from runs") == [(6,)]


def test_studies_of_another_data_set_and_those_of_others_stay(littered):
    storage = open_storage(littered.folder)
    optuna.create_study(study_name="my own-0a1b2c3d", storage=storage)
    optuna.create_study(study_name="digits-mine-too", storage=storage)
    other = optuna.create_study(study_name="cifar10-tiny", storage=storage)
    # As a kill leaves it between the two renamings of `open_study`.
    renamed = optuna.create_study(study_name="roses-tiny-abababab", storage=storage)
    for study in (other, renamed):
        study.set_user_attr("identity", "ab" * 32)
        study.set_user_attr("study_uid", "cd" * 16)
    renamed.set_user_attr("dataset", "roses")
    run("gc", "--yes")
    stay = {"my own-0a1b2c3d", "digits-mine-too", "cifar10-tiny", "roses-tiny-abababab"}
    assert stay < studies(littered)


def test_the_current_study_stays_also_where_a_kill_left_it_under_its_hash(littered):
    """As after a kill between the two renamings of `open_study`."""
    from pipeline.records.storage import rename_study

    identity = describe("tiny", root=littered.folder).identity
    name = f"digits-tiny-{identity[:8]}"
    rename_study(open_storage(littered.folder), "digits-tiny", name)
    run("gc", "--yes")
    assert name in studies(littered)
    assert ("digits-tiny", identity[:8]) in runs_by_study(littered)
    assert len(trial_records(littered.study("tiny"))) == 2


def test_a_study_that_was_exported_stays_while_params_yaml_is_being_edited(littered):
    mark = old_mark(littered)
    old = optuna.load_study(study_name=f"digits-tiny-{mark}", storage=open_storage(littered.folder))
    record = made_study(identity=old.user_attrs["identity"])
    write_study(littered.folder, record)
    run("gc", "--yes")
    assert f"digits-tiny-{mark}" in studies(littered)


def test_results_and_models_are_not_touched(littered):
    kept = [littered.write(name, {}) for name in ("results/gone/best.json", "models/gone.keras")]
    run("gc", "--yes")
    assert all(file.exists() for file in kept)


def test_a_kill_in_the_middle_leaves_what_the_next_time_finds(littered, monkeypatch):
    from pipeline.records.mirror import removal

    original, calls = removal._remove_emptied, []

    def killed(folder, run_id):
        calls.append(run_id)
        if len(calls) == 2:
            raise KeyboardInterrupt
        original(folder, run_id)

    monkeypatch.setattr(removal, "_remove_emptied", killed)
    with pytest.raises(KeyboardInterrupt):
        run("gc", "--yes")
    monkeypatch.setattr(removal, "_remove_emptied", original)
    run("gc", "--yes")
    assert studies(littered) == {"digits-tiny", "digits-other"}
    assert rows(littered, "select count(*) from runs") == [(6,)]


def test_without_a_store_there_is_nothing(repository, capsys):
    assert run("gc", "--yes") == 0
    assert capsys.readouterr().out == "There is nothing to remove.\n"
    assert not (repository.folder / "mlruns/optuna.db").exists()


def test_without_a_split_nothing_is_taken_for_old(littered):
    before = (studies(littered), runs_by_study(littered))
    (littered.folder / "data/split.json").unlink()
    with pytest.raises(DataIntegrityError, match=r"There is no split\.json yet"):
        run("gc", "--yes")
    assert (studies(littered), runs_by_study(littered)) == before


def test_a_study_that_was_killed_half_built_leaves_the_runs_of_its_identity(littered):
    """As after a kill while a lost study is rebuilt from its export."""
    storage, attrs = open_storage(littered.folder), littered.study().user_attrs
    identity = attrs["identity"]
    optuna.delete_study(study_name="digits-tiny", storage=storage)
    draft = optuna.create_study(
        study_name=f"digits-tiny-{identity[:8]}.draft", storage=storage, direction="maximize"
    )
    draft.set_user_attr("identity", identity)
    draft.set_user_attr("study_uid", attrs["study_uid"])
    run("gc", "--yes")
    assert studies(littered) == {"digits-other"}
    assert runs_by_study(littered)["digits-tiny", identity[:8]] == 3


def test_the_lock_of_a_current_study_stays_the_same_file(littered):
    """Else who waits for the old file and who opens the new one would both hold the lock."""
    with study_lock(littered.folder, "digits-tiny"):
        pass
    lock = littered.folder / "mlruns/locks/digits-tiny.lock"
    before = lock.stat().st_ino
    run("gc", "--yes")
    assert lock.stat().st_ino == before


def test_what_a_user_put_beside_the_artifacts_of_a_run_stays(littered):
    query = "select run_uuid from tags where key = 'study_name' and value = 'digits-gone'"
    ((parent,),) = rows(littered, query)
    (folder,) = [f for f in (littered.folder / "mlruns/artifacts").rglob(parent) if f.is_dir()]
    (folder / "mine.txt").touch()
    run("gc", "--yes")
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
        run("gc", "--yes")
        found = store.client.search_runs([experiment], run_view_type=everything)
        assert [r.info.lifecycle_stage for r in found].count("deleted") == 3
        assert len(found) == 6
        assert "The runs are in the server's trash" in capsys.readouterr().out
        run("gc", "--yes")
        assert "There is nothing to remove" in capsys.readouterr().out


def test_a_data_set_whose_name_begins_alike_keeps_its_studies(repository):
    """Names have dashes and dots: `digits.v2-big-tiny` is `tiny` of `digits.v2-big`."""
    for dataset in ("digits.v2-big", "digits.v2"):
        repository.write("data/split.json", {**repository.split(), "dataset": dataset})
        repository.train(repository.study())
    assert run("gc", "--yes") == 0
    assert studies(repository) == {"digits.v2-tiny", "digits.v2-big-tiny"}
