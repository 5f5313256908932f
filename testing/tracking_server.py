"""A real `mlflow server` for tests and benchmarks, which can be killed and started again."""

import os
import signal
import socket
import time
import urllib.request

from testing.forks import Fork

START_SECONDS = 120


class TrackingServer:
    """A tracking server with a store of its own, on loopback, at the same port after a restart.

    Used as a context manager, which ends it.

    Args:
        folder: Where its database and its artifacts are; made if need be.
    """

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process = None

    def start(self):
        """Starts it without waiting."""
        self._process = Fork(
            "mlflow",
            ["server", "--workers", "1", "--port", self.port],
            folder=self._folder,
            environment={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )

    def wait(self):
        """Waits until it answers."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ChildProcessError("the server ended")
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=2).close()
            except OSError:
                time.sleep(0.3)
            else:
                return
        raise TimeoutError("the server did not start")

    def signal(self, signum):
        """Sends all of its processes a signal."""
        os.killpg(self._process.pid, signum)

    def kill(self):
        """Ends it with SIGKILL, in the middle of whatever it does."""
        self.signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def __enter__(self):
        self.start()
        try:
            self.wait()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *error):
        if self._process is not None:
            self.kill()
