"""A study's view opens in MLflow's own UI as it was prepared, and every trial is there."""

import json
import re
import shutil
import time
from contextlib import ExitStack
from datetime import datetime, timedelta

import pytest

from pipeline.evaluation.objectives import OBJECTIVES
from pipeline.records.mirror.prepared_view import (
    KEY,
    MOST_AXES,
    TEXTS_SHOWN,
    axes,
    page_of,
    prepared_view,
    run_page,
    views_of,
)
from testing.records import made_trial
from testing.tracking_server import TrackingServer
from tests.browser import open_browser

ACCURACY = OBJECTIVES["val_accuracy"]
START = datetime(2026, 1, 1, 12)
NUM_TRIALS = 60
WAIT_SECONDS = 60


def trial(number, **told):
    """A trial whose hyperparameters were all searched."""
    values = {"optimizer": "adam", "learning_rate": 0.001 * (1 + number), **told}
    accuracy = 0.5 + 0.005 * number
    curve = {epoch: accuracy - 0.1 + 0.05 * epoch for epoch in range(3)}
    return made_trial(
        number,
        value=accuracy,
        hyperparameters=values,
        params=values,
        metrics={"val_accuracy": accuracy, "val_loss": 1 - accuracy, "best_epoch": 2.0},
        intermediate_values=curve,
        epochs=[
            {"epoch": epoch, "metrics": {"val_loss": 1 - value}, "at_ms": 1000 * epoch}
            for epoch, value in curve.items()
        ],
        outcome="complete",
        started=START + timedelta(minutes=number),
        ended=START + timedelta(minutes=number + 1),
    )


def view(*trials, **told):
    return prepared_view(
        "transfer", trials, **{"key": "transfer", "parent": "p", "objective": ACCURACY, **told}
    )


def state_of(view):
    (text,) = view.values()
    return json.loads(json.loads(text)["state"])


def test_an_axis_is_all_numbers_or_all_texts_and_says_something():
    trials = [
        trial(0, momentum=0.9, dropout="all", same=1, unfreeze_layers="all"),
        trial(1, dropout="last", same=1, unfreeze_layers=1),
        trial(2, same=1, unfreeze_layers=2),
    ]
    # momentum is a number for one and `-` for two; unfreeze_layers is both; same is constant.
    assert axes(trials, "val_accuracy") == ["learning_rate", "dropout"]


def test_a_trial_that_reached_nothing_has_no_say_in_the_axes():
    failed = made_trial(2, "FAIL", hyperparameters={"learning_rate": "?"}, params={"x": 1})
    assert axes([trial(0), trial(1), failed], "val_accuracy") == ["learning_rate"]


def test_more_axes_or_texts_than_can_be_read_are_left_out():
    many = [trial(n, **{f"x{i}": n for i in range(20)}) for n in range(2)]
    assert len(axes(many, "val_accuracy")) == MOST_AXES
    texts = [trial(n, learning_rate=1, cut=f"block{n}") for n in range(TEXTS_SHOWN + 1)]
    assert axes(texts, "val_accuracy") == []
    assert axes(texts[1:], "val_accuracy") == ["cut"]


def test_the_best_comes_first_and_no_parent_or_confirmation_is_shown():
    state = state_of(view(trial(0), parent="0123"))
    assert state["searchFilter"] == "tags.`mlflow.parentRunId` = '0123' AND tags.role = 'trial'"
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`best_val_accuracy`", False)
    lowest = state_of(view(trial(0), objective=OBJECTIVES["val_log_loss"]))
    assert (lowest["orderByKey"], lowest["orderByAsc"]) == ("metrics.`best_val_loss`", True)


def test_rungs_get_a_column_and_their_images_an_axis():
    (parallel, *_) = state_of(view(trial(0), trial(1)))["compareRunCharts"]
    assert parallel["selectedMetrics"] == ["best_val_accuracy"]
    rungs = state_of(view(made_trial(0, rung=0, share=0.5)))
    assert rungs["compareRunCharts"][0]["selectedMetrics"] == ["num_images", "best_val_accuracy"]
    assert "tags.`rung`" in rungs["selectedColumns"]


def test_it_is_the_same_whenever_it_is_written():
    assert view(trial(0), trial(1)) == view(trial(0), trial(1))


def test_a_users_own_view_is_none_of_ours():
    own = {f"{KEY}0f": json.dumps({"createdAt": 1767268800000, "name": "mine", "state": "{}"})}
    ours = view(trial(0), key="transfer-ab")
    assert views_of({**own, **ours}) == {"transfer": "transfer-ab"}


