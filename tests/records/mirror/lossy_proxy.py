"""A proxy that loses requests on the way to a tracking server, and answers on the way back."""

import http.client
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FORWARDED = ("Content-Type", "Content-Length")


class LossyProxy:
    """Used as a context manager.

    Args:
        uri: Of the server.
        seed: Of the draws.
        loss: Probability that a request is lost, and that its answer is.

    Attributes:
        num_lost: How many requests and answers did not arrive.
    """

    def __init__(self, uri, *, seed, loss):
        self.num_lost = 0
        draws, lock, owner = random.Random(seed), threading.Lock(), self

        def is_lost():
            with lock:
                lost = draws.random() < loss
                owner.num_lost += lost
                return lost

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                is_health = self.path == "/health"
                if is_lost() and not is_health:
                    self.connection.close()
                    return
                target = http.client.HTTPConnection(urlsplit(uri).netloc, timeout=60)
                headers = {k: self.headers[k] for k in FORWARDED if k in self.headers}
                target.request(self.command, self.path, body, headers)
                answer = target.getresponse()
                content = answer.read()
                target.close()
                if is_lost() and not is_health:
                    self.connection.close()
                    return
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.getheader("Content-Type", ""))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

            def log_message(self, *_):
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()
