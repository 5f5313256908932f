"""A registered model is verified against what is on disk, and its rebuilding is told."""

import argparse
from dataclasses import replace

import pytest

from pipeline.commands import reproduce, verify
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.records.chain import chain_of
from pipeline.records.mirror.store import open_store
from testing.chain import write_missing
from testing.registering import register
from tests.records.conftest import candidate, root, split, template

pytestmark = pytest.mark.keras
__all__ = ["candidate", "root", "split", "template"]
URI = "models:/digits-classifier/1"


@pytest.fixture
def registered(root, candidate, monkeypatch):
    """A checkout with a version that has a chain."""
    monkeypatch.chdir(root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write_missing(root)
    (root / "data/split.json").write_text("{}")
    one = candidate()
    chain = chain_of(root, study="transfer", base="efficientnet_lite0")
    register(open_store(root), replace(one, chain=chain, onnx_copy=lambda: b"a graph"))
    return root


def run(command, *arguments):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.main(parser.parse_args(arguments))


def test_every_link_is_said_and_which_differs(registered, capsys):
    assert run(verify, URI) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "digits-classifier version 1: its files are those that were registered"
    assert [line.split()[0] for line in lines[1:]] == [
        *("raw", "split", "features", "params", "code", "study", "confirmation", "model")
    ]
    (registered / "results/transfer/study.json").write_bytes(b"made uP")
    assert run(verify, URI) == 1
    found = [line for line in capsys.readouterr().out.splitlines() if "DIFFERS" in line]
    assert len(found) == 1
    assert found[0].startswith("study         DIFFERS: results/transfer/study.json is another one")


@pytest.mark.parametrize("name", ["model.keras", "model.onnx", "lineage.json"])
def test_the_registered_files_are_checked_too(registered, name):
    (file,) = (registered / "mlruns").rglob(name)
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(DataIntegrityError, match="must be the file that was registered"):
        run(verify, URI)


def test_a_version_without_a_chain_is_refused_until_it_has_one(registered, candidate):
    register(open_store(registered), candidate(seed=3))
    address = "models:/digits-classifier/2"
    with pytest.raises(ConfigError, match="has no chain of hashes"):
        run(verify, address)
    # Registered again its weights have one.
    one = candidate(seed=3)
    chain = chain_of(registered, study="transfer", base="efficientnet_lite0")
    register(open_store(registered), replace(one, chain=chain))
    assert run(verify, address) == 0


def test_the_commands_that_rebuild_it_begin_with_its_commit(registered, capsys):
    assert run(reproduce, URI) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "git checkout c0ffee" in lines
    assert lines[-1].startswith("grep ")
