"""The five lines at the end of `make run`."""

from dataclasses import replace

import pytest

from pipeline.commands.summary import summary_lines
from pipeline.errors import DataIntegrityError
from pipeline.report.inputs import read_results
from tests.commands.repository import run
from tests.report.example import write_example


@pytest.fixture(scope="module")
def example_root(tmp_path_factory):
    return write_example(tmp_path_factory.mktemp("example"), n=1_000, num_trials=20)


@pytest.fixture(scope="module")
def results(example_root):
    return read_results(example_root)


def lines_of(results):
    return {line.split()[0]: line for line in summary_lines(results)}


def test_five_lines_are_printed(example_root, monkeypatch, capsys):
    monkeypatch.chdir(example_root)
    assert run("summary") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["found", "sure", "look", "use", "next"]


def test_they_say_what_was_found_where_it_is_and_how_to_use_it(results):
    lines, first = lines_of(results), results.studies[0]
    right = f"{100 * first.metrics['accuracy'].value:.2f}% of 1,000 test images"
    assert f"{first.name} classifies {right}" in lines["found"]
    assert "results/report/index.html" in lines["look"]
    assert "python -m pipeline ui" in lines["look"]
    assert "python -m pipeline predict IMAGE" in lines["use"]


def test_they_say_how_sure_that_is(results):
    first, second = (study.name for study in results.studies)
    (one,) = results.comparisons
    assert {one.first, one.second} == {first, second}
    line = lines_of(results)["sure"]
    assert "95% interval" in line
    assert f"better than {second} by " in line
    assert "new seeds on images that no search saw" in line


def test_a_difference_reads_the_same_from_both_sides(results):
    (one,) = results.comparisons
    d = one.difference
    turned = replace(
        one,
        first=one.second,
        second=one.first,
        difference=replace(d, value=-d.value, low=-d.high, high=-d.low),
    )
    assert lines_of(replace(results, comparisons=[turned])) == lines_of(results)


def test_what_is_worse_is_so_by_what_is_above_zero(results):
    (one,) = results.comparisons
    first, other = (study.name for study in results.studies)
    difference = replace(one.difference, value=-0.05, low=-0.06, high=-0.04)
    worse = replace(one, first=first, second=other, difference=difference)
    line = lines_of(replace(results, comparisons=[worse]))["sure"]
    assert f"worse than {other} by 5.00 points (4.00 to 6.00)" in line


def test_what_cannot_be_told_apart_is_no_better(results):
    (one,) = results.comparisons
    first, other = (study.name for study in results.studies)
    difference = replace(one.difference, value=0.001, low=-0.01, high=0.012)
    close = replace(one, first=first, second=other, difference=difference)
    line = lines_of(replace(results, comparisons=[close]))["sure"]
    assert f"not told apart from {other} (difference -1.00 to 1.20 points, p = 1e-09)" in line
    unsure = replace(one, first=first, second=other, p_value=0.125)
    assert "not told apart" in lines_of(replace(results, comparisons=[unsure]))["sure"]


def test_a_model_that_is_not_the_champion_is_named(results):
    stayed = replace(results.registration, champion=False, version="7", reason="it is no better")
    line = lines_of(replace(results, registration=stayed))["use"]
    assert f"--model models:/{stayed.registered_model}/7" in line
    assert "it is no better" in line
    unregistered = lines_of(replace(results, registration=None))["use"]
    assert f"--model {results.studies[0].confirm.exported.file}" in unregistered


def with_search(results, **told):
    first, *others = results.studies
    return replace(results, studies=[replace(first, search=replace(first.search, **told)), *others])


def test_where_time_decides_more_of_it_is_what_comes_next(results):
    line = lines_of(with_search(results, budget_seconds=900.0))["next"]
    assert line.startswith("next   budget: 30m in params.yaml, then make run: about ")


def test_where_a_number_was_asked_for_twice_as_many_are(results):
    line = lines_of(with_search(results, budget_seconds=None, target=20))["next"]
    assert "search.trials=40" in line


def test_before_a_run_it_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataIntegrityError, match="Run `dvc repro`"):
        run("summary")
