"""The page that classifies a dropped image, in a real browser and beside it."""

import http.client
import io
import json
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from tests.browser import open_browser
from tests.training.test_saliency import SIZE, corner_images, corner_model

pytestmark = [pytest.mark.keras, pytest.mark.slow]

NAMES = ["upper left", "upper <b>right</b>", "lower left", "lower right"]


@pytest.fixture(scope="module")
def address():
    from pipeline.commands.demo import Demo, DemoServer

    demo = Demo(corner_model("map"), NAMES, source="corners version 3", value_range=None)
    with DemoServer(0, demo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def png(number, size=SIZE):
    file = io.BytesIO()
    Image.fromarray(corner_images()[number]).resize((size, size), 0).save(file, "PNG")
    return file.getvalue()


def post(address, content, **headers):
    request = urllib.request.Request(f"{address}/classify", content, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_file_gets_its_class_and_where_it_is(address):
    status, answer = post(address, png(2, size=200))
    assert (status, answer["class"]) == (200, "lower left")
    assert answer["probabilities"][0][0] == "lower left"
    assert sum(share for _, share in answer["probabilities"]) == pytest.approx(1)
    with urllib.request.urlopen(answer["heat"]) as file:
        heat = np.asarray(Image.open(io.BytesIO(file.read())))[..., 3]
    assert heat[SIZE // 2 :, : SIZE // 2].mean() > 10 * heat[: SIZE // 2].mean()


@pytest.mark.parametrize("content", [b"", b"no image", png(0)[:40]])
def test_what_is_no_image_is_refused_in_a_sentence(address, content):
    status, answer = post(address, content)
    assert status == 400
    assert answer["error"].endswith(".")
    assert post(address, png(0))[0] == 200


@pytest.mark.parametrize("length", ["-1", "many", str(10**9)])
def test_no_more_is_read_than_an_image_may_have(address, length):
    host, port = address.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.putrequest("POST", "/classify")
    connection.putheader("Content-Length", length)
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_a_page_of_another_site_gets_nothing(address):
    assert post(address, png(0), Host="evil.example")[0] == 403


def test_a_person_chooses_an_image_and_sees_what_it_is(address, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    (tmp_path / "corner.png").write_bytes(png(1))
    (tmp_path / "text.png").write_text("no image")
    browser = open_browser(tmp_path / "profile")
    try:
        browser.get(address)
        wait = WebDriverWait(browser, 30)
        model = browser.find_element(By.ID, "model")
        wait.until(lambda _: "corners version 3: upper left" in model.text)
        chooser = browser.find_element(By.ID, "file")
        chooser.send_keys(str(tmp_path / "corner.png"))
        found = browser.find_element(By.ID, "class")
        # Names are text, whatever is in them.
        wait.until(lambda _: found.text == "upper <b>right</b>")
        rows = browser.find_elements(By.CSS_SELECTOR, "#probabilities li")
        assert len(rows) == 4
        assert rows[0].text.startswith("upper <b>right</b>")
        width = "return arguments[0].naturalWidth"
        for picture in ("seen", "heat"):
            element = browser.find_element(By.ID, picture)
            wait.until(lambda _, shown=element: browser.execute_script(width, shown) == SIZE)
        browser.save_screenshot(str(tmp_path / "demo.png"))
        browser.find_element(By.ID, "show").click()
        assert not browser.find_element(By.ID, "heat").is_displayed()
        chooser.send_keys(str(tmp_path / "text.png"))
        problem = browser.find_element(By.ID, "problem")
        wait.until(lambda _: "cannot be read as an image" in problem.text)
        assert not browser.find_element(By.ID, "result").is_displayed()
        severe = [one for one in browser.get_log("browser") if "400" not in one["message"]]
        assert [one for one in severe if one["level"] == "SEVERE"] == []
    finally:
        browser.quit()
