"""A checkout of this project in a folder of its own, small enough to run whole in a test."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock
from ruamel.yaml import YAML

from testing.forks import Fork, folder_of_python

ROOT = Path(__file__).parents[1]
SMALL = {
    "fetch": {"dataset": "digits"},
    "split": {"val_size": 200, "confirmation_size": 200, "test_size": 0.2},
    "embed": {
        "bases": {
            "efficientnet_lite0": {
                "image_size": 32,
                "cuts": ["block4_add", "block7_add", "block10_add"],
            }
        }
    },
    "studies.transfer": {"base": "efficientnet_lite0"},
    "search": {"trials": 4, "rungs": 1, "epochs": 3, "workers": 2},
    "confirm": {"top": 1, "seeds": 2, "export": "ensemble", "max_slowdown": 2.0},
    # What it trains is tested by itself.
    "diagnose": {"time": "none"},
    "evaluate": {"bootstrap": 100},
}


class Checkout:
    """A git and DVC repository with this project's files and a small `params.yaml`."""

    def __init__(self, folder):
        self.folder = folder
        listed = self._git_of(ROOT, "ls-files", "--cached", "--others", "--exclude-standard")
        for name in listed.splitlines():
            if (ROOT / name).is_file() and not name.startswith("tests/"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        self.set(SMALL)
        self.git("init", "-q")
        self.commit("start")

    def copy(self, folder):
        """Returns a copy with all that has been run, as if the checkout had been moved there."""
        shutil.copytree(self.folder, folder, symlinks=True, dirs_exist_ok=True)
        copy = type(self).__new__(type(self))
        copy.folder = folder
        return copy

    def clone_and_pull(self, folder):
        """Returns another machine's checkout: what git holds, and what DVC's remote holds."""
        self.dvc("remote", "add", "--force", "--default", "store", f"{folder}-store")
        self.commit("results")
        self.dvc("push")
        self._git_of(folder.parent, "clone", "-q", str(self.folder), str(folder))
        clone = type(self).__new__(type(self))
        clone.folder = folder
        clone.dvc("pull")
        return clone

    def set(self, values):
        """Changes `params.yaml`, keeping its comments, as a user's editor would.

        Dots in a section go down, as in `studies.transfer`; a value that is no section is set.
        """
        yaml = YAML()
        file = self.folder / "params.yaml"
        document = yaml.load(file.read_text(encoding="utf-8"))
        for section, keys in values.items():
            if not isinstance(keys, dict):
                document[section] = keys
                continue
            where = document
            for key in section.split("."):
                where = where[key]
            where.update(keys)
        with file.open("w", encoding="utf-8") as stream:
            yaml.dump(document, stream)

    def commit(self, message):
        self.git("add", "-A")
        self.git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", message)

    @contextmanager
    def without_test_part(self):
        """Nobody can open data/test.npz in the block."""
        file = self.folder / "data/test.npz"
        kept = file.read_bytes()
        file.unlink()
        try:
            yield
        finally:
            file.write_bytes(kept)

    def git(self, *arguments):
        return self._git_of(self.folder, *arguments)

    @staticmethod
    def _git_of(folder, *arguments):
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        )
        return done.stdout

    def environment(self):
        """A user's: the checkout's own stores, and the environment's programs first."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_TR", "PYTEST"))}
        programs = Path(sys.executable).parent
        return {**kept, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": ""}

    def start(self, *command, **options):
        """Starts a command as the leader of a process group of its own."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **{"env": self.environment(), **options},
        )

    def run(self, *command, expect=0, **options):
        """Runs a command and returns what it printed."""
        process = self.start(*command, **options)
        try:
            output, _ = process.communicate(timeout=500)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        assert process.returncode == expect, output
        return output

    def fork(self, module, *arguments):
        """Starts `python -m MODULE ARGUMENTS` by `testing.forks`, without its imports' seconds."""
        return Fork(module, arguments, folder=self.folder, environment=self.environment())

    def pipeline(self, *arguments, expect=0):
        """Runs a command as a fork and returns what it printed."""
        process = self.fork("pipeline", *arguments)
        output, _ = process.communicate(timeout=500)
        assert process.returncode == expect, output
        return output

    def new_pipeline(self, *arguments, expect=0):
        """Runs a command in a process of its own, as a user does, and returns what it printed."""
        return self.run(sys.executable, "-m", "pipeline", *arguments, expect=expect)

    def repro(self, *arguments, expect=0):
        """Runs `dvc repro`, whose stages are forks, and returns what was printed."""
        return self.dvc("repro", *arguments, expect=expect)

    def dvc(self, *arguments, expect=0):
        """Runs DVC as a fork, as its stages are, and returns what was printed."""
        environment = self.environment()
        environment["PATH"] = f"{folder_of_python()}{os.pathsep}{environment['PATH']}"
        process = Fork("dvc", arguments, folder=self.folder, environment=environment)
        output, _ = process.communicate(timeout=500)
        assert process.returncode == expect, output
        return output


@pytest.fixture(scope="session")
def embedded(tmp_path_factory):
    """A checkout in which `embed` has run, to copy: one for all processes of a test run."""
    place = tmp_path_factory.getbasetemp()
    folder = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "embedded"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            making = folder.with_suffix(".part")
            making.mkdir()
            made = Checkout(making)
            made.repro("split")
            # What reads the test part so early fails.
            with made.without_test_part():
                made.repro("--single-item", "plan", "embed")
            making.rename(folder)
    embedded = Checkout.__new__(Checkout)
    embedded.folder = folder
    return embedded
