"""A search space asks Optuna for what params.yaml says, and for nothing that does not exist."""

import pytest
from pydantic import ValidationError

from pipeline.training.hyperparameters import HYPERPARAMETERS
from pipeline.tuning.params import default_problems
from pipeline.tuning.space import parse_setting, suggest


class RecordingTrial:
    """Keeps what it was asked, and answers with the first legal value."""

    def __init__(self, answers=()):
        self.asked = {}
        self.answers = dict(answers)

    def suggest_float(self, name, low, high, **kwargs):
        self.asked[name] = {"low": low, "high": high, **kwargs}
        return self.answers.get(name, low)

    def suggest_int(self, name, low, high, **kwargs):
        self.asked[name] = {"low": low, "high": high, **kwargs}
        return self.answers.get(name, low)

    def suggest_categorical(self, name, choices):
        self.asked[name] = {"choices": choices}
        return self.answers.get(name, choices[0])


@pytest.fixture
def defaults(params_document):
    return params_document["defaults"]


def ask(space, defaults, **answers):
    trial = RecordingTrial(answers)
    settings = {name: parse_setting(name, written) for name, written in space.items()}
    return suggest(settings, defaults, trial), trial.asked


def test_log_reaches_the_trial(defaults):
    space = {"learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True}}
    assert ask(space, defaults)[1]["learning_rate"]["log"] is True


def test_step_reaches_the_trial(defaults):
    space = {"units": {"type": "int", "low": 10, "high": 100, "step": 10}}
    assert ask(space, defaults)[1]["units"] == {"low": 10, "high": 100, "log": False, "step": 10}


def test_what_the_space_does_not_name_has_its_default_and_is_not_asked(defaults):
    values, asked = ask({}, defaults)
    assert values["activation"] == defaults["activation"]
    assert asked == {}


@pytest.mark.parametrize(
    ("clipping", "is_there"), [("none", False), ("clipvalue", True), ("global_clipnorm", True)]
)
def test_the_clipping_threshold_exists_only_where_clipping_is_on(defaults, clipping, is_there):
    space = {
        "clipping": {"type": "choice", "choices": ["none", "clipvalue", "global_clipnorm"]},
        "clipping_threshold": {"type": "float", "low": 0.1, "high": 10.0},
    }
    values, asked = ask(space, defaults, clipping=clipping)
    assert ("clipping_threshold" in values) is is_there
    assert ("clipping_threshold" in asked) is is_there


def test_each_layer_has_its_own_width_only_where_it_exists(defaults):
    values, _ = ask({"units_shape": "per_layer", "num_layers": 2}, defaults)
    assert {name for name in values if name.startswith("units")} == {
        "units_shape",
        "units_0",
        "units_1",
    }


def test_without_hidden_layers_nothing_of_theirs_exists(defaults):
    values, _ = ask({"num_layers": 0}, defaults)
    assert not {"units", "activation", "initializer", "normalization"} & set(values)


@pytest.mark.parametrize("name", list(HYPERPARAMETERS))
def test_every_condition_names_an_earlier_hyperparameter(name):
    earlier = list(HYPERPARAMETERS)[: list(HYPERPARAMETERS).index(name)]
    assert set(HYPERPARAMETERS[name].active_when) <= set(earlier)


@pytest.mark.parametrize("name", list(HYPERPARAMETERS))
def test_every_condition_can_come_true(name):
    for condition, wanted in HYPERPARAMETERS[name].active_when.items():
        assert all(HYPERPARAMETERS[condition].problem(value) is None for value in wanted)


@pytest.mark.parametrize(
    ("name", "written", "message"),
    [
        ("learnin_rate", 0.1, r"Unknown hyperparameter.*Did you mean 'learning_rate'"),
        ("activation", "reluu", r"must be one of relu, .*Received: 'reluu'"),
        ("units", "64", r"must be an integer\. Received: '64'"),
        ("units", 64.0, r"must be an integer\. Received: 64\.0"),
        ("num_layers", True, r"must be an integer\. Received: True"),
        ("dropout_rate", 1.0, r"must lie in \[0, 1\)\. Received: 1\.0"),
        ("learning_rate", 0, r"must lie in \(0, 100\]\. Received: 0"),
        ("learning_rate", {"type": "float", "low": 1.0, "high": 0.1}, r"low < high must hold"),
        (
            "l2",
            {"type": "float", "low": 0.0, "high": 0.1, "log": True},
            r"low > 0 must hold when log is true",
        ),
        ("activation", {"type": "choice", "choices": []}, r"at least 1 item"),
        ("activation", {"type": "choice", "choices": ["relu", "relu"]}, r"choices must differ"),
        (
            "activation",
            {"type": "choice", "choices": ["relu", "reluu"]},
            r"must be one of .*Received: 'reluu'",
        ),
        ("units", {"type": "float", "low": 1.0, "high": 9.0}, r"type must be int or choice"),
        ("units", {"type": "int", "low": 1, "high": 2000}, r"must lie in \[1, 1024\]"),
        ("units", {"type": "int", "low": 1, "high": 10, "step": 4}, r"low plus a multiple of step"),
        ("units", {"type": "int", "low": 1.5, "high": 10}, r"valid integer"),
        ("learning_rate", {"type": "float", "low": 0.1, "high": 1.0, "scale": "log"}, r"scale"),
    ],
)
def test_a_wrong_setting_says_what_is_wrong(name, written, message):
    with pytest.raises((ValueError, ValidationError), match=message):
        parse_setting(name, written)


def test_the_words_beside_numbers_are_legal():
    assert parse_setting("batch_size", "full") == "full"


def test_a_boolean_choice_takes_no_number():
    with pytest.raises(ValueError, match="must be one of False, True"):
        parse_setting("normalize_first", 1)


def test_defaults_must_name_every_hyperparameter(defaults):
    assert default_problems({k: v for k, v in defaults.items() if k != "units"}) == [
        "defaults.units: this key is missing."
    ]


JOINT = ["block4_add", "block7_add:global"]


class TestListsOfCuts:
    NAME = "block4_add+block7_add:global"

    def test_a_list_and_its_name_mean_the_same(self):
        assert parse_setting("cut", JOINT) == parse_setting("cut", self.NAME) == self.NAME
        choices = {"type": "choice", "choices": ["block7_add", JOINT, ["block4_add"]]}
        found = parse_setting("cut", choices)
        assert found.choices == ["block7_add", self.NAME, "block4_add"]
        assert found.holds(self.NAME)

    def test_also_in_the_defaults(self, defaults):
        assert default_problems({**defaults, "cut": JOINT}) == []

    @pytest.mark.parametrize("written", [[], ["a", "a"], ["a", 3], 3])
    def test_what_names_no_cuts_is_refused(self, defaults, written):
        message = r"must be a name, or a list of different ones\. Received: "
        with pytest.raises(ValueError, match=message):
            parse_setting("cut", written)
        (problem,) = default_problems({**defaults, "cut": written})
        assert "must be a name, or a list of different ones" in problem

    def test_nothing_else_is_a_list(self, defaults):
        with pytest.raises(ValueError, match="must be one of relu"):
            parse_setting("activation", ["relu", "selu"])
        assert default_problems({**defaults, "activation": ["relu", "selu"]})
