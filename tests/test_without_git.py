"""`make run` where there is no git repository, as in a downloaded ZIP, and after a `git init`."""

import shutil

import pytest

from testing.checkout import Checkout

pytestmark = pytest.mark.slow
# The environment is there, and this test does not make another.
MAKE_RUN = ("make", "--old-file", ".venv/installed", "run")


def test_a_downloaded_zip_runs_and_goes_on_as_a_repository(tmp_path):
    checkout = Checkout(tmp_path)
    graph = (tmp_path / "dvc.yaml").read_text().partition("\n  split:")[0]
    (tmp_path / "dvc.yaml").write_text(graph)
    shutil.rmtree(tmp_path / ".git")
    said = checkout.run(*MAKE_RUN)
    assert "No git repository here" in said
    assert "Running stage 'fetch'" in said
    checkout.git("init", "-q")
    checkout.commit("start")
    said = checkout.run(*MAKE_RUN)
    assert "No git repository here" not in said
    assert "up to date" in said
    assert "no_scm" not in (tmp_path / ".dvc/config.local").read_text()
