"""A web server that answers everything as it is told to, where a tracking server should be."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WebServer:
    """Used as a context manager. `status` and `body` may change while it runs.

    Attributes:
        mode: `answer`, `close`: hangs up without an answer, or `hang`: answers after 30 s.
        num_requests: How often it was asked.
    """

    def __init__(self, status=200, body=b"", mode="answer"):
        self.status, self.body, self.mode = status, body, mode
        self.num_requests = 0
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                owner.num_requests += 1
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if owner.mode == "close":
                    self.connection.close()
                    return
                if owner.mode == "hang":
                    time.sleep(30)
                self.send_response(owner.status)
                self.send_header("Content-Length", str(len(owner.body)))
                self.end_headers()
                self.wfile.write(owner.body)

            do_POST = do_PUT = do_PATCH = do_GET

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
