"""What opening a study for a search says of it."""

import logging
from dataclasses import replace

import pytest

from pipeline.records.storage import open_storage
from pipeline.studies.described import describe
from pipeline.studies.opened import opened
from tests.commands.repository import Repository

pytestmark = pytest.mark.stores


@pytest.mark.parametrize("unfreeze", [{"type": "int", "low": 0, "high": 1}, 0])
def test_that_nothing_can_be_fine_tuned_is_said_where_it_was_to_be_searched(
    tmp_path, monkeypatch, params_document, caplog, unfreeze
):
    monkeypatch.chdir(tmp_path)
    Repository(tmp_path, params_document)
    described = describe("tiny", root=tmp_path)
    space = {**described.params.space, "unfreeze": unfreeze}
    wanted = replace(described, params=described.params.model_copy(update={"space": space}))
    with caplog.at_level(logging.INFO):
        opened(wanted, open_storage(tmp_path), root=tmp_path)
    assert ("no cut was embedded that phase 2 could start from" in caplog.text) == bool(unfreeze)
