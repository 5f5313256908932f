"""Stage report: writes one page, or says which stage is missing."""

import pytest

from pipeline.errors import DataIntegrityError
from pipeline.stages.report import PAGE, main, run
from tests.report.example import write_example


@pytest.fixture
def root(tmp_path):
    return write_example(tmp_path, n=200, num_trials=4, studies=("transfer",), searched=())


def test_writes_the_page_and_what_dvc_draws_beside_it(root):
    page = run(root=root)
    assert page == root / "results/report/index.html"
    names = {file.name for file in page.parent.iterdir()}
    assert names == {"index.html", "epochs.csv", "search.csv", "metrics.json"}
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_the_same_results_give_the_same_bytes(root):
    first = run(root=root).read_bytes()
    assert run(root=root).read_bytes() == first


def test_stays_far_below_three_megabytes(tmp_path):
    page = run(root=write_example(tmp_path, n=500, num_trials=30))
    # 1.1 MB of these are the library.
    assert page.stat().st_size < 2_000_000


def test_runs_in_the_working_directory(root, monkeypatch):
    monkeypatch.chdir(root)
    main()
    assert (root / PAGE).exists()


def test_says_what_is_not_there_yet_and_leaves_the_old_page(root):
    page = run(root=root)
    before = page.read_bytes()
    (root / "results/metrics.json").unlink()
    with pytest.raises(DataIntegrityError, match=r"no metrics.json yet: .*Run `dvc repro`"):
        run(root=root)
    assert page.read_bytes() == before
