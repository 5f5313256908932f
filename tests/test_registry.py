"""Names lead to components, and a wrong name says what would be right."""

import pytest

from pipeline.errors import ConfigError
from pipeline.registry import Registry


@pytest.fixture
def registry():
    animals = Registry("animal")
    animals.register("cat")("meow")
    animals.register("cow")("moo")
    return animals


def test_a_registered_name_gives_its_component(registry):
    assert registry.get("cow") == "moo"


def test_an_unknown_name_lists_the_choices_and_the_nearest(registry):
    with pytest.raises(ConfigError, match=r"Unknown animal: 'cot'\. Did you mean .*cat, cow"):
        registry.get("cot")


def test_a_name_can_be_taken_only_once(registry):
    registry.register("cat")
    with pytest.raises(ValueError, match="'cat' is registered twice"):
        registry.register("cat")("purr")
