"""A process ends when its parent does, however that dies."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.conftest import ROOT

CHILD = """
import os, signal, sys, time
from pipeline.processes import die_with_parent
die_with_parent(signal.{name}, {parent})
print(os.getpid(), flush=True)
time.sleep(60)
"""
# The child's output is the parent's, so that its first line says when it is ready.
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"

LOOP = """
import os, signal, time
from pipeline.processes import listen, raise_received

class Held:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        time.sleep(0.01)

listen()
held = Held()
del held
print("went on", flush=True)
for _ in range(100):
    {body}
    time.sleep(0.01)
print("to its end")
"""
ORPHAN = """
import os, signal, sys, time
from pipeline.processes import die_with_parent

if os.fork():
    os._exit(0)
time.sleep(0.3)
die_with_parent(signal.SIGTERM)
open(sys.argv[1], "w").close()
"""


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_a_killed_parent_takes_its_child_along(name):
    parent = start(PARENT, CHILD.format(name=name, parent="None"))
    child = psutil.Process(int(parent.stdout.readline()))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _, alive = psutil.wait_procs([child], timeout=10)
    for process in alive:
        process.kill()
    parent.stdout.close()
    assert not alive


def test_a_child_whose_parent_died_before_it_could_ask_ends():
    # Of a parent that is not this one any more.
    child = start(CHILD.format(name="SIGKILL", parent=os.getpid() + 1))
    output, _ = child.communicate(timeout=30)
    assert (child.returncode, output) == (1, "")


def test_a_child_of_a_living_parent_goes_on():
    child = start(CHILD.format(name="SIGKILL", parent="os.getppid()"))
    assert int(child.stdout.readline()) == child.pid
    child.kill()
    child.communicate()


def run(name, body):
    code = LOOP.format(name=name, body=body)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.parametrize(("name", "code"), [("SIGINT", -signal.SIGINT), ("SIGTERM", 143)])
def test_an_exception_that_a_finalizer_swallows_is_raised_by_the_next_loop(name, code):
    done = run(name, "raise_received()")
    assert "Exception ignored in" not in done.stderr
    assert done.stdout == "went on\n"
    assert done.returncode == code


def test_a_loop_that_does_not_ask_goes_to_its_end():
    done = run("SIGTERM", "pass")
    assert done.stdout == "went on\nto its end\n"


def test_a_second_ctrl_c_ends_the_process_at_once():
    code = run("SIGINT", "os.kill(os.getpid(), signal.SIGINT)").returncode
    assert code == 130


def test_a_second_sigterm_means_nothing():
    body = "os.kill(os.getpid(), signal.SIGTERM)"
    assert "to its end" in run("SIGTERM", body).stdout


def test_without_a_signal_nothing_is_raised():
    code = "from pipeline.processes import listen, raise_received; listen(); raise_received()"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})


def test_a_parent_that_died_before_it_could_be_watched_is_noticed(tmp_path):
    marker = tmp_path / "went-on"
    command = [sys.executable, "-c", ORPHAN, str(marker)]
    subprocess.run(command, start_new_session=True, check=True)
    time.sleep(2)
    assert not marker.exists()


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "check"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    assert process.wait() == 0
