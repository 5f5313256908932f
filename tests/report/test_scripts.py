"""The library in the page is the published one, and both scripts can stand in a page."""

import hashlib

import pytest

from pipeline.report.scripts import LIBRARY, policy, read_scripts

# Of dist/echarts.min.js in the package echarts 6.1.0 of npm.
PUBLISHED = "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0"


def test_the_library_is_as_published_with_its_licence_beside_it():
    assert hashlib.sha256(LIBRARY.read_bytes()).hexdigest() == PUBLISHED
    for name in ("LICENSE", "NOTICE", "LICENSE-d3"):
        assert LIBRARY.with_name(f"echarts.{name}").stat().st_size > 100
    assert "6.1.0" in LIBRARY.with_name("README.md").read_text(encoding="utf-8")


def test_scripts_take_at_most_2_mb():
    assert sum(len(script.encode()) for script in read_scripts()) <= 2_000_000


@pytest.mark.parametrize("script", read_scripts(), ids=["library", "explorer"])
def test_no_script_can_end_its_element_or_be_changed_by_reading(script):
    lowered = script.lower()
    assert "</script" not in lowered
    assert "<!--" not in lowered
    assert "\r" not in script


def test_another_script_has_another_policy():
    library, explorer = read_scripts()
    assert policy([library, explorer]) != policy([library, explorer + " "])
