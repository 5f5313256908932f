"""dvc.yaml tells the truth: every stage lists all the code and all the params it reads."""

import ast
from pathlib import Path

import pytest

from pipeline.config import read_document

ROOT = Path(__file__).parents[1]
STAGES = read_document(ROOT / "dvc.yaml")["stages"]
OF_EACH_STUDY = {"search", "confirm", "diagnose"}
# Imported by the entry point alone, or empty: no result depends on them.
NOT_CODE_OF_A_STAGE = {"__init__.py", "__main__.py"}


def body(stage):
    return STAGES[stage].get("do", STAGES[stage])


def running(tree):
    """All nodes but what is imported for types alone, which never runs."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield node
            yield from running(node)


def imported_files(module_file, seen=None):
    """All files of this repository that `module_file` imports, itself included."""
    seen = set() if seen is None else seen
    seen.add(module_file)
    for node in running(ast.parse(module_file.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            candidate = ROOT / Path(*name.split(".")).with_suffix(".py")
            if candidate.is_file() and candidate not in seen:
                imported_files(candidate, seen)
    return seen


def listed_code(stage):
    return {ROOT / dep for dep in body(stage)["deps"] if dep.startswith("pipeline/")}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lists_all_the_code_it_imports(stage):
    code = imported_files(ROOT / "pipeline" / "stages" / f"{stage}.py")
    listed = listed_code(stage)
    missing = sorted(
        str(file.relative_to(ROOT))
        for file in code
        if file.name not in NOT_CODE_OF_A_STAGE
        and not any(file == dep or dep in file.parents for dep in listed)
    )
    assert not missing, f"dvc.yaml: add to stages.{stage}.deps: {missing}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lists_no_code_it_does_not_import(stage):
    code = imported_files(ROOT / "pipeline" / "stages" / f"{stage}.py")
    idle = [
        str(dep.relative_to(ROOT))
        for dep in listed_code(stage)
        if dep not in code and not any(dep in file.parents for file in code)
    ]
    assert not idle, f"dvc.yaml: remove from stages.{stage}.deps: {sorted(idle)}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_its_own_module_without_a_shell_in_between(stage):
    study = " ${key}" if stage in OF_EACH_STUDY else ""
    assert body(stage)["cmd"] == f"exec python -m pipeline {stage}{study}"


@pytest.mark.parametrize("stage", STAGES)
def test_the_params_of_a_stage_exist(stage, params_document):
    for param in body(stage)["params"]:
        section = params_document
        for key in param.replace(".${key}", "").split("."):
            assert key in section
            section = section[key]


@pytest.mark.parametrize("stage", STAGES)
def test_only_split_and_evaluate_name_the_test_part(stage):
    deps_and_outs = [str(entry) for entry in [*body(stage)["deps"], *body(stage)["outs"]]]
    assert ("data/test.npz" in deps_and_outs) is (stage in {"split", "evaluate"})


@pytest.mark.parametrize("stage", ["search", "confirm", "register"])
def test_a_stage_that_fills_a_database_runs_again_where_that_is_missing(stage):
    (stamp,) = [out for out in body(stage)["outs"] if "mlruns/stages" in str(out)]
    assert next(iter(stamp.values())) == {"cache": False, "persist": True}


@pytest.mark.parametrize(
    ("stage", "restored_from"),
    [
        ("search", ["results/${key}/study.json"]),
        ("confirm", ["results/${key}/confirm.json", "models/${key}.keras"]),
        ("register", ["results/registration.json"]),
    ],
)
def test_dvc_leaves_a_stage_what_it_restores_from(stage, restored_from):
    options = {
        name: o for out in body(stage)["outs"] if isinstance(out, dict) for name, o in out.items()
    }
    assert all(options[name] == {"persist": True} for name in restored_from)


def test_every_result_is_kept_by_dvc():
    """What is not, `dvc pull` does not bring; only the stamps, which say what a machine has."""
    uncached = [
        name
        for stage in STAGES
        for out in [*body(stage)["outs"], *body(stage).get("metrics", [])]
        if isinstance(out, dict)
        for name, options in out.items()
        if options.get("cache") is False
    ]
    assert uncached == [
        "mlruns/stages/search-${key}.json",
        "mlruns/stages/confirm-${key}.json",
        "mlruns/stages/register.json",
    ]


def test_register_comes_after_evaluate_whose_figures_it_records():
    assert "results/metrics.json" in body("register")["deps"]


def test_what_has_no_budget_runs_after_what_has_one():
    """DVC takes stages that do not depend on each other in the order of the file."""
    order = list(STAGES)
    assert order.index("confirm") < min(order.index(name) for name in ("diagnose", "review"))
