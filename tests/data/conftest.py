"""A web server on loopback that serves files well and badly."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.data.datasets import SourceFile

Answer = Callable[[BaseHTTPRequestHandler], None]


class FileServer:
    """Answers each path as told; unknown ones with 404.

    Attributes:
        address: The folder under which the paths lie, ending in a slash.
        requests: The paths asked for, in order.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self._answers: dict[str, Answer] = {}
        self._closing = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.lstrip("/")
                owner.requests.append(path)
                if path in owner._answers:
                    owner._answers[path](self)
                else:
                    self.send_error(404)

            def log_message(self, *_: object) -> None:
                return

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client that hangs up early is what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def serve(self, path: str, content: bytes) -> None:
        """Sends `content`."""
        self._answers[path] = lambda request: _send(request, content, len(content))

    def cut(self, path: str, content: bytes, *, times: int = 1_000_000) -> None:
        """Promises `content`, sends half and hangs up; after `times` requests sends all."""
        left = iter(range(times))

        def answer(request: BaseHTTPRequestHandler) -> None:
            is_cut = next(left, None) is not None
            _send(request, content[: len(content) // 2] if is_cut else content, len(content))

        self._answers[path] = answer

    def stall(self, path: str, content: bytes) -> None:
        """Promises `content`, sends half and falls silent."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            _send(request, content[: len(content) // 2], len(content))
            request.wfile.flush()
            self._closing.wait(30)

        self._answers[path] = answer

    def close(self) -> None:
        """Lets the silent go and stops."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()


def _send(request: BaseHTTPRequestHandler, content: bytes, promised: int) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(promised))
    request.end_headers()
    request.wfile.write(content)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    # A proxy of this machine would be asked for loopback, too.
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("PIPELINE_MIRROR", raising=False)
    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def published() -> Callable[..., SourceFile]:
    """Returns the table entry of a file with the given content."""

    def of(name: str, content: bytes) -> SourceFile:
        return SourceFile(name, hashlib.sha256(content).hexdigest(), len(content))

    return of
