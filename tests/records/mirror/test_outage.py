"""What MLflow's client raises is told apart: away, refused, or a mistake of ours."""

import os
import re
import socket
import sqlite3

import pytest
from sqlalchemy.exc import OperationalError

from pipeline.errors import StudyError
from pipeline.open_databases import DatabaseLostError
from pipeline.records.mirror.outage import (
    RETRIES,
    TIMEOUT,
    Outage,
    answering,
    impatient_requests,
    outage_of,
    store_errors,
)
from tests.records.mirror.web_server import WebServer

RUN = "a" * 32


def error_of(uri, timeout_seconds=5):
    from mlflow import MlflowClient

    with impatient_requests(timeout_seconds), pytest.raises(store_errors()) as caught:
        MlflowClient(uri).get_run(RUN)
    return caught.value


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (401, b"who are you?", "refused", "HTTP 401"),
        (403, b"", "refused", "HTTP 403"),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}', "refused", "HTTP 403"),
        (401, b'{"message": "Unauthorized"}', "refused", "not MLflow: .*Unauthorized"),
        (200, b"<html>Please log in", "refused", "not MLflow: .*Please log in"),
        (429, b"", "away", "HTTP 429"),
        (500, b'{"error_code": "INTERNAL_ERROR", "message": "x"}', "away", "HTTP 500"),
        (502, b"<html>bad gateway", "away", "HTTP 502"),
        (503, b"", "away", "HTTP 503"),
        (504, b"", "away", "HTTP 504"),
        (522, b"", "away", "HTTP 522"),
    ],
)
def test_an_answer_that_is_an_outage(status, body, kind, reason):
    with WebServer(status, body) as server:
        outage = outage_of(error_of(server.uri))
    assert outage.kind == kind
    assert re.search(reason, outage.reason)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "x"}'),
        (404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "x"}'),
        (413, b"too large"),
    ],
)
def test_an_answer_that_says_the_request_is_wrong_is_no_outage(status, body):
    with WebServer(status, body) as server:
        assert outage_of(error_of(server.uri)) is None


def test_a_closed_port_is_away():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    outage = outage_of(error_of(f"http://127.0.0.1:{port}"))
    assert (outage.kind, outage.reason) == ("away", "Connection refused")


def test_a_server_that_hangs_up_is_away():
    with WebServer(mode="close") as server:
        outage = outage_of(error_of(server.uri))
    assert (outage.kind, outage.reason) == (
        "away",
        "Remote end closed connection without response",
    )


def test_a_server_that_does_not_answer_in_time_is_away_after_one_try():
    with WebServer(mode="hang") as server:
        outage = outage_of(error_of(server.uri, timeout_seconds=1))
        assert (outage.kind, outage.reason) == ("away", "Read timed out")
        assert server.num_requests == 1


def test_a_database_that_another_process_holds_is_away(root, open_runs):
    runs = open_runs()
    with sqlite3.connect(root / "mlflow.db", timeout=1) as holder:
        holder.execute("BEGIN IMMEDIATE")
        engine = runs.store.client._tracking_client.store.engine
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 10")
            with pytest.raises(store_errors()) as caught:
                connection.exec_driver_sql("UPDATE runs SET name = 'x'")
    assert outage_of(caught.value).reason == "database is locked"


def test_a_database_that_says_nothing_is_away_all_the_same():
    error = OperationalError("SELECT 1", None, Exception())
    assert outage_of(error) == Outage(kind="away", reason="OperationalError")


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("x"), FileNotFoundError("x")])
def test_other_errors_are_mistakes(error):
    assert outage_of(error) is None


def test_other_commands_keep_their_patience(monkeypatch):
    monkeypatch.setenv(TIMEOUT, "77")
    monkeypatch.delenv(RETRIES, raising=False)
    with impatient_requests(5):
        assert (os.environ[RETRIES], os.environ[TIMEOUT]) == ("0", "5")
    assert os.environ[TIMEOUT] == "77"
    assert RETRIES not in os.environ


def test_an_outage_is_one_line_without_a_password():
    from mlflow import MlflowClient

    said = r"must answer .*HTTP 503.*ann:\*\*\*@"
    with WebServer(503) as server, impatient_requests(5):
        uri = server.uri.replace("http://", "http://ann:secret@")
        with pytest.raises(StudyError, match=said) as caught, answering(uri):
            MlflowClient(server.uri).get_run(RUN)
    assert "\n" not in str(caught.value)


def test_a_mistake_keeps_its_traceback():
    with pytest.raises(KeyError), answering("http://x"):
        raise KeyError("a bug")


def test_the_loss_of_the_database_is_said_however_it_was_wrapped():
    from mlflow.exceptions import MlflowException

    lost = MlflowException("could not be reached")
    lost.__cause__ = DatabaseLostError("mlflow.db must stay where it is")
    with pytest.raises(DatabaseLostError, match="must stay where"), answering("sqlite:///x"):
        raise lost
