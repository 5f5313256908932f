"""A search space asks Optuna for what params.yaml says, and for nothing that does not exist."""

import optuna
import pytest
from pydantic import ValidationError

from pipeline.errors import ConfigError
from pipeline.search.configurations import configuration_problems
from pipeline.search.distributions import Choice, IntRange, SegmentRange, parse_setting
from pipeline.search.params import default_problems
from pipeline.search.space import SearchSpace
from pipeline.training.hyperparameters import HYPERPARAMETERS
from pipeline.training.segments import lower_cuts, phase_2_starts
from testing.features import embedded


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
    return SearchSpace(settings, defaults).suggest(trial), trial.asked


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
        ("initializer", "zeros", "can only fail so, which `python -m pipeline lecture` shows"),
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


# As a manifest sorts them: by name.
BELOW = {"block10": 700, "block4": 50, "block7": 200, "top": 900}
CUTS = {name: embedded(below) for name, below in BELOW.items()}
POOLED_BLOCK7 = embedded(200, pooling="average")


RANGE = {"type": "int", "low": 0, "high": 3}


class TestLowerCuts:
    def test_they_are_in_the_networks_order(self):
        assert lower_cuts(CUTS, "top") == ["block10", "block7", "block4"]
        assert lower_cuts(CUTS, "block7") == ["block4"]
        assert lower_cuts(CUTS, "block4") == []

    def test_a_pooled_one_cannot_be_started_from(self):
        cuts = {**CUTS, "block7": POOLED_BLOCK7}
        assert lower_cuts(cuts, "block10") == ["block4"]
        assert lower_cuts(cuts, "block7") == ["block4"]

    def test_of_two_with_no_weights_between_them_one_counts(self):
        cuts = {**CUTS, "block7_relu": embedded(200)}
        assert len(lower_cuts(cuts, "block10")) == 2
        assert lower_cuts(cuts, "block7_relu") == ["block4"]

    def test_without_a_base_there_are_none(self):
        assert lower_cuts({"pixels": embedded()}, "pixels") == []


def beside(*names):
    """The entry of several cuts side by side."""
    return embedded(parts={name: BELOW[name] for name in names})


class TestSideBySide:
    def starts(self, *parts, **changes):
        return lower_cuts({**CUTS, **changes, "joint": beside(*parts)}, "joint")

    def test_the_lowest_is_the_nearest_start(self):
        assert self.starts("top", "block7") == ["block7", "block4"]
        assert self.starts("top", "block10", "block4") == ["block4"]

    def test_unless_it_was_not_embedded_whole_by_itself(self):
        assert self.starts("top", "block7", block7=POOLED_BLOCK7) == ["block4"]
        cuts = {name: CUTS[name] for name in ("block4", "top")}
        assert lower_cuts({**cuts, "joint": beside("block7", "top")}, "joint") == ["block4"]

    def test_of_two_lowest_with_no_weights_between_them_neither(self):
        joint = embedded(parts={"block7": 200, "top": 900, "block7_relu": 200})
        cuts = {**CUTS, "block7_relu": embedded(200), "joint": joint}
        assert lower_cuts(cuts, "joint") == ["block4"]

    def test_they_are_no_start_themselves(self):
        cuts = {**CUTS, "joint": beside("block4", "block7"), "block7:grid2": beside("block7")}
        assert lower_cuts(cuts, "top") == ["block10", "block7", "block4"]

    def test_one_with_its_pooling_starts_from_below(self):
        cuts = {**CUTS, "block7:grid2": beside("block7")}
        assert lower_cuts(cuts, "block7:grid2") == ["block4"]

    def test_a_space_knows_how_deep_each_can_go(self, params_document):
        cuts = {**CUTS, "block4+top": beside("block4", "top")}
        choices = ["block4", "block4+top", "block10"]
        asked = {"cut": Choice(type="choice", choices=choices)}
        asked["unfreeze"] = parse_setting("unfreeze", RANGE)
        space = SearchSpace(asked, params_document["defaults"]).with_segments(cuts)
        found = space.settings["unfreeze"]
        assert found.num_below == {"block4": 0, "block4+top": 1, "block10": 2}


class TestPhase2Starts:
    def test_of_whole_segments_it_is_the_cut_that_many_below(self):
        found = [phase_2_starts(CUTS, {"cut": "top", "unfreeze": n}) for n in (1, 2, 3)]
        assert found == [["block10"], ["block7"], ["block4"]]

    @pytest.mark.parametrize("num_layers", [1, 2])
    def test_single_layers_may_lie_further_down(self, num_layers):
        values = {"cut": "block10", "unfreeze": 1, "unfreeze_layers": num_layers}
        assert phase_2_starts(CUTS, values) == ["block7", "block4"]

    def test_frozen_there_is_none(self):
        assert phase_2_starts(CUTS, {"cut": "top", "unfreeze": 0}) == []
        assert phase_2_starts({}, {}) == []

    @pytest.mark.parametrize(
        ("cut", "values", "count"),
        [("block7", {"unfreeze": 2}, 1), ("block4", {"unfreeze": 1, "unfreeze_layers": 1}, 0)],
    )
    def test_too_many_are_refused(self, cut, values, count):
        with pytest.raises(ConfigError, match=rf"below {cut} as segments, and there are {count}\."):
            phase_2_starts(CUTS, {"cut": cut, **values})


