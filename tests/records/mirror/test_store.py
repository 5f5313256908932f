"""Where runs go, and what is refused before anything is recorded."""

import os
import socket
import sqlite3
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.database_addresses import without_password
from pipeline.errors import ConfigError
from pipeline.open_databases import DatabaseLostError, lost_in
from pipeline.records.mirror import store
from pipeline.records.mirror.store import locked, open_store, tracking_uri
from tests.races import race


def test_the_default_is_mlflows_own_place(tmp_path):
    assert tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"


def test_the_environment_wins(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+psycopg2://ann@db/mlflow")
    assert tracking_uri(tmp_path) == "postgresql+psycopg2://ann@db/mlflow"


def test_the_checkouts_own_database_may_be_named_by_its_relative_path(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    assert not open_store(tmp_path).is_shared


@pytest.mark.parametrize("uri", ["mlflow-tracking", "mlflow-tracking:5000", "mlruns", "file:./x"])
def test_a_bare_host_or_folder_is_refused(tmp_path, monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ConfigError, match=rf"Received: MLFLOW_TRACKING_URI={uri}\. Write http://"):
        tracking_uri(tmp_path)


def test_a_password_is_not_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "ftp://ann:secret@host/x")
    with pytest.raises(ConfigError, match=r"ftp://ann:\*\*\*@host/x"):
        tracking_uri(tmp_path)
    assert without_password("http://host:5000") == "http://host:5000"


def test_a_reader_does_not_create_a_store(tmp_path):
    with pytest.raises(ConfigError, match=r"Nothing has been recorded yet.*Run `dvc repro`"):
        open_store(tmp_path, create=False)
    report = tmp_path / "results/registration.json"
    report.parent.mkdir()
    report.touch()
    with pytest.raises(ConfigError, match=r"are lost, since .*mlflow\.db: `python.* restore`"):
        open_store(tmp_path, create=False)
    assert not (tmp_path / "mlflow.db").exists()


def test_the_database_is_written_ahead(root):
    open_store(root)
    with sqlite3.connect(root / "mlflow.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_telemetry_and_pickle_are_off(root):
    open_store(root)
    from mlflow.environment_variables import MLFLOW_ALLOW_PICKLE_DESERIALIZATION
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert is_telemetry_disabled()
    assert not MLFLOW_ALLOW_PICKLE_DESERIALIZATION.get()


def test_an_experiment_is_made_once_with_artifacts_below_mlruns(root):
    opened = open_store(root)
    first = opened.experiment("digits")
    assert open_store(root).experiment("digits") == first
    found = opened.client.get_experiment(first)
    assert found.artifact_location == (root / "mlruns/artifacts").as_uri()


def test_an_experiment_says_that_it_is_of_model_training_unless_a_user_says_else(root):
    """MLflow's UI reads the tag; one of an earlier release gets it."""
    store = open_store(root)
    own = store.experiment("digits")
    earlier = store.client.create_experiment("flowers")
    assert store.experiment("flowers") == earlier
    for one in (own, earlier):
        tags = store.client.get_experiment(one).tags
        assert tags["mlflow.experimentKind"] == "custom_model_development"
    store.client.set_experiment_tag(own, "mlflow.experimentKind", "classification")
    store.experiment("digits")
    tags = store.client.get_experiment(own).tags
    assert tags["mlflow.experimentKind"] == "classification"


def test_an_experiment_that_another_machine_makes_meanwhile_is_taken(root, monkeypatch):
    opened = open_store(root)
    find, made = opened.client.get_experiment_by_name, []

    def find_too_early(name):
        if made:
            return find(name)
        made.append(opened.client.create_experiment(name))
        return None

    monkeypatch.setattr(opened.client, "get_experiment_by_name", find_too_early)
    assert opened.experiment("digits") == made[0]


def test_an_experiment_in_the_trash_is_taken_out_again(root):
    opened = open_store(root)
    first = opened.experiment("digits")
    opened.client.delete_experiment(first)
    assert opened.experiment("digits") == first
    assert opened.client.get_experiment(first).lifecycle_stage == "active"


def test_search_goes_through_every_page(root, monkeypatch):
    monkeypatch.setattr(store, "PAGE", 2)
    opened = open_store(root)
    experiment = opened.experiment("digits")
    made = {opened.client.create_run(experiment).info.run_id for _ in range(5)}
    found = opened.search_runs(experiment, "")
    assert {run.info.run_id for run in found} == made
    assert len(found) == 5


def test_a_database_that_is_gone_is_neither_written_nor_made_anew(root):
    opened = open_store(root)
    experiment = opened.experiment("digits")
    (root / "mlflow.db").rename(root / "away.db")
    with pytest.raises(Exception, match=r"mlflow\.db must stay where it is") as told:
        opened.client.create_run(experiment)
    assert isinstance(lost_in(told.value), DatabaseLostError)
    assert not (root / "mlflow.db").exists()


@pytest.mark.parametrize("address", ["sqlite:///{}/my%20data/x.db", "sqlite:///{}/my data/x.db"])
def test_a_users_address_is_read_as_sqlalchemy_reads_it(root, monkeypatch, address):
    (root / "my data").mkdir()
    (root / "mlflow.db").rename(root / "my data/x.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.format(root))
    open_store(root).close()
    # MLflow makes the folder of an address as it is written, besides the one that it means.
    assert {path.name for path in root.iterdir() if path.is_dir()} == {"my data", "mlruns"}


def test_a_database_of_another_program_is_refused_in_one_line(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(ConfigError, match=r"must name an SQLite file .* file is not a database"):
        open_store(tmp_path)


@pytest.mark.parametrize(
    "uri", ["sqlite:////proc/mlflow.db", "sqlite:///{root}", "sqlite:///:memory:", "sqlite://"]
)
def test_an_sqlite_file_that_cannot_be_written_is_said_at_once(tmp_path, monkeypatch, uri):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(root=tmp_path))
    begin = time.monotonic()
    with pytest.raises(ConfigError, match=r"^MLFLOW_TRACKING_URI must name an SQLite file") as told:
        open_store(tmp_path)
    # MLflow alone tries for 50 s.
    assert time.monotonic() - begin < 20
    assert "\n" not in str(told.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("scheme", ["http", "mysql", "postgresql"])
def test_a_closed_port_is_said_at_once(tmp_path, monkeypatch, scheme):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://ann:secret@127.0.0.1:{port}/")
    with pytest.raises(ConfigError, match=r"answer.*: .*refused.*ann:\*\*\*@127") as told:
        open_store(tmp_path)
    assert "\n" not in str(told.value)


def test_a_server_that_never_answers_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        start = time.monotonic()
        with pytest.raises(ConfigError, match=r"does not answer: .*timed out"):
            open_store(tmp_path)
        # MLflow alone tries for minutes.
        assert time.monotonic() - start < 20


@pytest.fixture
def answering(monkeypatch):
    """Starts a web server that answers everything with one status, as the tracking server."""
    servers = []

    def answering(status):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_GET

            def log_message(self, *_):
                """Says nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://ann:secret@127.0.0.1:{server.server_port}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    yield answering
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_server_that_lets_nobody_in_is_said_in_one_line(tmp_path, answering, status):
    answering(status)
    with pytest.raises(ConfigError, match=rf"cannot be used: .*{status}.*user name") as caught:
        open_store(tmp_path)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_that_is_broken_is_said_before_the_client_retries(tmp_path, answering):
    answering(503)
    with pytest.raises(ConfigError, match="does not answer: HTTP 503"):
        open_store(tmp_path)


def test_a_lock_is_for_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.1)
    with locked(tmp_path, "registry"):
        with locked(tmp_path, "store"):
            pass
        with (
            pytest.raises(ConfigError, match="locked by another process"),
            locked(tmp_path, "registry"),
        ):
            pass


class TestAPostgresql:
    def test_takes_runs_and_gives_them_back(self, tmp_path, database, monkeypatch):
        monkeypatch.setenv("PGCONNECT_TIMEOUT", "")
        monkeypatch.delenv("PGCONNECT_TIMEOUT")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
        opened = open_store(tmp_path)
        experiment = opened.experiment("digits")
        run_id = opened.client.create_run(experiment).info.run_id
        opened.client.log_metric(run_id, "loss", 0.5, step=3)
        assert not (tmp_path / "mlflow.db").exists()
        assert os.environ["PGCONNECT_TIMEOUT"] == "4"
        (found,) = open_store(tmp_path).search_runs(experiment, "metrics.loss < 1")
        assert found.info.run_id == run_id
        assert found.info.artifact_uri.startswith((tmp_path / "mlruns/artifacts").as_uri())

    def test_that_lets_nobody_in_is_said_in_one_line(self, tmp_path, postgres, monkeypatch):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres.url("postgres", password="s3cret"))
        begin = time.monotonic()
        with pytest.raises(ConfigError, match=r"^MLFLOW_TRACKING_URI must.*password auth") as told:
            open_store(tmp_path)
        assert time.monotonic() - begin < 20
        assert "s3cret" not in str(told.value)
        assert "\n" not in str(told.value)

    def test_that_says_nothing_is_given_up(self, tmp_path, postgres, monkeypatch):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres.url("x", port=port))
            begin = time.monotonic()
            with pytest.raises(ConfigError, match="timeout expired"):
                open_store(tmp_path)
            # 4 s and what a busy machine adds; PostgreSQL's client alone waits for minutes.
            assert time.monotonic() - begin < 30

    def test_with_optunas_tables_is_refused(self, tmp_path, postgres, database, monkeypatch):
        postgres.execute("CREATE TABLE studies (id int)", database.rpartition("/")[2])
        monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
        with pytest.raises(ConfigError, match=r"without Optuna's tables.*Create another database"):
            open_store(tmp_path)

    def test_whose_driver_is_missing_names_the_extra(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "psycopg2", None)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+psycopg2://ann:secret@db/x")
        with pytest.raises(ConfigError, match=r"psycopg2\. .*pip install -e \"\.\[postgres\]\""):
            open_store(tmp_path)

    @pytest.mark.slow
    def test_may_be_created_by_two_machines_at_once(self, tmp_path, database):
        # Two folders share no file lock, as two machines.
        roots = [tmp_path / "one", tmp_path / "two"]
        assert len(set(start_together(roots, MLFLOW_TRACKING_URI=database))) == 1


@pytest.mark.slow
def test_many_processes_may_create_the_store_at_once(tmp_path):
    # Two are stopped by SQLite's own race one time in twenty only.
    assert start_together([tmp_path] * 6) == ["1"] * 6


def start_together(roots, **environment):
    """Opens stores in processes of their own, at one moment; returns the ids they found."""
    code = (
        "import mlflow, pathlib, sys; from pipeline.records.mirror.store import open_store; "
        "mlflow.MlflowClient; print(flush=True); input(); "
        "print(open_store(pathlib.Path(sys.argv[1])).experiment('digits'))"
    )
    commands = [[sys.executable, "-c", code, str(root)] for root in roots]
    racers, answers = race(commands, env={**os.environ, **environment})
    assert [racer.returncode for racer in racers] == [0] * len(racers), answers
    return [answer[0].strip() for answer in answers]
