"""All trials in a real browser: every one is there, the filters work, and nothing is loaded."""

import math
from dataclasses import replace

import pytest
from selenium.webdriver import ActionChains, Keys

from pipeline.report.inputs import read_results
from pipeline.report.page import render
from tests.browser import open_browser
from tests.report.example import write_example

pytestmark = pytest.mark.slow
NUM_TRIALS = 35
SHOWN = "return [...document.querySelectorAll('#all-trials tbody tr')].filter(r => !r.hidden)"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Results of two studies with 35 trials each, on two rungs, with verdicts."""
    root = tmp_path_factory.mktemp("explored")
    searched = ("cut", "learning_rate", "clipping_threshold", "normalize_first")
    write_example(root, n=200, num_trials=NUM_TRIALS, searched=searched)
    results = read_results(root)

    def noted(trial):
        share = 1.0 if trial.number % 5 == 0 else 1 / 3
        # Every fourth is overfitted.
        accuracies = {"accuracy": 0.99, "val_accuracy": 0.7 if trial.number % 4 == 0 else 0.98}
        epoch = {
            **{"epoch": 0, "at_ms": 1, "health": {}},
            "metrics": {**accuracies, "loss": 0.1, "val_loss": 0.1},
        }
        own = {"share": share, "rung": int(share == 1.0), "epochs": [epoch]}
        return replace(trial, attributes={**trial.attributes, **own})

    studies = [
        replace(
            one, search=replace(one.search, trials=[noted(trial) for trial in one.search.trials])
        )
        for one in results.studies
    ]
    return replace(results, studies=studies)


@pytest.fixture(scope="module")
def file(study, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(render(study), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = open_browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.quit()


@pytest.fixture
def visit(browser, file):
    """The page, opened anew at a width, in a scheme."""

    def open_at(width=1_200, scheme="light"):
        device = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get_log("browser")
        browser.get(file.as_uri())
        assert browser.execute_script("return document.documentElement.dataset.explorer") == "ready"
        return browser

    return open_at


def shown(browser):
    """The texts of the first cells of the rows that are shown."""
    return browser.execute_script(f"{SHOWN}.map(r => r.cells[0].textContent)")


def choose(browser, name, value):
    """Sets a field of the filters as a person would, by its label."""
    browser.execute_script(
        "const field = document.querySelector(`#explorer [name='${arguments[0]}']`);"
        "field.value = [...(field.options ?? [])].find(o => o.text === arguments[1])?.value"
        " ?? arguments[1];"
        "field.dispatchEvent(new Event('input', {bubbles: true}));",
        name,
        value,
    )


def expected(study, keep):
    return [
        f"{one.name} {trial.number}"
        for one in study.studies
        for trial in one.search.trials
        if keep(one, trial)
    ]


def test_every_trial_is_on_the_page_and_in_both_figures(visit, study):
    opened = visit()
    assert shown(opened) == expected(study, lambda *_: True)
    assert len(shown(opened)) == 2 * NUM_TRIALS
    status = opened.find_element("id", "num-shown").text
    assert status == "70 of 70 trials are shown."
    lines, marks = opened.execute_script(
        "const of = id => echarts.getInstanceByDom(document.getElementById(id)).getOption().series;"
        "return [of('parallel')[0].data.length,"
        " of('scatter').reduce((sum, one) => sum + one.data.length, 0)]"
    )
    assert lines == 70
    assert marks == len(expected(study, lambda _, trial: has_value(trial)))


def test_a_line_is_drawn_whole_also_where_hyperparameters_do_not_exist(visit):
    points = visit().execute_script(
        "const chart = echarts.getInstanceByDom(document.getElementById('parallel'));"
        "const data = chart.getModel().getSeriesByIndex(0).getData();"
        "return Array.from({length: data.count()}, (_, i) => data.getItemGraphicEl(i).shape.points)"
    )
    assert len(points) == 70
    assert all(len(line) >= 3 for line in points)
    assert all(x is not None and y is not None for line in points for x, y in line)


def has_value(trial):
    return trial.value is not None and math.isfinite(trial.value)


def is_overfitted(trial):
    """Of one that diverged, that is what it has."""
    return trial.number % 4 == 0 and not trial.is_diverged


@pytest.mark.parametrize(
    ("name", "value", "keep"),
    [
        ("study", "scratch", lambda one, _: one.name == "scratch"),
        ("rung", "whole trainings", lambda _, trial: trial.share == 1.0),
        ("state", "diverged", lambda _, trial: trial.is_diverged),
        ("health", "overfitting", lambda _, trial: is_overfitted(trial)),
    ],
)
def test_a_filter_keeps_what_matches(visit, study, name, value, keep):
    opened = visit()
    choose(opened, name, value)
    wanted = expected(study, keep)
    assert 0 < len(wanted) < 70
    assert shown(opened) == wanted
    assert opened.find_element("id", "num-shown").text.startswith(f"{len(wanted)} of 70")


def test_filters_combine_and_a_reset_shows_all(visit, study):
    opened = visit()
    choose(opened, "study", "transfer")
    choose(opened, "health", "overfitting")
    both = expected(study, lambda one, trial: one.name == "transfer" and is_overfitted(trial))
    assert shown(opened) == both
    opened.find_element("css selector", "#explorer button").send_keys(Keys.ENTER)
    opened.execute_async_script("setTimeout(arguments[0], 50)")
    assert len(shown(opened)) == 70


def test_a_range_of_a_hyperparameter_and_one_of_its_choices_can_be_kept(visit, study):
    opened = visit()
    choose(opened, "by", "learning_rate")
    choose(opened, "from", "0.001")
    choose(opened, "to", "0.002")
    assert shown(opened) == expected(
        study, lambda _, trial: 0.001 <= trial.hyperparameters["learning_rate"] <= 0.002
    )
    choose(opened, "by", "normalize_first")
    choose(opened, "is", "true")
    assert shown(opened) == expected(study, lambda _, t: t.hyperparameters["normalize_first"])


def test_what_has_no_value_is_in_no_range(visit, study):
    opened = visit()
    choose(opened, "by", "clipping_threshold")
    assert shown(opened) == expected(study, lambda _, t: "clipping_threshold" in t.hyperparameters)


def test_a_brush_along_an_axis_keeps_what_passes_there(visit, study):
    opened = visit()
    opened.execute_script(
        "echarts.getInstanceByDom(document.getElementById('parallel')).dispatchAction({"
        "type: 'axisAreaSelect', parallelAxisId: 'learning_rate', intervals: [[0.001, 0.002]]})"
    )
    assert shown(opened) == expected(
        study, lambda _, trial: 0.001 <= trial.hyperparameters["learning_rate"] <= 0.002
    )


def test_a_brush_that_nothing_passes_shows_nothing(visit):
    opened = visit()
    opened.execute_script(
        "echarts.getInstanceByDom(document.getElementById('parallel')).dispatchAction({"
        "type: 'axisAreaSelect', parallelAxisId: 'learning_rate', intervals: [[1e-9, 2e-9]]})"
    )
    assert shown(opened) == []
    assert opened.find_element("id", "num-shown").text == "0 of 70 trials are shown."


def test_a_mark_leads_to_its_row(visit, study):
    opened = visit()
    opened.execute_script(
        "const chart = echarts.getInstanceByDom(document.getElementById('scatter'));"
        "chart.trigger('click', {data: chart.getOption().series[0].data[3]})"
    )
    marked = opened.find_element("css selector", "#all-trials tr.marked th").text
    assert opened.find_element("id", "chosen").text.startswith(marked)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1_200])
def test_it_fits_in_both_schemes_and_says_and_loads_nothing(visit, width, scheme):
    opened = visit(width, scheme)
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    beyond = opened.execute_script(
        "return [...document.querySelectorAll('body *')].filter(e => e.checkVisibility()"
        " && !e.closest('.scroll, svg, pre, .skip')"
        " && e.getBoundingClientRect().right > arguments[0] + 1)"
        ".map(e => e.outerHTML.slice(0, 80))",
        width,
    )
    assert beyond == []
    loaded = opened.execute_script(
        "return performance.getEntriesByType('resource').map(e => e.name)"
    )
    assert [name for name in loaded if not name.startswith("data:")] == []
    assert opened.get_log("browser") == []


def test_the_five_answers_are_on_the_first_screen(visit):
    opened = visit(1_200)
    answers = opened.find_elements("css selector", ".answers section")
    assert [one.find_element("tag name", "h2").text for one in answers][:5] == [
        "What is the best model?",
        "How sure are we?",
        "What did it cost?",
        "What limits it?",
        "What should I try next?",
    ]
    assert max(one.rect["y"] + one.rect["height"] for one in answers) <= 900


def test_the_policy_stops_any_other_script_and_any_address(visit):
    opened = visit()
    ran = opened.execute_async_script(
        "const done = arguments[0], script = document.createElement('script');"
        "script.textContent = 'window.ran = true'; document.body.append(script);"
        "fetch('http://127.0.0.1:9/').then(() => done('fetched'), () => done(window.ran ?? 'no'))"
    )
    assert ran == "no"
    complaints = " ".join(entry["message"] for entry in opened.get_log("browser"))
    assert "script-src" in complaints
    assert "connect-src" in complaints


def test_the_keyboard_reaches_the_answer_the_filters_and_the_table(visit):
    opened = visit()
    reached = []
    for _ in range(60):
        ActionChains(opened).send_keys(Keys.TAB).perform()
        reached.append(
            opened.execute_script(
                "const e = document.activeElement;"
                "return e.name || e.className || e.getAttribute('href') || e.tagName"
            )
        )
        if reached[-1] == "scroll all-trials":
            break
    assert reached[0] == "skip"
    wanted = ["#use", "study", "rung", "state", "health", "by", "across", "up", "scroll all-trials"]
    assert [one for one in reached if one in wanted] == [*wanted[:1], "#use", *wanted[1:]]


def test_a_filter_is_changed_by_keyboard_alone(visit):
    opened = visit()
    opened.find_element("name", "study").send_keys(Keys.ARROW_DOWN)
    assert {text.split()[0] for text in shown(opened)} == {"transfer"}
