"""`python -m pipeline check`: a wrong params.yaml is refused at once, a line a problem."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.commands.check import problems_of
from pipeline.config import read_document
from pipeline.training.hyperparameters import HYPERPARAMETERS
from testing.features import embedded, write_cuts

ROOT = Path(__file__).parents[2]
CUT = "cut: {type: choice, choices: [block4_add, block7_add, block10_add]}"
# The project's own, with a base of which nothing is left open.
GOOD = (
    (ROOT / "params.yaml")
    .read_text(encoding="utf-8")
    .replace(
        "  bases: auto\n",
        "  bases:\n    efficientnet_lite0:\n      image_size: 64\n"
        "      cuts: [block4_add, block7_add, block10_add]\n",
    )
    .replace("base: auto\n    space:\n", f"base: efficientnet_lite0\n    space:\n      {CUT}\n")
)
BASE_SIZE = "image_size: 64\n"

WRONG = {
    "typo in a key": ("trials: auto ", "trails: auto ", "search.trails: there is no such key."),
    "text for a number": (
        "epochs: auto ",
        "epochs: '64' ",
        "search.epochs: Input should be a valid",
    ),
    "low above high": ("low: 64, high: 384", "low: 384, high: 64", "units: low < high must hold"),
    "unknown activation": ("[relu, leaky_relu, elu", "[reluu, leaky_relu, elu", "'reluu'"),
    "empty choices": ("choices: [64, 128, 256]", "choices: []", "at least 1 item"),
    "log from zero": ("low: 3.0e-04, high: 1.0e-02, log", "low: 0, high: 1, log", "low > 0 must"),
    "unknown dataset": ("dataset: fashion_mnist", "dataset: fashion", "'fashion'"),
    "unknown pruner": ("name: median", "name: medain", "search.pruner"),
    "unknown sampler": ("sampler: tpe", "sampler: tpee", "Did you mean 'tpe'"),
    "a grid of what has no end": (
        "sampler: tpe",
        "sampler: grid",
        "studies.scratch.space: search.sampler grid needs a `step` or choices for every",
    ),
    "bounds of a pruner in the wrong order": (
        "    name: median\n"
        "    startup_trials: 7    # whole trainings that are finished before anything is pruned\n",
        "    name: threshold\n    lower: 0.9\n    upper: 0.1\n",
        "search.pruner.threshold: lower <= upper must hold. Received: lower=0.9, upper=0.1.",
    ),
    "unknown base": ("base: efficientnet_lite0\n", "base: efficientnet\n", "studies.transfer.base"),
    "unknown hyperparameter": (
        "units: {type: int, low: 64, high: 384",
        "unit: {type: int, low: 64, high: 384",
        "Did you mean 'units'",
    ),
    "a share of 2": ("test_size: auto", "test_size: 2.5", "split.test_size"),
    "rate of 1": ("dropout_rate: 0.2             #", "dropout_rate: 1.0  #", "must lie in [0, 1)"),
    "not a number": ("learning_rate: 0.001 ", "learning_rate: .nan ", "learning_rate"),
    "float for an integer": (
        "batch_size: auto  ",
        "batch_size: 25.6  ",
        "embed.batch_size: must be auto, or a whole number of at least 1",
    ),
    "negative trials": ("trials: auto ", "trials: -1 ", "trials must be auto or at least 1"),
    "missing section": (
        "confirm:\n  top: auto ",
        "confrim:\n  top: auto ",
        "confirm: this section is missing",
    ),
    "register a study that is not there": (
        "study: auto ",
        "study: transfr ",
        "register.study: Unknown study: 'transfr'. Did you mean 'transfer'?",
    ),
    "register a baseline": (
        "study: auto ",
        "study: scratch ",
        "register.study: must have a base. Received: 'scratch', whose base is none. "
        "Choose one of: auto, transfer.",
    ),
    "nothing to register": (
        "base: efficientnet_lite0\n    space",
        "base: none\n    space",
        "register.study: needs a study with a base",
    ),
    "a queued value that nothing asks for": (
        "schedule: performance, clipping: none,\n         batch_size: 64}",
        "schedule: performance, clipping: none,\n         clipping_threshold: 1.0, batch_size: 64}",
        "clipping_threshold: exists only where clipping is",
    ),
    "a base that is not in the table": (
        "    efficientnet_lite0:\n",
        "    efficientnetlite0:\n",
        "embed.bases: efficientnetlite0: Unknown base: 'efficientnetlite0'. "
        "Did you mean 'efficientnet_lite0'?",
    ),
    "a base whose file is missing": (
        BASE_SIZE,
        "model: gone.keras\n      " + BASE_SIZE,
        "embed.bases: efficientnet_lite0: model must be a file that is there. "
        "Received: model=gone.keras.",
    ),
    "weights that are missing": (
        BASE_SIZE,
        "model: mobilenet\n      weights: gone.h5\n      " + BASE_SIZE,
        "weights must be imagenet, random, or a file that is there. Received: weights=gone.h5.",
    ),
    "a width that a base does not have": (
        BASE_SIZE,
        "model: resnet50\n      alpha: 0.5\n      " + BASE_SIZE,
        "resnet50 comes in one width",
    ),
    "an address that is none": (
        BASE_SIZE,
        "model: models:/cifar10-classifier\n      " + BASE_SIZE,
        "model must be models:/NAME@ALIAS or models:/NAME/VERSION.",
    ),
    "a range that falls": (
        BASE_SIZE,
        "input_range: [1, -1]\n      " + BASE_SIZE,
        "embed.bases.efficientnet_lite0.input_range: must be two numbers, black's below white's, "
        "such as [0, 1]. Received: [1, -1].",
    ),
    "images smaller than a base takes": (
        BASE_SIZE,
        "model: xception\n      " + BASE_SIZE,
        "xception takes images of 71 pixels or more. Received: image_size=64.",
    ),
    "one epoch for two phases": (
        "epochs: auto ",
        "epochs: 1 ",
        "search.epochs: must be 2 or more where a study unfreezes layers, since each of two phases "
        "takes one. Received: 1, and studies.transfer with unfreeze up to 1.",
    ),
    "a cut that is not embedded": (
        "      cuts: [block4_add, block7_add, block10_add]",
        "      cuts: [block4_add, block7_add]",
        "studies.transfer.space.cut: Unknown cut: 'block10_add'.",
    ),
    "nothing below the lowest cut": (
        "unfreeze: {type: int, low: 0, high: 1}",
        "unfreeze: {type: int, low: 1, high: 2}",
        "studies.transfer.space.unfreeze: needs as many embedded cuts below",
    ),
    "images that are not there": (
        "dataset: fashion_mnist  # fashion_mnist, cifar10, digits, folder, npz\n  path: data/own",
        "dataset: folder\n  path: data/nowhere",
        "fetch.path: must be there where dataset is folder. Received: 'data/nowhere'.",
    ),
    "no minutes": ("budget: 15m", "budget: 15", "budget: must be none, or a duration such as 90s"),
    "no time and no number": (
        "budget: 15m",
        "budget: none",
        "search.trials: must be a number where neither budget nor search.timeout limits the time.",
    ),
    "no epochs at all": (
        "epochs: auto ",
        "epochs: 0 ",
        "search: epochs must be auto or at least 1. Received: 0.",
    ),
    "too many rungs": (
        "rungs: auto ",
        "rungs: 9 ",
        "search: rungs must be at most 5. Received: 9.",
    ),
    "sizes that fall": (
        "image_sizes: [64, 96",
        "image_sizes: [96, 64",
        "plan.image_sizes: must be different sizes from 8 to 1024 pixels, the smallest first.",
    ),
    "a candidate that is no base": (
        "models: [efficientnet_lite0",
        "models: [efficientnet_lite9",
        "plan.models: Unknown base: 'efficientnet_lite9'.",
    ),
    "cuts of a base that is not known": (
        BASE_SIZE,
        "model: auto\n      " + BASE_SIZE,
        "embed.bases: efficientnet_lite0: cuts must be left out where model is auto",
    ),
    "queued outside the space": ("batch_size: 64}", "batch_size: 63}", "lies outside what is"),
}


def check(folder):
    return subprocess.run(
        [sys.executable, "-m", "pipeline", "check"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )


def test_the_projects_own_params_are_fine():
    assert problems_of(read_document(ROOT / "params.yaml")) == []


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_is_refused_with_its_key(case, tmp_path):
    old, new, expected = WRONG[case]
    assert old in GOOD
    (tmp_path / "params.yaml").write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    problems = problems_of(read_document(tmp_path / "params.yaml"))
    assert any(expected in problem for problem in problems), problems
    assert all("\n" not in problem for problem in problems)


@pytest.mark.parametrize(("rungs", "is_refused"), [("4", True), ("1", False), ("auto", False)])
def test_rungs_are_refused_beside_a_sampler_of_whole_trials(tmp_path, rungs, is_refused):
    text = GOOD.replace("rungs: auto ", f"rungs: {rungs} ").replace(
        "sampler: tpe", "sampler: cmaes"
    )
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    problems = problems_of(read_document(tmp_path / "params.yaml"))
    expected = "search: sampler cmaes learns from whole trainings alone"
    assert any(expected in problem for problem in problems) == is_refused


@pytest.mark.parametrize(
    "name",
    [
        *("labels", "file", "allow_pickle", "report", "confusion", "auto"),
        *("transfer_wrong_images", "a_wrong_indices", "transfer-0a1b2c3d"),
        *("../escape", "with space", "-dash", "x" * 65, 7),
    ],
)
def test_a_study_name_that_something_else_has_is_refused(name, params_document):
    studies = {**params_document["studies"], name: params_document["studies"]["transfer"]}
    (problem,) = problems_of({**params_document, "studies": studies})
    assert problem.startswith(f"studies.{name}: a study ")
    assert repr(name) in problem


def test_a_model_of_ones_own_must_say_its_range(tmp_path):
    config = {"layers": [{"config": {"batch_shape": [None, 32, 32, 3], "dtype": "float32"}}]}
    with zipfile.ZipFile(tmp_path / "own.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"config": config}))
    text = GOOD.replace(BASE_SIZE, "model: own.keras\n      " + BASE_SIZE)
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    done = check(tmp_path)
    assert done.returncode == 2
    assert "input_range must say what pixels were scaled to for own.keras" in done.stderr
    text = text.replace(BASE_SIZE, "input_range: [0, 1]\n      " + BASE_SIZE)
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    assert check(tmp_path).returncode == 0


def test_names_that_only_look_alike_are_fine(params_document):
    study = params_document["studies"]["transfer"]
    names = ("labels2", "wrong_images", "transfer-0a1b2c3", "my_report", "a" * 64)
    assert problems_of({**params_document, "studies": dict.fromkeys(names, study)}) == []


def test_the_command_prints_every_problem_and_exits_with_2(tmp_path):
    text = GOOD.replace("trials: auto ", "trails: auto ").replace("sampler: tpe", "sampler: tpee")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    done = check(tmp_path)
    assert done.returncode == 2
    assert "search.trails: there is no such key. Did you mean 'trials'?" in done.stderr
    assert "Unknown sampler: 'tpee'" in done.stderr or "search.trials" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", [GOOD + "\nsplit: {}\n", "fetch: [1,", "- 1", ""])
def test_what_is_no_params_file_is_one_line(text, tmp_path):
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    done = check(tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1


def test_its_help_lists_every_hyperparameter_with_its_values_and_meaning(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["check", "--help"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert "units (int in [1, 1024]): units of every hidden layer" in lines
    assert any(line.startswith("pooling (none, average, global): of the cut's") for line in lines)
    assert all(any(line.startswith(f"{name} (") for line in lines) for name in HYPERPARAMETERS)
    assert max(map(len, lines)) <= 100


def test_the_command_loads_no_heavy_library(tmp_path):
    code = (
        "import sys; from pipeline.__main__ import main; main(['check'])\n"
        "heavy = ('tensorflow', 'keras', 'mlflow', 'optuna', 'sklearn', 'scipy', 'pandas')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["params.yaml is fine.", "[]"]


@pytest.mark.parametrize("starts", ["", "\n      starts: [block10_add]"])
def test_the_order_of_the_cuts_is_known_once_they_are_embedded(tmp_path, monkeypatch, starts):
    kept = "cuts: [block4_add, block7_add, block10_add]"
    own = f"cuts: [block4_add, block7_add]{starts}" if starts else kept
    (tmp_path / "params.yaml").write_text(GOOD.replace(kept, own), encoding="utf-8")
    document = read_document(tmp_path / "params.yaml")
    study = document["studies"]["transfer"]
    study["space"]["cut"], study["enqueue"] = "block4_add", []
    monkeypatch.chdir(tmp_path)
    assert problems_of(document) == []
    names = ("block4_add", "block7_add", "block10_add")
    cuts = {name: embedded(number) for number, name in enumerate(names)}
    write_cuts(tmp_path / "data/features" / study["base"], cuts)
    (problem,) = problems_of(document)
    assert problem.startswith("studies.transfer: unfreeze needs as many embedded cuts below")
