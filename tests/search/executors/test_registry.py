"""`search.executor` chooses where trials run, and says what is missing."""

import subprocess
import sys
import time

import pytest

from pipeline.errors import ConfigError
from pipeline.search.executors.local import LocalExecutor
from pipeline.search.executors.registry import build_executor
from pipeline.search.sections import SearchParams
from pipeline.training.data import DataReference
from pipeline.training.messages import TrialSpec
from tests.conftest import ROOT
from tests.search.executors import cut_double
from tests.search.executors.ray_clusters import last_events, spec
from tests.search.training_double import train


@pytest.fixture
def params(params_document):
    def change(**changes):
        return SearchParams.model_validate({**params_document["search"], **changes})

    return change


def test_local_gives_as_many_processes_as_asked_for(params):
    with build_executor(params(executor="local", workers=3), train=train) as executor:
        assert isinstance(executor, LocalExecutor)
        assert executor.num_free == 3


@pytest.mark.skipif(sys.platform != "linux", reason="there is a fork server on Linux alone")
@pytest.mark.parametrize(("executor", "servers"), [("local", 1), ("ray", 0)])
def test_what_workers_import_is_begun_before_there_is_an_executor(executor, servers):
    # In a process of its own: there is one fork server in each.
    code = (
        "import psutil, time\n"
        "from pipeline.search.executors.registry import prepare_executor\n"
        "from pipeline.config import load_section\n"
        "from pipeline.search.sections import SearchParams\n"
        "from pipeline.search.executors import local\n"
        "local.GPU_DRIVERS = ()  # Where there is one, workers are no forks.\n"
        f"told = {{'executor': {executor!r}}}\n"
        "prepare_executor(load_section(SearchParams, 'search').model_copy(update=told))\n"
        "begun = psutil.Process().children()\n"
        "for _ in range(500):  # One that becomes its program has no command line.\n"
        "    if all(p.cmdline() for p in begun):\n"
        "        break\n"
        "    time.sleep(0.01)\n"
        "print(sum('forkserver' in ' '.join(p.cmdline()) for p in begun))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == [str(servers)]


@pytest.mark.slow
def test_ray_gives_a_cluster_with_room_for_as_many_trials_and_ends_one_that_hangs(params, cut):
    from pipeline.search.executors.ray import RayExecutor

    asked = params(executor="ray", workers=3, trial_timeout="1s")
    with build_executor(asked, train=cut_double.train) as executor:
        assert isinstance(executor, RayExecutor)
        assert executor.num_free == 3
        executor.submit(spec("hanging", epoch_seconds=600.0), cut)
        assert last_events(executor, 1)["hanging"].reason == "it took over 1 s"


def test_a_ray_address_without_a_cluster_is_refused(params):
    ray = {"address": "127.0.0.1:1", "num_cpus": 1, "num_gpus": 0}
    with pytest.raises(ConfigError, match=r"search\.ray\.address must name a Ray cluster"):
        build_executor(params(executor="ray", ray=ray), train=train)


def test_a_missing_ray_is_named_with_the_command_that_installs_it(params):
    # None in sys.modules is how Python itself marks a module that must not be found.
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from pipeline.search.executors.registry import build_executor\n"
        "from pipeline.config import load_section\n"
        "from pipeline.errors import ConfigError\n"
        "from pipeline.search.sections import SearchParams\n"
        "params = load_section(SearchParams, 'search').model_copy(update={'executor': 'ray'})\n"
        "try:\n    build_executor(params)\nexcept ConfigError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert 'pip install -e ".[ray]"' in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1


def test_building_a_local_executor_does_not_import_ray():
    code = (
        "import sys; from pipeline.search.executors.registry import build_executor\n"
        "print('ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "False\n", done.stderr


def test_the_time_of_a_trial_is_that_of_params_yaml(params, tmp_path):
    data = DataReference(features=str(tmp_path), train_file=str(tmp_path / "log"))
    settings = {"top": 0.5, "behaviour": "hang"}
    changed = params(executor="local", workers=1, trial_timeout="2s")
    with build_executor(changed, train=train) as executor:
        executor.submit(TrialSpec(uid="a", hyperparameters=settings, seed=1, epochs=2), data)
        events, deadline = [], time.monotonic() + 30
        while not events and time.monotonic() < deadline:
            events = executor.wait(0.5)
    assert [event.reason.partition(" (")[0] for event in events] == ["it took over 2 s"]
