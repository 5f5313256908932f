"""A champion served by `mlflow models serve`: test images as pixels and as PNG files over HTTP.

The accuracy must be what `evaluate` found on the same images, and the server must live on after
requests that are none. In a checkout in which `dvc repro` has run.

Run: python -m benchmarks.serving [--images 1000] [--at-a-time 20]
"""

import argparse
import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from pipeline.records.mirror.store import open_store
from pipeline.trials.registration import registration_of

START_SECONDS = 180


def start(uri: str, model: str) -> tuple[subprocess.Popen[bytes], str]:
    """Starts MLflow's server and waits for it; returns its process and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["models", "serve", "-m", model, "--env-manager", "local", "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *command],
        env={**os.environ, "MLFLOW_TRACKING_URI": uri},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{address}/ping", timeout=5).close()
        except OSError:
            time.sleep(0.3)
        else:
            return process, address
    raise TimeoutError("the server did not start")


def post(address: str, body: bytes) -> tuple[int, bytes]:
    """Returns the status and the answer of a request."""
    request = urllib.request.Request(
        f"{address}/invocations", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def png(image: np.ndarray) -> str:
    """Returns an image as a PNG file in base64."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def classify(address: str, given: list[object], at_a_time: int) -> tuple[list[str], float]:
    """Returns the class of each image, and the requests a second."""
    found = []
    began = time.perf_counter()
    starts = range(0, len(given), at_a_time)
    for start_at in starts:
        some = given[start_at : start_at + at_a_time]
        status, answer = post(address, json.dumps({"inputs": some}).encode())
        if status != 200:
            raise RuntimeError(answer[:300])
        found += [one["class"] for one in json.loads(answer)["predictions"]]
    return found, len(starts) / (time.perf_counter() - began)


def main() -> None:
    """Parses the command line, serves the champion and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--at-a-time", type=int, default=20)
    args = parser.parse_args()
    root = Path.cwd()
    record = registration_of(root)
    if record is None:
        sys.exit("Nothing is registered here. Run: dvc repro")
    with np.load(root / "data/test.npz") as archive:
        images, labels = archive["images"][: args.images], archive["labels"][: args.images]
    with np.load(root / "results/predictions.npz") as archive:
        expected = archive[record.study][: args.images].argmax(axis=1)
    names = json.loads((root / "data/split.json").read_text(encoding="utf-8"))["class_names"]
    model = f"models:/{record.registered_model}/{record.version}"
    print(f"{machine()}; {model}, {len(images)} test images, {args.at_a_time} a request")
    print(f"evaluate: accuracy {np.mean(expected == labels):.4f}")
    process, address = start(open_store(root).uri, model)
    try:
        forms = {"pixels": [one.tolist() for one in images], "PNG": [png(one) for one in images]}
        for form, given in forms.items():
            found, per_second = classify(address, given, args.at_a_time)
            ids = np.array([names.index(name) for name in found])
            print(
                f"{form}: accuracy {np.mean(ids == labels):.4f}, {int(np.sum(ids != expected))} "
                f"other classes than evaluate's, {per_second:.1f} requests a second"
            )
        wrong = {
            "another shape": b'{"inputs": [[[1, 2], [3, 4]]]}',
            "another type": b'{"inputs": [{"a": null}]}',
            "no image": b'{"inputs": ["bm8gaW1hZ2U="]}',
            "100 MB": b"0" * 100_000_000,
        }
        for name, body in wrong.items():
            status, answer = post(address, body)
            print(f"{name}: status {status}, {answer[-160:].decode(errors='replace')!r}")
        status, _ = post(address, json.dumps({"inputs": forms["PNG"][:1]}).encode())
        print(f"afterwards: status {status}")
    finally:
        os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
