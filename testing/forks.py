"""Commands as forks of one process that has imported their libraries.

`python -m pipeline audit` spends most of its time on importing Optuna and MLflow. A fork has them,
and is in all else such a command: it imports this project's code anew, from the folder that it runs
in, and has an environment, a session, signals and an exit code of its own.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from multiprocessing import forkserver
from pathlib import Path
from unittest.mock import patch

_CONTEXT = multiprocessing.get_context("forkserver")
# Beside Python's own, which the project's workers are forks of where a test runs them in-process.
_SERVER = forkserver.ForkServer()
_SERVER.set_forkserver_preload(["testing.libraries"])


class Fork:
    """`python -m MODULE ARGUMENTS`, with the part of `subprocess.Popen` that tests use.

    Args:
        module: Its name.
        arguments: What it is given.
        folder: Where it runs, and where modules are looked for first.
        environment: All of its environment.
    """

    def __init__(self, module, arguments, *, folder, environment):
        self._output = tempfile.NamedTemporaryFile()  # noqa: SIM115, lives as long as this.
        given = (module, [str(argument) for argument in arguments], str(folder), environment)
        self._process = _CONTEXT.Process(target=_run, args=(*given, self._output.name))
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


def _run(module, arguments, folder, environment, output):
    os.setsid()
    # Code is compiled once for all forks, whatever the server was started with.
    sys.dont_write_bytecode = False
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    with Path(output).open("wb") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    sys.path[0:0] = [folder]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