@pytest.fixture
def space(params_document):
    """Reads a study's space with these cuts, and with `unfreeze` as it is written."""

    def read(unfreeze, cuts=("block4", "block10")):
        asked = {"cut": Choice(type="choice", choices=list(cuts)) if len(cuts) > 1 else cuts[0]}
        asked |= {"unfreeze": parse_setting("unfreeze", unfreeze)}
        return SearchSpace(asked, params_document["defaults"]).with_segments(CUTS)

    return read


class TestSpace:
    def test_every_cut_is_asked_for_as_many_as_it_has(self, space):
        asked = {}

        def objective(trial):
            values = space(RANGE).suggest(trial)
            asked.setdefault(values["cut"], set()).add(values["unfreeze"])
            assert ("learning_rate_ratio" in values) == (values["unfreeze"] > 0)
            assert ("unfreeze_layers" in values) == (values["unfreeze"] == 1)
            return 1.0

        # The sampler of a search: ranges that differ from trial to trial must suit it.
        sampler = optuna.samplers.TPESampler(
            seed=0, n_startup_trials=5, multivariate=True, group=True
        )
        optuna.create_study(sampler=sampler).optimize(objective, n_trials=40)
        assert asked == {"block4": {0}, "block10": {0, 1, 2}}

    def test_one_that_has_none_is_not_asked(self, space):
        trial = optuna.trial.FixedTrial({"cut": "block4"})
        assert space(RANGE).suggest(trial)["unfreeze"] == 0
        assert "unfreeze" not in trial.params

    @pytest.mark.parametrize(
        ("written", "high"), [({**RANGE, "high": 1}, 1), ({**RANGE, "step": 3}, 0), (RANGE, 2)]
    )
    def test_the_range_is_cut_off_on_its_own_steps(self, space, written, high):
        left = space(written).settings["unfreeze"].narrowed({"cut": "block10"})
        assert left == (IntRange(type="int", low=0, high=high) if high else 0)

    def test_the_space_of_the_study_says_how_deep_each_cut_can_go(self, space):
        setting = space(RANGE).settings["unfreeze"]
        assert isinstance(setting, SegmentRange)
        assert setting.model_dump()["num_below"] == {"block4": 0, "block10": 2}

    @pytest.mark.parametrize(
        "unfreeze", [1, {"type": "choice", "choices": [0, 1]}, {**RANGE, "low": 1}]
    )
    def test_what_a_cut_does_not_have_for_certain_is_refused(self, space, unfreeze):
        message = r"below block4 as segments, and there are 0. Received: unfreeze=1.*embed\.bases"
        with pytest.raises(ConfigError, match=message):
            space(unfreeze)

    def test_what_every_cut_has_is_left_as_it_is(self, space):
        written = {"type": "choice", "choices": [0, 1]}
        found = space(written, ("block7", "block10")).settings["unfreeze"]
        assert found == parse_setting("unfreeze", written)

    def test_a_search_that_could_never_unfreeze_is_refused(self, space):
        with pytest.raises(ConfigError, match=r"below block4 as segments, and there are 0"):
            space(RANGE, ("block4",))

    def test_frozen_nothing_is_asked_of_the_cuts(self, params_document):
        defaults = params_document["defaults"]
        asked = {"cut": "pixels"}
        space = SearchSpace(asked, defaults)
        assert space.with_segments({"pixels": embedded()}) == space
        assert not space.can_unfreeze
        assert SearchSpace(asked, {**defaults, "unfreeze": 2}).can_unfreeze


class TestQueue:
    def problems(self, space, **configuration):
        return configuration_problems("enqueue.0", configuration, space(RANGE))

    def test_what_the_cut_has_can_be_queued(self, space):
        assert self.problems(space, cut="block10", unfreeze=2) == []

    def test_what_it_has_not_is_refused(self, space):
        (problem,) = self.problems(space, cut="block10", unfreeze=3)
        assert problem.startswith("enqueue.0.unfreeze: reaches below the embedded cuts: 2 below")

    def test_without_a_cut_every_cut_must_have_it(self, space):
        (problem,) = self.problems(space, unfreeze=1)
        assert "0 below block4. Received: 1." in problem

    @pytest.mark.parametrize("cut", ["blok10", ["block10"]])
    def test_a_cut_that_there_is_not_is_a_problem_like_any_other(self, space, cut):
        (problem,) = self.problems(space, cut=cut, unfreeze=1)
        assert problem.startswith("enqueue.0.cut: lies outside what is searched, one of block4")
