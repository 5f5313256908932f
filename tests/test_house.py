"""The house keeps its walls: who may import what, where each library lives, who owns a file format.

`docs/architecture.md` has the picture and the reasons.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pipeline.trials.identity import TRAINING_CODE

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pipeline"
MODULES = sorted(file for file in PACKAGE.rglob("*.py") if file.name != "__init__.py")
RING_1 = {"data", "bases", "features", "training", "evaluation"}
# What a room may import beside itself and the ground floor: rooms, or single modules of a room.
RULES = {
    "data": set(),
    "bases": set(),
    "evaluation": set(),
    "features": {"bases", "data"},
    "training": {"features", "bases", "evaluation", "data"},
    "trials": {
        "training.messages",
        "training.segments",
        # What is legal at all, to tell whether a better value may lie beyond a range.
        "training.hyperparameters",
        "features.manifest",
        "evaluation.metrics",
        "evaluation.objectives",
    },
    "planning": RING_1,
    "search": RING_1 | {"trials"},
    "records": {
        "trials",
        # The images of a version's example.
        "data.rows",
        "training.messages",
        "training.export",
        # A registered model is opened with the settings that change numbers fixed.
        "training.devices",
        "features.manifest",
        "bases.model_files",
        "evaluation.metrics",
        "evaluation.objectives",
        # A registered model answers without TensorFlow.
        "features.onnx_session",
        # What a registered model is served with.
        "training.image_classifier",
    },
    # What is wrong with the data; of models it knows nothing.
    "review": {"data", "evaluation", "features.manifest"},
    "report": {
        "trials",
        "evaluation",
        "training.hyperparameters",
        "planning.plan",
        "review.record",
    },
    "studies": RING_1 | {"trials", "search", "records"},
    # Demonstrations of the lectures, on the engine of every trial.
    "lectures": RING_1
    | {"planning.sample", "search", "report.comparison", "report.curves", "report.maps"},
    "stages": RING_1 | {"trials", "planning", "review", "search", "records", "studies", "report"},
    "commands": RING_1
    | {"trials", "planning", "review.params", "search", "records", "studies", "report", "stages"}
    | {"lectures"},
}
HOMES = {
    "optuna": {"search", "records"},
    "mlflow": {"records/mirror", "records/model_registry"},
    "keras": {"bases", "features", "training"},
    "tensorflow": {"features", "training"},
    "onnxruntime": {"features"},
    "ray": {"search/executors"},
    "sklearn": {"data"},
    "scipy": {"evaluation", "review", "training"},
    "matplotlib": {"report"},
    "jinja2": {"report"},
}
HEAVY = (*(HOMES.keys() - {"ray", "jinja2"}), "pandas")
OWNERS = {
    # Two formats of one name: of features, and of raw images.
    "manifest.json": {"features/manifest.py", "data/labelled.py"},
    "split.json": {"split_record.py"},
    "plan.json": {"plan_record.py"},
    "study.json": {"workspace.py"},
    "confirm.json": {"workspace.py"},
    "registration.json": {"workspace.py"},
}
# Signatures that pass parsed JSON on from one module to another; may only fall.
MOST_UNTYPED = 1
MOST_LINES = 300
MOST_LINES_OF_A_FUNCTION = 40


def relative(file):
    """Returns a module's name below the package, such as `search.executors.local`."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts)


def running(tree):
    """All nodes but what is imported for types alone, which never runs."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield node
            yield from running(node)


@cache
def names_imported(file):
    """Dotted names of all that a file may import when it runs, wherever in it."""
    found = set()
    for node in running(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@cache
def modules_imported(file):
    """The files of this repository among them."""
    paths = {ROOT / Path(*name.split(".")).with_suffix(".py") for name in names_imported(file)}
    return {path for path in paths if path.is_file() and path != file}


def is_within(name, places):
    """Whether a dotted name is one of these, or below one."""
    return any(name == place or name.startswith(f"{place}.") for place in places)


def strays_of(file):
    """What a module imports against the rules, as dotted names."""
    room = relative(file).partition(".")[0]
    if room == "__main__":
        return []
    found = [relative(other) for other in modules_imported(file) if other.is_relative_to(PACKAGE)]
    # The ground floor is what lies in no room; it imports nothing but itself.
    inside = [name for name in found if "." in name]
    return [name for name in inside if not is_within(name, {room, *RULES.get(room, ())})]


def test_every_room_keeps_to_what_it_may_import():
    strays = {relative(file): strays_of(file) for file in MODULES}
    assert {name: found for name, found in strays.items() if found} == {}


def circles() -> Iterator[str]:
    """Circles of imports, each as `a -> b -> a`."""
    done, path = set(), []

    def visit(file):
        if file in path:
            yield " -> ".join(relative(f) for f in [*path[path.index(file) :], file])
        elif file not in done:
            path.append(file)
            for other in sorted(modules_imported(file)):
                yield from visit(other)
            done.add(path.pop())

    for file in MODULES:
        yield from visit(file)


def test_no_module_imports_itself_in_a_circle():
    assert list(circles()) == []


@pytest.mark.parametrize("library", sorted(HOMES))
def test_a_library_is_imported_only_at_its_home(library):
    def is_home(file):
        folder = file.parent.relative_to(PACKAGE).as_posix()
        return any(folder == home or folder.startswith(f"{home}/") for home in HOMES[library])

    users = [f for f in MODULES if library in {n.partition(".")[0] for n in names_imported(f)}]
    assert [relative(file) for file in users if not is_home(file)] == []


def literals(file):
    """All texts in a file's code; docstrings are none."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in documents:
            yield node.value


