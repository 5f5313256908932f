"""Commands as forks of one process that has imported their libraries.

`python -m pipeline audit` spends most of its time on importing Optuna and MLflow, and most stages
spend seconds on TensorFlow, too. A fork has them, and is in most else such a command: it imports
this project's code anew, from the folder that it runs in, and has an environment, signals and an
exit code of its own. What a library reads of its environment while it is imported is the tests'.
"""

import atexit
import functools
import json
import multiprocessing
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from contextlib import suppress
from multiprocessing import forkserver, util
from pathlib import Path
from shlex import quote
from unittest.mock import patch

_CONTEXT = multiprocessing.get_context("forkserver")
# Beside Python's own, which the project's workers are forks of where a test runs them in-process.
_SERVER = forkserver.ForkServer()
_SERVER.set_forkserver_preload(["testing.libraries"])
# Run as `python` by DVC: asks the tests' process for a fork, and ends as that does.
_STAND_IN = """import json, os, socket, sys
if sys.argv[1:3] != ["-m", "pipeline"]:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
asked = {{"pid": os.getpid(), "arguments": sys.argv[3:], "folder": os.getcwd()}}
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    server.sendall(json.dumps({{**asked, "environment": dict(os.environ)}}).encode() + b"\\n")
    code = int(server.makefile().readline())
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


def preload_tensorflow():
    """Has all forks that come import TensorFlow's part of the libraries, too, once for all."""
    _SERVER.set_forkserver_preload(["testing.libraries", "testing.keras_libraries"])


@functools.cache
def folder_of_python():
    """Returns a folder whose `python` has `python -m pipeline ...` done by a fork.

    To be the first of a PATH in which `dvc repro` looks for it. A test that kills `dvc` must not
    use it: forks are in no group of processes of `dvc`, and go on.
    """
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "socket"))
    server.listen()
    script, stand_in = folder / "ask.py", folder / "python"
    script.write_text(_STAND_IN.format(python=sys.executable, address=str(folder / "socket")))
    # Not as the first line of the script, where a path may be neither long nor have blanks.
    stand_in.write_text(f'#!/bin/sh\nexec {quote(sys.executable)} -IS {script} "$@"\n')
    stand_in.chmod(0o755)
    threading.Thread(target=_serve, args=(server,), daemon=True).start()
    return folder


def _serve(server):
    while True:
        connection, _ = server.accept()
        # Whoever asked may be gone, which must not keep others from being served.
        with suppress(OSError, ValueError), connection, connection.makefile("rw") as stream:
            asked = json.loads(stream.readline())
            pid = asked.pop("pid")
            fork = Fork("pipeline", **asked, output=f"/proc/{pid}/fd/1")
            stream.write(f"{fork.wait()}\n")


class Fork:
    """`python -m MODULE ARGUMENTS`, with the part of `subprocess.Popen` that tests use.

    Args:
        module: Its name.
        arguments: What it is given.
        folder: Where it runs, and where modules are looked for first.
        environment: All of its environment.
        output: Where it prints to, for one that ends with its parent, as stages do. None: a file
            that `communicate` reads, and the fork leads a session.
    """

    def __init__(self, module, arguments, *, folder, environment, output=None):
        self._output = tempfile.NamedTemporaryFile()  # noqa: SIM115, lives as long as this.
        given = (module, [str(argument) for argument in arguments], str(folder), environment)
        given = (*given, output or self._output.name)
        self._process = _CONTEXT.Process(target=_run, args=given, kwargs={"leads": output is None})
        with patch.object(forkserver, "connect_to_new_process", _SERVER.connect_to_new_process):
            self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self._process.exitcode

    def wait(self, timeout=None):
        """Waits for its end; returns its exit code, negative after a signal."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return self._process.exitcode

    def communicate(self, timeout=None):
        """Waits for its end; returns what it printed, and None for what is in there, too."""
        self.wait(timeout)
        self._output.seek(0)
        return self._output.read().decode(), None


def _fork_the_server_of_workers():
    """Lets a stage's workers be forks of a fork of the stage, which has TensorFlow, yet unused.

    `multiprocessing` starts a new Python for that server, which would import TensorFlow again.
    """
    spawn = util.spawnv_passfds

    def forked(path, arguments, handed_on):
        code = os.fsdecode(arguments[-1])
        if not code.startswith("from multiprocessing.forkserver import main"):
            return spawn(path, arguments, handed_on)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if not pid:
            _be_the_server_of_workers(code, handed_on)
        return pid

    util.spawnv_passfds = forked


def _be_the_server_of_workers(code, handed_on):
    """Does what a new Python is given to do, and ends."""
    status = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        # A new program has none of the others; above all not the end that says who lives.
        for descriptor in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
            if descriptor > 2 and descriptor not in handed_on:
                with suppress(OSError):
                    os.close(descriptor)
        exec(code, {})
    except SystemExit:  # As it ends.
        status = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(status)


def _run(module, arguments, folder, environment, output, *, leads):
    if leads:
        os.setsid()
    _fork_the_server_of_workers()
    # Code is compiled once for all forks, whatever the server was started with.
    sys.dont_write_bytecode = False
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # Found in the tests' environment, as soon as a library wants it.
    tempfile.tempdir = None
    written = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(written, 1)
    os.dup2(written, 2)
    sys.path[0:0] = [folder]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
