"""params.yaml is read strictly, and every problem is said with its path."""

import re
from typing import Annotated, Literal

import pytest
from pydantic import Field

from pipeline.config import Section, load_section, read_document, study_bases
from pipeline.errors import ConfigError


class Ball(Section):
    type: Literal["ball"]
    radius: float


class Box(Section):
    type: Literal["box"]
    width: int


class Things(Section):
    count: int
    ratio: float = Field(gt=0)
    shape: Annotated[Ball | Box, Field(discriminator="type")]


@pytest.fixture
def load(tmp_path):
    def from_text(text, name="things"):
        path = tmp_path / "params.yaml"
        path.write_text(text)
        return load_section(Things, name, path)

    return from_text


GOOD = "things: {count: 3, ratio: 1e-05, shape: {type: box, width: 2}}"


def test_a_number_in_scientific_notation_is_a_number(load):
    assert load(GOOD).ratio == 1e-05


def test_every_problem_of_a_section_is_reported_at_once(load):
    with pytest.raises(ConfigError) as error:
        load("things: {count: '64', ratio: -1, shape: {type: box, width: 2}, cuont: 3}")
    text = str(error.value)
    assert "things.count: Input should be a valid integer. Received: '64'." in text
    assert "things.ratio: Input should be greater than 0. Received: -1." in text
    assert "things.cuont: there is no such key. Did you mean 'count'? Received: 3." in text


def test_a_missing_key_is_named(load):
    with pytest.raises(ConfigError, match=r"things\.ratio: this key is missing\."):
        load("things: {count: 3, shape: {type: ball, radius: 1.0}}")


def test_a_float_is_no_integer(load):
    with pytest.raises(ConfigError, match=r"things\.count: .*Received: 1\.5"):
        load(GOOD.replace("3", "1.5", 1))


@pytest.mark.parametrize("bad", [".nan", ".inf", "-.inf"])
def test_a_number_must_be_finite(load, bad):
    with pytest.raises(ConfigError, match=r"things\.ratio: Input should be a finite number"):
        load(GOOD.replace("1e-05", bad))


def test_a_duplicate_key_is_refused_with_its_line(load):
    with pytest.raises(ConfigError, match=r'params\.yaml:2:1: found duplicate key "things"'):
        load(f"{GOOD}\n{GOOD}")


def test_a_syntax_error_is_one_line_with_its_place(load):
    with pytest.raises(ConfigError, match=r"params\.yaml:1:\d+: ") as error:
        load("things: [1, 2")
    assert "\n" not in str(error.value)


def test_a_python_object_is_refused(load):
    with pytest.raises(ConfigError, match="could not determine a constructor"):
        load("things: !!python/object/apply:os.getcwd []")


def test_a_missing_section_lists_those_that_exist(load):
    with pytest.raises(ConfigError, match=r"has no 'thing'\. It has: things"):
        load(GOOD, name="thing")


def test_the_bases_of_all_studies_are_read(tmp_path):
    (tmp_path / "params.yaml").write_text("studies: {a: {base: none, space: {}}, b: {base: lite}}")
    assert study_bases(tmp_path / "params.yaml") == {"a": "none", "b": "lite"}


@pytest.mark.parametrize(
    ("studies", "problem"),
    [
        ("", "studies must name at least one. Received: None"),
        ("studies: {}", "studies must name at least one"),
        ("studies: [a]", "studies must name at least one"),
        ("studies: {a: null}", "studies.a must have a base. Received: None"),
        ("studies: {a: {space: {}}}", "studies.a must have a base"),
    ],
)
def test_studies_without_a_base_are_refused_in_a_sentence(tmp_path, studies, problem):
    (tmp_path / "params.yaml").write_text(f"budget: 1m\n{studies}")
    with pytest.raises(ConfigError, match=re.escape(problem)):
        study_bases(tmp_path / "params.yaml")


def test_a_missing_file_says_where_to_be(tmp_path):
    with pytest.raises(ConfigError, match="Run from the repository root"):
        read_document(tmp_path / "params.yaml")


def test_a_file_that_is_not_a_mapping_is_refused(tmp_path):
    (tmp_path / "params.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="must be a mapping of sections"):
        read_document(tmp_path / "params.yaml")
