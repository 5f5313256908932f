"""A registered model answers pixels and image files, over HTTP too, and refuses anything else."""

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

import numpy as np
import pytest
from PIL import Image

from pipeline.records.mirror.store import open_store
from pipeline.records.model_registry.versions import log_version

pytestmark = pytest.mark.keras

NAME = "digits-classifier"
GRAYS = (10, 120, 230)  # One of each class.
START_SECONDS = 120


def images(num=3):
    grays = np.resize(np.uint8(GRAYS), num)
    return np.tile(grays[:, None, None], (1, 8, 8))


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


WRONG = {
    "another shape": [[[1, 2], [3, 4]]],
    "rows of different lengths": [[[1, 2], [3]]],
    "one image without a list around it": images(1)[0].tolist(),
    "shares": (images() / 255).tolist(),
    "a value above 255": (images().astype(int) + 200).tolist(),
    "a negative value": (images().astype(int) - 100).tolist(),
    "nothing": [],
    "a number": 5,
    "null": None,
    "no base64": ["!!!"],
    "no image": [base64.b64encode(b"no image").decode()],
    "a cut image": [png(images(1)[0])[:60]],
    "texts and pixels": [png(images(1)[0]), images(1)[0].tolist()],
    "two columns": {"a": [png(images(1)[0])], "b": [1]},
}


class TestClassifier:
    """Without a server, which gives it what it has parsed."""

    @pytest.fixture(scope="class")
    def served(self):
        from pipeline.records.model_registry.served import Served
        from pipeline.training.image_classifier import ImageClassifier
        from testing.registering import classifier

        return Served(ImageClassifier(classifier(0, 1.0), ["zero", "one", "two"]))

    def test_pixels_and_files_get_the_same_class_and_probabilities(self, served):
        by_pixels = served.predict(images())
        assert [one["class"] for one in by_pixels] == ["zero", "one", "two"]
        assert sum(by_pixels[0]["probabilities"].values()) == pytest.approx(1)
        files = [png(one) for one in images()]
        assert served.predict(files) == by_pixels
        assert served.predict({"image": files}) == by_pixels
        assert served.predict([base64.b64decode(file) for file in files]) == by_pixels

    def test_more_images_than_go_through_at_a_time_keep_their_order(self, served):
        found = [one["class"] for one in served.predict(images(200))]
        assert found == (["zero", "one", "two"] * 67)[:200]

    @pytest.mark.parametrize("given", WRONG.values(), ids=WRONG)
    def test_anything_else_is_refused_in_a_sentence(self, served, given):
        from mlflow.exceptions import MlflowException

        with pytest.raises(MlflowException) as refused:
            served.predict(given)
        assert refused.value.get_http_status_code() == 400
        assert refused.value.message.endswith(".")
        assert len(refused.value.message.splitlines()) == 1


def test_a_file_that_is_not_the_one_registered_is_not_served(root, candidate):
    from pipeline.errors import DataIntegrityError
    from pipeline.records.model_registry.served import _load_pyfunc

    store = open_store(root)
    store.client.create_registered_model(NAME)
    log_version(store, candidate(mean=1.0), NAME)
    (file,) = (root / "mlruns").rglob("model.keras")
    assert _load_pyfunc(str(file.parent)).predict(images())[0]["class"] == "zero"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataIntegrityError, match="must be the file that was registered"):
        _load_pyfunc(str(file.parent))


@pytest.fixture
def server(root, candidate):
    """A version, served as a user would do it; the address."""
    store = open_store(root)
    store.client.create_registered_model(NAME)
    log_version(store, candidate(mean=1.0), NAME)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["models", "serve", "-m", f"models:/{NAME}/1", "--env-manager", "local"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *command, "--port", str(port)],
        cwd=root,
        env={**os.environ, "MLFLOW_TRACKING_URI": store.uri},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline
        try:
            urllib.request.urlopen(f"{address}/ping", timeout=5).close()
            break
        except OSError:
            time.sleep(0.3)
    yield address
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def post(address, content):
    """Returns the status and what the answer says."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    request = urllib.request.Request(
        f"{address}/invocations", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.slow
def test_mlflow_serves_it(server):
    """Pixels, files in each of MLflow's forms, and what is neither; the server lives on."""
    files = [png(one) for one in images()]
    status, by_pixels = post(server, {"inputs": images().tolist()})
    assert status == 200
    assert [one["class"] for one in by_pixels["predictions"]] == ["zero", "one", "two"]
    frame = {"columns": ["image"], "data": [[file] for file in files]}
    in_base64 = [{"b64": file} for file in files]
    for form in ({"inputs": files}, {"dataframe_split": frame}, {"instances": in_base64}):
        assert post(server, form) == (200, by_pixels)
    for name, given in WRONG.items():
        status, said = post(server, {"inputs": given})
        assert 400 <= status < 500, (name, said)
    for body in (b"{", b"", b"\xff\xfe", b'{"other": 1}', b"0" * 100_000_000):
        status, said = post(server, body)
        assert 400 <= status < 500, said[:300]
    assert post(server, {"inputs": images().tolist()}) == (200, by_pixels)
