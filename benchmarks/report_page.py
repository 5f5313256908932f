"""How long a report of many trials takes to be usable in a browser, and a filter to be done.

A made-up study is rendered and opened in headless Chromium, each time anew from the file. Usable
is when both figures of all trials are drawn and the filters listen (the mark `explorer-ready`);
painted when the frame after that has been. The filter chooses one state, up to the frame after it.

Run: python -m benchmarks.report_page [--trials 300] [--repeats 7]
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from pipeline.report.inputs import read_results
from pipeline.report.page import render
from tests.browser import open_browser
from tests.report.example import write_example

USABLE = "return performance.getEntriesByName('explorer-ready')[0].startTime"
PAINTED = "requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())))"
FILTER = (
    "const done = arguments[0], field = document.querySelector('#explorer [name=state]');"
    "const began = performance.now(); field.value = 'pruned';"
    "field.dispatchEvent(new Event('input', {bubbles: true}));"
    "requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)))"
)


def main() -> None:
    """Prints the medians in milliseconds, and the size of the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=300, help="in one study")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = write_example(Path(folder), studies=("transfer",), num_trials=args.trials)
        results, began = read_results(root), time.monotonic()
        file = root / "index.html"
        file.write_text(render(results), encoding="utf-8")
        megabytes = file.stat().st_size / 1e6
        print(f"{args.trials} trials: {megabytes:.1f} MB in {time.monotonic() - began:.1f} s")
        browser = open_browser(root / "profile")
        found: list[tuple[float, float, float]] = []
        try:
            for _ in range(args.repeats):
                browser.get(file.as_uri())
                usable = browser.execute_script(USABLE)
                painted = browser.execute_async_script(f"const done = arguments[0]; {PAINTED}")
                found.append((usable, painted, browser.execute_async_script(FILTER)))
        finally:
            browser.quit()
    for name, values in zip(("usable", "painted", "filter"), zip(*found, strict=True), strict=True):
        print(f"{name}: median {statistics.median(values):.0f} ms, most {max(values):.0f} ms")


if __name__ == "__main__":
    main()
