"""One local page: drop an image, see its class, the probabilities, and which region decided.

Run: python -m pipeline demo [--model URI] [--port 8000]
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from pipeline.commands.predict import (
    RGB_RANK,
    add_model_argument,
    asked_classifier,
    check_can_prepare,
    class_names,
    value_range,
)
from pipeline.commands.ui import HOST, check_port
from pipeline.data.images import ValueRange, load_image
from pipeline.errors import DataIntegrityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras
    from numpy.typing import NDArray

FILES: Final = {
    "/": (Path(__file__).with_name("demo.html").read_bytes(), "text/html; charset=utf-8"),
    "/demo.js": (Path(__file__).with_name("demo.js").read_bytes(), "text/javascript"),
}
MOST_BYTES: Final = 50_000_000
MOST_CLASSES: Final = 10
"""Shown, the likeliest first."""
HEAT_COLOR: Final = (220, 40, 20)
MOST_OPAQUE: Final = 200
"""Of 255, where most speaks for the class."""
POLICY: Final = "default-src 'self'; img-src data:; style-src 'unsafe-inline'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    add_model_argument(parser)
    parser.add_argument("--port", type=int, default=8000, help="1 to 65535 (default: %(default)s)")


def main(args: argparse.Namespace) -> int:
    """Serves the page on this machine alone; ends with Ctrl-C.

    Raises:
        ConfigError: If the port is taken, there is no such model, or it takes no square images.
        DataIntegrityError: If the model is not what was registered.
    """
    check_port(args.port)
    root = Path.cwd()
    classifier = asked_classifier(args, root)
    check_can_prepare(classifier.model.input_shape[1:])
    shown = Demo(
        classifier.model,
        class_names(classifier, root),
        source=classifier.source,
        value_range=value_range(classifier, root),
    )
    with DemoServer(args.port, shown) as server:
        print(f"Demo: http://{HOST}:{server.server_port}", file=sys.stderr)
        server.serve_forever()
    return 0


class Demo:
    """What the page asks for.

    Args:
        model: Raw square images to probabilities.
        class_names: One for each output.
        source: What the model is, for people.
        value_range: What is black and white in gray of more than 8 bits.
    """

    def __init__(
        self,
        model: keras.Model,
        class_names: Sequence[str],
        *,
        source: str,
        value_range: ValueRange | None,
    ) -> None:
        from pipeline.training.image_classifier import ImageClassifier
        from pipeline.training.saliency import Saliency

        self._shape = model.input_shape[1:]
        self._value_range = value_range
        self._classify = ImageClassifier(model, class_names)
        self._saliency = Saliency(model)
        self._lock = threading.Lock()
        self.told = {"source": source, "classes": list(class_names)}

    def answer(self, content: bytes) -> dict[str, object]:
        """Returns the class, the largest probabilities, and two pictures as data addresses.

        Args:
            content: Of an image file.

        Raises:
            DataIntegrityError: If it is none that can be read.
        """
        color: Literal["rgb", "gray"] = "rgb" if len(self._shape) == RGB_RANK else "gray"
        image = load_image(
            io.BytesIO(content),
            image_size=self._shape[0],
            color=color,
            value_range=self._value_range,
        )
        with self._lock:
            (found,) = self._classify(image[None])
            heat = self._saliency(image[None])[0]
        ranked = sorted(found.probabilities.items(), key=lambda pair: -pair[1])
        return {
            "class": found.likeliest,
            "probabilities": ranked[:MOST_CLASSES],
            "image": _address(image),
            "heat": _address(_as_heat(heat)),
        }


def _as_heat(shares: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Returns a red picture that covers what spoke for the class, shape (h, w, 4)."""
    found = np.zeros((*shares.shape, 4), np.uint8)
    found[..., :3] = HEAT_COLOR
    found[..., 3] = np.round(MOST_OPAQUE * shares)
    return found


def _address(image: NDArray[np.uint8]) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


class DemoServer(ThreadingHTTPServer):
    """Serves the page on this machine alone.

    Args:
        port: Where it listens; 0 is any free one.
        demo: What answers.
    """

    def __init__(self, port: int, demo: Demo) -> None:
        super().__init__((HOST, port), _Handler)
        self.demo = demo


class _Handler(BaseHTTPRequestHandler):
    server: DemoServer
    timeout = 60.0
    """Seconds that a connection may say nothing."""

    def do_GET(self) -> None:
        if not self._is_local():
            return
        if self.path in FILES:
            self._send(*FILES[self.path])
        elif self.path == "/model":
            self._send_json(self.server.demo.told)
        else:
            self._send_json({"error": "There is no such page."}, HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        if not self._is_local():
            return
        length = self.headers.get("Content-Length") or "0"
        size = int(length) if length.isdecimal() else MOST_BYTES + 1
        if self.path != "/classify":
            self._send_json({"error": "There is no such page."}, HTTPStatus.NOT_FOUND)
        elif size > MOST_BYTES:
            most = f"An image must have {MOST_BYTES // 10**6} MB at most."
            self._send_json({"error": most}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            self.close_connection = True
        else:
            try:
                self._send_json(self.server.demo.answer(self.rfile.read(size)))
            except DataIntegrityError as error:
                self._send_json({"error": str(error)}, HTTPStatus.BAD_REQUEST)

    def _is_local(self) -> bool:
        """Refuses what a page of another site sends here under its own name."""
        name = (self.headers.get("Host") or "").partition(":")[0]
        if name in (HOST, "localhost"):
            return True
        self._send_json({"error": "Open it as localhost."}, HTTPStatus.FORBIDDEN)
        return False

    def _send_json(self, content: object, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(content).encode(), "application/json", status)

    def _send(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the page shows what happens."""
