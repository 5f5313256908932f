"""Each library has its home, and nothing heavy is imported before it is needed."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "pipeline").rglob("*.py"))
HOMES = {
    "mlflow": {"tracking"},
    "optuna": {"tuning"},
    "keras": {"bases", "features", "training", "tuning"},
    "tensorflow": {"bases", "features", "training", "tuning"},
    "onnxruntime": {"features"},
    "matplotlib": {"report"},
    "ray": {"tuning"},
}
HEAVY = (
    "tensorflow",
    "keras",
    "onnxruntime",
    "mlflow",
    "sklearn",
    "optuna",
    "pandas",
    "matplotlib",
    "scipy",
)


def imports(file):
    """Top-level names of all that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def type_only(file):
    """Names imported under TYPE_CHECKING, which never run."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in ast.walk(node):
                if isinstance(child, ast.ImportFrom) and child.module:
                    yield child.module
                elif isinstance(child, ast.Import):
                    yield from (alias.name for alias in child.names)


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_library_is_imported_only_at_its_home(file):
    package = file.relative_to(ROOT / "pipeline").parts[0]
    only_types = set(type_only(file))
    found = {name.partition(".")[0] for name in imports(file) if name not in only_types}
    strays = [lib for lib in found & HOMES.keys() if package not in HOMES[lib]]
    assert not strays


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_imports_a_stage_but_the_commands(file):
    package = file.relative_to(ROOT / "pipeline").parts[0]
    if package in {"stages", "commands", "__main__.py"}:
        return
    assert not [name for name in imports(file) if name.startswith("pipeline.stages")]


@pytest.mark.parametrize("name", ["worker", "messages"])
def test_workers_know_neither_optuna_nor_mlflow(name):
    code = (
        f"import sys, pipeline.training.{name}\n"
        "print([m for m in ('optuna', 'mlflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_stages_and_commands_import_without_a_heavy_library():
    code = (
        "import importlib, pkgutil, sys, pipeline.__main__ as m\n"
        "for kind in ('stages', 'commands'):\n"
        "    package = importlib.import_module(f'pipeline.{kind}')\n"
        "    for found in pkgutil.iter_modules(package.__path__):\n"
        "        importlib.import_module(f'pipeline.{kind}.{found.name}')\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


def test_check_needs_no_numpy():
    """It takes a tenth of a second of what is asked for at every edit of params.yaml."""
    code = (
        "import sys, pipeline.__main__ as m\n"
        "print(m.main(['check']), [name for name in ('numpy', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines() == ["params.yaml is fine.", "0 []"], done.stderr


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_only_split_and_evaluate_name_the_file_of_the_test_part(file):
    named = "test.npz" in file.read_text()
    allowed = file.name in {"split.py", "evaluate.py"} and file.parent.name == "stages"
    assert allowed or not named


STAGES = (
    "fetch",
    "split",
    "plan",
    "embed",
    "search x",
    "confirm x",
    "evaluate",
    "register",
    "report",
)


@pytest.mark.parametrize("params", ["wrong", "good"])
def test_no_stage_loads_a_heavy_library_before_it_refuses(params, tmp_path):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    if params == "wrong":
        text = re.sub(r"^(  \w+): \S+", r"\1: [wrong]", text, flags=re.MULTILINE)
    else:
        # In an empty checkout every stage misses what the one before it writes; fetch its images.
        text = text.replace("dataset: fashion_mnist", "dataset: npz")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    code = (
        "import sys, pipeline.__main__ as m\n"
        f"for stage in {STAGES!r}:\n"
        "    code = m.main(stage.split())\n"
        f"    loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "    print(stage, code, loaded)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert done.stdout.splitlines() == [f"{stage} 2 []" for stage in STAGES], done.stderr


# They reach modules that use Keras, and use what needs none of it, or leave it to workers.
WITHOUT_KERAS = {"report", "search", "audit", "check", "clean", "enqueue", "status"}
WITHOUT_KERAS |= {"postgres", "ray_kills", "ray_search", "tracking_outage", "transfer"}
SETTING_CALLS = ("configure_tensorflow(", "fix_settings(")


@cache
def run_time_imports(file):
    """Names of all that a file may import when it runs."""
    typed, found = set(), set()
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            typed |= {id(child) for child in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) not in typed and isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif id(node) not in typed and isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def reached(file):
    """All files of this repository that a file may import, wherever in it, and itself."""
    seen, left = {file}, [file]
    while left:
        for name in run_time_imports(left.pop()):
            found = ROOT / Path(*name.split(".")).with_suffix(".py")
            if found.is_file() and found not in seen:
                seen.add(found)
                left.append(found)
    return seen


@pytest.mark.parametrize(
    "file",
    [
        file
        for folder in ("pipeline/stages", "pipeline/commands", "benchmarks")
        for file in sorted((ROOT / folder).glob("*.py"))
        if folder != "benchmarks" or "__main__" in file.read_text()
    ],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_whatever_uses_keras_fixes_the_settings_that_change_numbers(file):
    """Itself, or, for what loads a classifier, in the function that loads it."""
    files = reached(file)
    uses_keras = any("keras" in run_time_imports(other) for other in files)
    fixing = files & {file, ROOT / "pipeline/tracking/classifier.py"}
    is_fixed = any(call in other.read_text() for other in fixing for call in SETTING_CALLS)
    assert is_fixed or not uses_keras or file.stem in WITHOUT_KERAS