@pytest.mark.parametrize("name", sorted(OWNERS))
def test_one_module_names_a_file_that_several_read(name):
    users = {
        file.relative_to(PACKAGE).as_posix()
        for file in MODULES
        if any(text.rpartition("/")[2] == name for text in literals(file))
    }
    assert users <= OWNERS[name]


UNTYPED = re.compile(r"(dict|Mapping)\[str, Any\]|\bJson\b")
READ_OR_WRITE_JSON = {
    "evaluation.record",
    "review.record",
    "files",
    "config",
    "features.manifest",
    "trials.record",
    "trials.study",
    "trials.candidate",
    "trials.epochs",
    "trials.confirmation",
    "trials.diagnosis",
    "trials.effects",
    "trials.exported",
    "trials.registration",
    "planning.plan",
}


def untyped(file):
    """Public functions and fields of a module that take or give parsed JSON."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            arguments = [*node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
            hints = [a.annotation for a in arguments if a is not None] + [node.returns]
        elif isinstance(node, ast.ClassDef):
            hints = [n.annotation for n in node.body if isinstance(n, ast.AnnAssign)]
        else:
            continue
        yield from (hint for hint in hints if hint and UNTYPED.search(ast.unparse(hint)))


def test_fewer_signatures_pass_parsed_json_on():
    files = [file for file in MODULES if relative(file) not in READ_OR_WRITE_JSON]
    assert sum(len(list(untyped(file))) for file in files) == MOST_UNTYPED


def aliases(file):
    """Names that a module gives to parsed JSON as a whole; `UNTYPED` would not see their uses."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        is_named = isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        if is_named and UNTYPED.fullmatch(ast.unparse(node.value)):
            yield f"{relative(file)}: {ast.unparse(node)}"


def test_parsed_json_has_no_other_name():
    assert [found for file in MODULES for found in aliases(file)] == []


def functions(file):
    """Names of a module's functions with their lines, without the docstring's."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = node.end_lineno - first[0].lineno + 1 if first else 0
            yield f"{relative(file)}.{node.name}", lines


def test_modules_and_functions_fit_on_a_few_screens():
    lengths = {relative(f): len(f.read_text(encoding="utf-8").splitlines()) for f in MODULES}
    long = {name for name, lines in lengths.items() if lines > MOST_LINES}
    for file in MODULES:
        long |= {name for name, lines in functions(file) if lines > MOST_LINES_OF_A_FUNCTION}
    assert long == set()


def test_the_code_of_a_training_is_all_that_its_worker_imports():
    code = {f.relative_to(PACKAGE).as_posix() for f in reached(PACKAGE / "training/worker.py")}
    assert code == set(TRAINING_CODE)


@pytest.mark.parametrize("name", ["training.worker", "training.messages", "search.executors.base"])
def test_workers_know_neither_optuna_nor_mlflow(name):
    code = (
        f"import sys, pipeline.{name}\nprint([m for m in ('optuna', 'mlflow') if m in sys.modules])"
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


def test_only_split_and_evaluate_name_the_file_of_the_test_part():
    named = {relative(file) for file in MODULES if "test.npz" in file.read_text(encoding="utf-8")}
    assert named == {"stages.split", "stages.evaluate"}


STAGES = (
    "fetch",
    "split",
    "plan",
    "embed",
    "review",
    "search x",
    "confirm x",
    "diagnose x",
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
        text = re.sub(r"dataset: \w+", "dataset: npz", text, count=1)
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
WITHOUT_KERAS = {"report", "search", "audit", "check", "enqueue", "gc", "status", "summary"}
WITHOUT_KERAS |= {"diagnose", "review"}
WITHOUT_KERAS |= {"driver", "mirrored_images", "postgres", "ray_kills", "ray_search"}
WITHOUT_KERAS |= {"report_page", "rung_ranking", "tracking_outage", "transfer"}
FIXING = ("records/model_registry/classifier.py", "studies/exported.py")
SETTING_CALLS = ("configure_tensorflow(", "fix_settings(")


def reached(file):
    """All files of this repository that a file may import, wherever in it, and itself."""
    seen, left = {file}, [file]
    while left:
        new = modules_imported(left.pop()) - seen
        seen |= new
        left += new
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
    """Itself, or in the function that loads a classifier or writes one."""
    files = reached(file)
    uses_keras = any("keras" in names_imported(other) for other in files)
    fixing = files & {file, *(PACKAGE / name for name in FIXING)}
    is_fixed = any(call in other.read_text() for other in fixing for call in SETTING_CALLS)
    assert is_fixed or not uses_keras or file.stem in WITHOUT_KERAS