@pytest.fixture(scope="module")
def shown(template, tmp_path_factory):
    """A study of 60 trials on a real server: a browser, its address, its pages by name."""
    from pipeline.records.mirror.runs import StudyRuns

    folder = tmp_path_factory.mktemp("shown")
    shutil.copyfile(template / "mlflow.db", folder / "mlflow.db")
    trials = [
        trial(n, momentum=0.9) if n % 3 else trial(n, optimizer="nesterov")
        for n in range(NUM_TRIALS)
    ]
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        runs = StudyRuns.open(
            folder,
            dataset="digits",
            study="transfer",
            study_name="digits-transfer",
            study_uid="ab" * 16,
            tags={"objective": "val_accuracy"},
            params={},
        )
        server = TrackingServer(folder)
        server.start()  # It takes as long as the runs.
        stack.callback(server.kill)
        with runs:
            runs.reconcile(trials)
            runs.present(trials)
        runs.store.close()
        server.wait()
        experiment = runs.parent.experiment
        tags = runs.store.client.get_experiment(experiment).tags
        best = runs.runs_of(trials[-1].uid(study_uid="ab" * 16))[0].info.run_id
        pages = {
            "view": page_of(experiment, views_of(tags)["transfer"]),
            "parent": run_page(experiment, runs.run_id),
            "trial": run_page(experiment, best),
        }
        browser = open_browser(folder / "profile")
        browser.set_window_size(1600, 1000)
        try:
            yield browser, server.uri, pages
        finally:
            browser.quit()


def text_of(shown, name, *wanted):
    """Opens a page and returns its text once it shows what is wanted."""
    browser, address, pages = shown
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(f"{address}/#/{pages[name]}")
    return wait_for(browser, *wanted)


def wait_for(browser, *wanted):
    """Returns the text of a page once it shows what is wanted."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    def text(_=None):
        return browser.find_element(By.TAG_NAME, "body").get_attribute("textContent")

    WebDriverWait(browser, WAIT_SECONDS).until(lambda _: all(one in text() for one in wanted))
    return text()


def complaints(browser):
    """What the console says, but of what the server answers 404 to any page: who is logged in."""
    return [
        line["message"]
        for line in browser.get_log("browser")
        if line["level"] == "SEVERE" and "users/current" not in line["message"]
    ]


@pytest.mark.slow
def test_the_ui_opens_the_view_as_it_was_prepared(shown):
    text = text_of(shown, "view", f"{NUM_TRIALS} matching runs", "Parallel Coordinates", "0059")
    assert "transfer: trials side by side" in text  # The menu names it: it was understood.
    assert "All trials of transfer" in text
    assert "The best 20, epoch by epoch" in text
    assert "Sort: best_val_accuracy" in text
    numbers = {int(found) for found in re.findall(r"transfer-(\d{4})", text)}
    assert numbers == set(range(NUM_TRIALS))
    browser = shown[0]
    script = "return [...document.querySelectorAll('.parcoords .label')].map(e => e.textContent)"
    wanted = ["learning_rate", "optimizer", "best_val_accuracy"]
    # Drawn after the rest of the page.
    deadline = time.monotonic() + WAIT_SECONDS
    while (labels := browser.execute_script(script)) != wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    assert labels == wanted
    assert not [line for line in complaints(browser) if "ResizeObserver" not in line]


@pytest.mark.slow
def test_the_table_begins_with_what_matters(shown):
    browser, _, pages = shown
    pages["table"] = pages["view"].replace("&compareRunsMode=CHART", "")
    text_of(shown, "table", f"{NUM_TRIALS} matching runs", "learning_rate")
    script = (
        "return [...document.querySelectorAll('.ag-header-viewport .ag-header-cell')]"
        ".map(e => [e.getBoundingClientRect().x, e.getAttribute('col-id')])"
        ".sort((a, b) => a[0] - b[0]).map(e => e[1])"
    )
    wanted = [
        *("metrics.`best_val_accuracy`", "metrics.`best_val_loss`", "metrics.`best_epoch`"),
        *("params.`learning_rate`", "params.`optimizer`"),
    ]
    # Columns move to their places before one's eyes.
    deadline = time.monotonic() + 10
    while (found := browser.execute_script(script)[:5]) != wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found == wanted
    assert not complaints(browser)


@pytest.mark.slow
def test_the_study_says_what_to_click_and_the_click_opens_the_view(shown):
    from selenium.webdriver.common.by import By

    text = text_of(shown, "parent", "All trials side by side", "Child runs")
    assert "60 trials, of which 60 ran to their end" in text
    assert "Best: trial 59, 0.7950." in text
    assert not complaints(shown[0])
    browser = shown[0]
    first = browser.current_window_handle
    browser.find_element(By.LINK_TEXT, "All trials side by side").click()
    (second,) = set(browser.window_handles) - {first}
    browser.switch_to.window(second)
    wait_for(browser, "All trials of transfer")
    browser.close()
    browser.switch_to.window(first)


@pytest.mark.slow
def test_a_trial_says_what_became_of_it_and_what_does_not_apply(shown):
    text = text_of(shown, "trial", "Trial 59 of study transfer ran to its end", "momentum")
    assert "Best val_accuracy 0.7950, at epoch 2 of 0 to 2." in text
    assert re.search(r"momentum\s*0\.9", text)
    assert not complaints(shown[0])
