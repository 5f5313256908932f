"""What the README names exists, and what a user copies from it is what the project has."""

import re
from pathlib import Path

import pytest

from pipeline.__main__ import COMMANDS, STAGES
from pipeline.config import read_document

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def tree_files():
    """Paths of the README's file tree, from its indentation."""
    block = TEXT.split("## Files")[1].split("```")[1]
    folders = []
    for line in block.strip("\n").splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        folders = folders[:depth]
        if name.endswith("/") and depth + 1 > len(folders):
            folders.append(name)
            yield "".join(folders)
        else:
            yield "".join([*folders, name])


@pytest.mark.parametrize("name", sorted(set(tree_files())))
def test_every_path_of_the_file_tree_exists(name):
    assert (ROOT / name).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"python -m pipeline (\w+)", TEXT))))
def test_every_command_exists(name):
    assert name in {*STAGES, *COMMANDS}


@pytest.mark.parametrize("key", sorted(set(re.findall(r"-S ([\w.]+)=", TEXT))))
def test_every_key_that_a_command_sets_exists(key):
    value = read_document(ROOT / "params.yaml")
    for part in key.split("."):
        # DVC counts the entries of a list.
        name = int(part) if isinstance(value, list) else part
        assert name in (range(len(value)) if isinstance(value, list) else value)
        value = value[name]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make (\w+)", TEXT))))
def test_every_make_target_exists(target):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", TEXT))))
def test_every_linked_file_exists(link):
    assert link.startswith("http") or (ROOT / link).exists()
