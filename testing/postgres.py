"""A real PostgreSQL for tests and benchmarks: Debian's, as a user of its own, on loopback only."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from pipeline.processes import die_with_parent

# Debian keeps each release's programs in a folder of its own, outside PATH.
BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/lib/postgresql"))
PASSWORD = "s3cret/with@signs"
START_SECONDS = 60
MESSAGE_BYTES = 65536


class PostgresServer:
    """A cluster in a folder of its own, which ends with the process that made it.

    Args:
        settings: What differs from Debian's configuration, as `name=value`.

    Attributes:
        port: Where it listens on 127.0.0.1, the same after a restart.
    """

    def __init__(self, *settings):
        if not (BINARIES / "initdb").exists():
            raise FileNotFoundError(
                f"{BINARIES} must hold PostgreSQL: apt-get install postgresql, as .ci/run does."
            )
        # Not below pytest's folder, into which only its own user may look.
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        # PostgreSQL refuses to run as root.
        self._as_user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        if self._as_user:
            shutil.chown(self.folder, **self._as_user)
        password_file = self.folder / "password"
        password_file.write_text(PASSWORD)
        self._run(
            *("initdb", "--pgdata", "data", "--username", "ann", "--auth", "scram-sha-256"),
            *("--pwfile", str(password_file), "--locale", "C", "--encoding", "UTF8", "--no-sync"),
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process = None
        self._settings = (f"unix_socket_directories={self.folder}", *settings)
        # The server ends with the thread that started it, so that is one which stays.
        self._starter = ThreadPoolExecutor(max_workers=1)
        self._num_databases = 0
        self.start()

    def start(self):
        """Starts the server and waits until it answers."""
        log = (self.folder / "log").open("ab")
        self._process = self._starter.submit(
            subprocess.Popen,
            [
                *(BINARIES / "postgres", "-D", "data", "-h", "127.0.0.1", "-p", str(self.port)),
                *(part for setting in self._settings for part in ("-c", setting)),
            ],
            cwd=self.folder,
            stdout=log,
            stderr=log,
            preexec_fn=_quit_with_parent,
            **self._as_user,
        ).result()
        log.close()
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def stop(self, mode="immediate"):
        """Stops it; `immediate` is a crash: nothing is said to clients, nothing is tidied up."""
        self._run("pg_ctl", "stop", "-w", "-m", mode, "-D", "data")
        self._process.wait(timeout=START_SECONDS)

    def close(self):
        """Stops it for good and removes its folder."""
        if self._process.poll() is None:
            self.stop()
        self._starter.shutdown()
        shutil.rmtree(self.folder)

    def new_database(self):
        """Creates an empty database and returns its URL, with the password in it."""
        self._num_databases += 1
        name = f"test_{self._num_databases}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, database, *, port=None, password=PASSWORD):
        """Returns a database's URL."""
        quoted = password.replace("/", "%2F").replace("@", "%40")
        return f"postgresql://ann:{quoted}@127.0.0.1:{port or self.port}/{database}"

    def execute(self, statement, database="postgres"):
        """Runs one statement as the superuser and returns its rows, if it has any."""
        with psycopg.connect(self._conninfo(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _conninfo(self, database):
        parts = {"host": "127.0.0.1", "port": self.port, "user": "ann", "password": PASSWORD}
        return psycopg.conninfo.make_conninfo(dbname=database, connect_timeout=5, **parts)

    def _answers(self):
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program, *arguments):
        done = subprocess.run(
            [BINARIES / program, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            **self._as_user,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}")


def _quit_with_parent():
    import signal

    die_with_parent(signal.SIGQUIT)


@pytest.fixture(scope="session")
def postgres(request):
    """A running server.

    Raises:
        LookupError: No test of this session is marked `server`, as in `make test-fast`.
    """
    if not any(item.get_closest_marker("server") for item in request.session.items):
        raise LookupError("A test that asks for PostgreSQL by name must be marked `server`.")
    # Tests crash the server, never the machine.
    server = PostgresServer("fsync=off")
    yield server
    server.close()


@pytest.fixture
def database(postgres):
    """The URL of an empty database."""
    return postgres.new_database()


class Proxy:
    """Stands between a client and the server, and breaks the line at a chosen moment.

    Attributes:
        port: Where clients connect on 127.0.0.1.
    """

    def __init__(self, server_port):
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._lines = []
        self._is_cut = None
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *, at, is_answered, delay_seconds=0.0):
        """Breaks the line at the next message that holds the bytes `at`.

        Args:
            at: Part of what the client sends.
            is_answered: Whether the message still reaches the server, which answers it; only the
                answer is lost then.
            delay_seconds: How much later than the line breaks it reaches the server.
        """
        self._is_cut = (at, is_answered, delay_seconds)

    def forsake(self):
        """Breaks every line towards the client; the server is not told."""
        for client, _ in self._lines:
            _hang_up(client)

    def close(self):
        self._listener.close()
        for line in self._lines:
            for end in line:
                end.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server_port))
            self._lines.append((client, server))
            is_mute = threading.Event()
            for pump in (self._send, self._answer):
                threading.Thread(target=pump, args=(client, server, is_mute), daemon=True).start()

    def _send(self, client, server, is_mute):
        with contextlib.suppress(OSError):
            while message := client.recv(MESSAGE_BYTES):
                if self._is_cut and self._is_cut[0] in message:
                    (_, is_answered, delay_seconds), self._is_cut = self._is_cut, None
                    if not is_answered:
                        _hang_up(client, server)
                        return
                    is_mute.set()
                    if delay_seconds:
                        _hang_up(client)
                        time.sleep(delay_seconds)
                server.sendall(message)

    def _answer(self, client, server, is_mute):
        with contextlib.suppress(OSError):
            while (message := server.recv(MESSAGE_BYTES)) and not is_mute.is_set():
                client.sendall(message)
        _hang_up(client, server)


def _hang_up(*ends):
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(postgres):
    """A line to the server that can be cut."""
    proxy = Proxy(postgres.port)
    yield proxy
    proxy.close()
