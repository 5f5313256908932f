"""`make` uses an environment where it was made, in a folder of any name, and no moved one."""

import os
import shutil
import subprocess
import venv

import pytest

from tests.conftest import ROOT


@pytest.fixture
def folder(tmp_path):
    """A folder with an environment that is newer than what it was made from."""
    folder = tmp_path / "Öl & 'Bilder' #1 100%"
    folder.mkdir()
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder)
    venv.create(folder / ".venv", symlinks=True)
    (folder / ".venv/installed").touch()
    return folder


def steps(folder, *variables):
    """The commands of `make run`, without running them."""
    # As from a shell, also where the tests themselves were started by make.
    environ = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(
        ["make", "-n", "run", *variables],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_an_environment_in_its_place_is_used(folder):
    first, *_, repro, last = steps(folder)
    assert (first, repro) == ("python -m pipeline check", "python -m dvc repro")
    assert last.endswith("python -m pipeline summary")


def test_a_quiet_run_is_quiet_to_the_last_stage(folder):
    """And says what DVC itself has to say, such as why it does not run."""
    recipe = "run:\n\t@echo quiet=$$PIPELINE_QUIET\n"
    file = folder / "Makefile"
    first, rest = file.read_text().split("\nrun: $(VENV)", 1)
    file.write_text(f"{first}\n{recipe}{rest.partition(chr(10) * 2)[2]}")
    for variables, shown in (("QUIET=1",), "quiet=1"), ((), "quiet="):
        done = subprocess.run(
            ["make", "--no-print-directory", "run", *variables],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == shown


def test_one_that_was_moved_is_made_anew(folder):
    moved = folder.rename(folder.with_name("moved"))
    first, *_, repro, _ = steps(moved)
    assert first.endswith("-m venv --clear .venv")
    assert repro == "python -m dvc repro"
