"""The page in a real browser: seen whole, nothing loaded, nothing wrong, and it fits a phone."""

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.browser import open_browser

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = open_browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def visit(browser, page, tmp_path_factory):
    """The page as a file, opened in the browser at a given width."""
    file = tmp_path_factory.mktemp("page") / "index.html"
    file.write_text(page, encoding="utf-8")

    def open_at(width, **media):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        features = [{"name": name.replace("_", "-"), "value": v} for name, v in media.items()]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get(file.as_uri())
        return browser

    return open_at


def test_headings_tables_figures_and_images_are_seen(visit):
    opened = visit(1_200)
    assert opened.title == "fashion_mnist: search report"
    hidden = opened.execute_script(
        "return [...document.querySelectorAll('h1, h2, h3, table, caption, svg, img, .answers p')]"
        ".filter(e => !e.checkVisibility() || e.getBoundingClientRect().height < 8)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert hidden == []
    assert opened.find_element("css selector", "h1").text == "fashion_mnist"
    assert "Transfer beats scratch" in opened.find_element("css selector", ".answers .first").text


def test_every_image_is_decoded(visit):
    broken = visit(1_200).execute_script(
        "return [...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    )
    assert broken == 0


def test_nothing_is_loaded_beside_the_page_itself(visit):
    # What lies inside the page (data:) is listed too; nothing else may be.
    loaded = visit(1_200).execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    assert [name for name in loaded if not name.startswith("data:")] == []


def test_a_server_is_asked_for_the_page_and_nothing_else(browser, page, tmp_path):
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, *_):
            asked.append(self.path)

    (tmp_path / "index.html").write_text(page, encoding="utf-8")
    handler = functools.partial(Handler, directory=tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        browser.get(f"http://127.0.0.1:{server.server_address[1]}/index.html")
    finally:
        server.shutdown()
        server.server_close()
    assert asked == ["/index.html"]


def test_the_console_stays_silent(visit, browser):
    browser.get_log("browser")
    visit(1_200)
    assert browser.get_log("browser") == []


def test_it_fits_a_phone(visit):
    opened = visit(400)
    assert opened.execute_script("return document.documentElement.scrollWidth") <= 400
    beyond = opened.execute_script(
        "return [...document.querySelectorAll('body *')]"
        ".filter(e => !e.closest('.scroll, svg, pre') && e.getBoundingClientRect().right > 401)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert beyond == []
    texts = opened.execute_script(
        "return [...document.querySelectorAll('svg text')].map(t => "
        "parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a)"
    )
    # Rotated labels have a smaller CTM entry; only whole sizes are compared.
    assert sorted(texts)[len(texts) // 2] >= 8


def luminance(color):
    channels = [int(c) / 255 for c in color.strip("rgba()").split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_in_both_schemes(visit, scheme):
    opened = visit(1_200, prefers_color_scheme=scheme)
    page_color = opened.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (luminance(page_color) < 0.1) == (scheme == "dark")
    for selector in ("p", "td", "th", "a", ".note", ".range", "dt", "figcaption", "caption"):
        style = f"getComputedStyle(document.querySelector('{selector}')).color"
        color = opened.execute_script(f"return {style}")
        # WCAG 2.1 asks for 4.5 to 1 (level AA).
        assert contrast(color, page_color) >= 4.5, selector
    axis = opened.execute_script("return getComputedStyle(document.querySelector('svg text')).fill")
    assert contrast(axis, page_color) >= 4.5
