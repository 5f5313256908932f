"""Stamps are a part of a stage's own report, and tell what they were written for."""

import json

import pytest

from pipeline import stamps
from pipeline.stamps import KEYS, code_sha256, stamp_file, write_stamp

REPORTS = {
    "search": {"identity": "ab" * 32, "target": 4, "trials": []},
    "confirm": {"identity": "ab" * 32, "top": 2, "seeds": 3, "trainings": []},
    "register": {"study": "transfer", "weights_sha256": "cd" * 32, "version": "3"},
}


@pytest.mark.parametrize("stage", KEYS)
def test_equal_reports_give_equal_bytes_without_what_changes_from_run_to_run(tmp_path, stage):
    write_stamp(tmp_path, stage, REPORTS[stage], study="transfer")
    written = stamp_file(tmp_path, stage, "transfer").read_bytes()
    reordered = dict(reversed([*REPORTS[stage].items(), ("at", "now")]))
    write_stamp(tmp_path, stage, reordered, study="transfer")
    assert stamp_file(tmp_path, stage, "transfer").read_bytes() == written
    assert json.loads(written).keys() == set(KEYS[stage])


def test_a_report_that_lacks_a_key_leaves_no_stamp(tmp_path):
    with pytest.raises(KeyError):
        write_stamp(tmp_path, "search", {"identity": "ab" * 32})
    assert not stamp_file(tmp_path, "search").exists()


def test_the_names_are_those_of_dvc_yaml(tmp_path):
    assert stamp_file(tmp_path, "register") == tmp_path / "mlruns/stages/register.json"
    assert stamp_file(tmp_path, "search", "a").name == "search-a.json"


def test_the_hash_of_code_depends_on_the_parts_named():
    assert code_sha256("seeds.py") == code_sha256("seeds.py")
    assert code_sha256("seeds.py") != code_sha256("errors.py")
    assert code_sha256("training") != code_sha256("training", "seeds.py")
    assert len(code_sha256("models")) == 64


def test_the_hash_of_code_depends_on_its_content_and_on_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(stamps, "__file__", str(tmp_path / "stamps.py"))
    (tmp_path / "training").mkdir()
    code = tmp_path / "training" / "fit.py"
    code.write_text("rate = 1")
    before = code_sha256("training")
    (tmp_path / "training" / "notes.txt").write_text("not code")
    assert code_sha256("training") == before
    code.write_text("rate = 2")
    assert code_sha256("training") != before
