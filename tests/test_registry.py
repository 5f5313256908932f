"""Names lead to components, and a wrong name says what would be right."""

import pytest

from pipeline.errors import ConfigError
from pipeline.hyperparameter import count, positive, unit_interval, where
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


class TestParameters:
    def test_exist_where_an_entry_that_names_them_is_chosen(self):
        animals = Registry("animal")
        legs = {"legs": count("how many")}
        animals.register("cat", parameters={**legs, "lives": count("left", high=9)})("meow")
        animals.register("eel")("blub")
        animals.register("cow", parameters={"milk": positive("litres a day"), **legs})("moo")
        found = animals.parameters
        assert list(found) == ["legs", "lives", "milk"]
        assert {name: spec.active_when["animal"] for name, spec in found.items()} == {
            "legs": {"cat", "cow"},
            "lives": {"cat"},
            "milk": {"cow"},
        }
        assert found["lives"].high == 9

    def test_keep_conditions_of_their_own(self):
        animals = Registry("animal")
        tail = unit_interval("of its length", active_when=where(has_tail=True))
        animals.register("cat", parameters={"tail": tail})("meow")
        assert animals.parameters["tail"].active_when == {"animal": {"cat"}, "has_tail": {True}}

    def test_of_one_name_are_declared_in_one_way(self):
        animals = Registry("animal")
        animals.register("cat", parameters={"legs": count("how many")})("meow")
        animals.register("cow", parameters={"legs": count("how many", high=4)})("moo")
        with pytest.raises(ValueError, match="'cow' declares legs in another way than 'cat'"):
            _ = animals.parameters
