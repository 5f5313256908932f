"""A process ends when its parent does, however that dies."""

import os
import signal
import subprocess
import sys

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
