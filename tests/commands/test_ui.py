"""The UI is safe, and a plain `mlflow ui` in the checkout shows the same."""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from pipeline.commands.ui import SAFE, add_arguments, main, pages, server_command
from pipeline.errors import ConfigError
from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.records.mirror.prepared_view import page_of, prepared_view
from pipeline.records.mirror.store import open_store
from pipeline.split_record import SPLIT_FILE, write_split
from testing.split import split_record
from tests.browser import open_browser

REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 120


def ui(*arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_args(arguments))


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_server_listens_on_loopback_with_one_worker(tmp_path):
    command = server_command(port=5055, root=tmp_path)
    assert command[:4] == [sys.executable, "-m", "mlflow", "server"]
    options = dict(zip(command[4::2], command[5::2], strict=True))
    assert options == {
        "--artifacts-destination": (tmp_path / "mlruns/artifacts").as_uri(),
        "--host": "127.0.0.1",
        "--port": "5055",
        "--workers": "1",
    }
    assert SAFE["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert SAFE["MLFLOW_DISABLE_TELEMETRY"] == "true"


@pytest.mark.parametrize("given", ["0x", "99999"])
def test_a_port_that_cannot_be_is_refused(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ConfigError, SystemExit)):
        ui("--port", given)


def test_it_opens_at_the_runs_of_this_checkouts_data(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = open_store(tmp_path)
    everything = {"all experiments": "experiments?workflowType=machine_learning"}
    assert pages(tmp_path, store) == everything
    write_split(split_record(), tmp_path / SPLIT_FILE)
    assert pages(tmp_path, store) == everything
    own = store.experiment(split_record().dataset)
    assert pages(tmp_path, store) == {
        "all runs": f"experiments/{own}/runs?workflowType=machine_learning"
    }
    view = prepared_view(
        "transfer", [], key="transfer", parent="0f", objective=OBJECTIVES["val_accuracy"]
    )
    ((tag, text),) = view.items()
    store.client.set_experiment_tag(own, tag, text)
    assert pages(tmp_path, store) == {"trials of transfer": page_of(own, "transfer")}


def look(address, profile):
    """Returns what a person reads on a page once it shows runs; its tabs come first."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    browser = open_browser(profile)
    try:
        browser.get(address)
        body = browser.find_element(By.TAG_NAME, "body")
        WebDriverWait(browser, 60).until(lambda _: "transfer-0000" in body.text)
        return body.text
    finally:
        browser.quit()


def test_a_taken_port_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(
            ConfigError, match=f"--port must be a free port. Received: --port {port}"
        ):
            ui("--port", str(port))


def test_runs_on_a_server_are_looked_at_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5001")
    with pytest.raises(ConfigError, match=r"open http://127\.0\.0\.1:5001 in a browser"):
        ui()


def ask(port, path, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/2.0/mlflow/{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def wait_until_healthy(port, server):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
        except (OSError, urllib.error.URLError):
            time.sleep(0.3)
        else:
            return
    pytest.fail("the server did not start")


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [("-m", "pipeline", "ui"), ("-m", "mlflow", "ui", "--workers", "1")],
    ids=["python -m pipeline ui", "mlflow ui"],
)
def test_every_run_and_artifact_is_shown(tmp_path, monkeypatch, port, command):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    store = open_store(tmp_path)
    experiment = store.experiment("digits")
    run_id = store.client.create_run(experiment, run_name="transfer-0000").info.run_id
    store.client.log_text(run_id, "hello", "note.txt")
    server = subprocess.Popen(
        [sys.executable, *command, "--port", str(port)],
        cwd=tmp_path,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_healthy(port, server)
        found = ask(port, "runs/search", {"experiment_ids": [experiment]})["runs"]
        assert [run["info"]["run_name"] for run in found] == ["transfer-0000"]
        artifact = f"http://127.0.0.1:{port}/get-artifact?run_id={run_id}&path=note.txt"
        with urllib.request.urlopen(artifact, timeout=10) as answer:
            assert answer.read() == b"hello"
        if "pipeline" in command:
            write_split(split_record(dataset="digits"), tmp_path / SPLIT_FILE)
            (page,) = pages(tmp_path, store).values()
            text = look(f"http://127.0.0.1:{port}/#/{page}", tmp_path / "profile")
            # Of model training, and not of traces and prompts.
            assert "Models" in text
            assert "Prompts" not in text
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
