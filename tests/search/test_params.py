"""Sections of a search fit each other, or every problem is said."""

import pytest

from pipeline.errors import ConfigError
from pipeline.search import params
from pipeline.search.distributions import Choice
from pipeline.search.params import StudyParams, embedded_space, load_study, study_problems
from pipeline.search.sections import SearchParams
from pipeline.search.space import SearchSpace
from testing.features import embedded


@pytest.fixture
def problems(params_document):
    def of(space, enqueue=(), base="none", sampler="tpe", embed=None, **defaults):
        study = StudyParams(base=base, space=space, enqueue=list(enqueue))
        known = {**params_document["defaults"], **defaults}
        search = {**params_document["search"], "sampler": sampler}
        embed = embed or params_document["embed"]
        document = {**params_document, "defaults": known, "search": search, "embed": embed}
        return study_problems("mine", study, document)

    return of


def test_the_projects_own_studies_have_no_problem(params_document):
    for name, written in params_document["studies"].items():
        study = StudyParams.model_validate(written)
        assert study_problems(name, study, params_document) == []


def test_all_problems_of_a_space_are_reported_at_once(problems):
    found = problems({"activation": "reluu", "unitss": 3})
    assert len(found) == 2
    assert found[0].startswith("studies.mine.space.activation: must be one of relu")
    assert "Did you mean 'units'?" in found[1]


def test_a_problem_inside_a_distribution_has_its_path(problems):
    written = {"type": "float", "low": "1e-4", "high": 0.1}
    assert problems({"learning_rate": written}) == [
        "studies.mine.space.learning_rate.low: Input should be a valid number. Received: '1e-4'."
    ]


def test_a_queued_value_outside_what_is_searched_is_refused(problems):
    space = {"units": {"type": "int", "low": 10, "high": 20}}
    assert problems(space, [{"units": 30}]) == [
        "studies.mine.enqueue.0.units: lies outside what is searched, 10 to 20. Received: 30."
    ]


def test_a_queued_depth_that_is_no_number_is_refused_like_any_other(problems, params_document):
    bases = {"lite": {"image_size": 64, "cuts": ["block4_add", "block7_add"]}}
    told = {"base": "lite", "embed": {**params_document["embed"], "bases": bases}}
    space = {"cut": "block7_add", "unfreeze": {"type": "int", "low": 0, "high": 1}}
    (problem,) = problems(space, [{"unfreeze": "deep"}], **told)
    assert problem.startswith("studies.mine.enqueue.0.unfreeze: lies outside what is searched")


def test_a_queued_hyperparameter_that_is_not_searched_is_refused(problems):
    assert "this study does not search it" in problems({}, [{"units": 30}])[0]


@pytest.mark.parametrize("name", ["labels", "report", "mine_wrong_images", "mine-0badcafe", "-m"])
def test_a_name_that_something_else_has_is_refused_by_the_stage_too(
    name, params_document, monkeypatch
):
    study = next(iter(params_document["studies"].values()))
    document = {**params_document, "studies": {name: study}}
    monkeypatch.setattr(params, "read_document", lambda: document)
    with pytest.raises(ConfigError, match=rf"studies\.{name}: a study (cannot|must) "):
        load_study(name)


def test_batches_of_one_exclude_batch_normalization(problems):
    space = {"batch_size": {"type": "choice", "choices": [1, 32]}, "normalization": "before"}
    assert "nothing to average over in batches of 1" in problems(space)[0]


def test_without_a_base_the_one_cut_is_pixels(problems):
    assert "the one cut is pixels" in problems({"cut": "block4_add"})[0]


def test_auto_searches_every_embedded_cut(params_document):
    space = SearchSpace({}, params_document["defaults"])
    settings = space.with_cuts(["block4_add", "avg_pool"]).settings
    assert settings["cut"] == Choice(type="choice", choices=["block4_add", "avg_pool"])


def test_a_single_embedded_cut_is_fixed_not_searched(params_document):
    space = SearchSpace({}, params_document["defaults"])
    assert space.with_cuts(["pixels"]).settings["cut"] == "pixels"


def test_a_cut_that_was_not_embedded_is_refused(params_document):
    space = SearchSpace({"cut": "block4"}, params_document["defaults"])
    with pytest.raises(ConfigError, match=r"Did you mean 'block4_add'.*embed\.bases"):
        space.with_cuts(["block4_add", "avg_pool"])


def test_a_grid_wants_an_end_of_values_before_a_study_begins(problems):
    endless = {"type": "float", "low": 0.1, "high": 0.2}
    (problem,) = problems({"learning_rate": endless}, sampler="grid")
    assert "Received: learning_rate without one" in problem
    assert problems({"learning_rate": {**endless, "step": 0.1}}, sampler="grid") == []


def test_without_a_base_nothing_can_be_unfrozen(problems):
    written = {"type": "int", "low": 0, "high": 2}
    message = "without a base there is nothing to unfreeze"
    assert message in problems({"unfreeze": written})[0]
    assert message in problems({}, unfreeze=1)[0]
    assert problems({"unfreeze": 0}) == []


CUTS = {"block4": embedded(5), "block7": embedded(9)}
SPACE = {"unfreeze": {"type": "int", "low": 0, "high": 1}}


class TestStudySettings:
    @pytest.fixture
    def settings(self, params_document):
        def read(space, *, enqueue=(), epochs=12):
            study = StudyParams(base="mine", space=space, enqueue=list(enqueue))
            parsed = SearchSpace.parse(space, params_document["defaults"])
            search = {**params_document["search"], "epochs": epochs}
            params = SearchParams.model_validate(search)
            return embedded_space(study, parsed, params, CUTS).settings

        return read

    def test_they_hold_the_cuts_and_the_segments_between_them(self, settings):
        found = settings(SPACE, enqueue=[{"cut": "block7", "unfreeze": 1}])
        assert found["cut"] == Choice(type="choice", choices=["block4", "block7"])
        assert found["unfreeze"].num_below == {"block4": 0, "block7": 1}

    def test_a_queued_trial_below_the_embedded_cuts_is_refused(self, settings):
        message = r"enqueue\.0\.unfreeze: reaches below the embedded cuts: 0 below block4"
        with pytest.raises(ConfigError, match=message):
            settings(SPACE, enqueue=[{"cut": "block4", "unfreeze": 1}])

    def test_a_queued_cut_that_is_not_embedded_any_more_is_refused(self, settings):
        message = r"^enqueue\.0\.cut: lies outside what is searched, one of block4, block7\."
        with pytest.raises(ConfigError, match=message):
            settings(SPACE, enqueue=[{"cut": "block9", "unfreeze": 1}])

    def test_two_phases_need_two_epochs(self, settings):
        with pytest.raises(ConfigError, match=r"search\.epochs must be 2 or more"):
            settings(SPACE, epochs=1)
        assert settings({}, epochs=1)["cut"]


class TestListsOfCuts:
    CUTS = ("block4_add", "block7_add", "block4_add+block7_add")

    def test_a_study_means_the_same_by_lists_and_by_names(self, params_document, monkeypatch):
        read = {}
        for name, cut in (("list", ["block4_add", "block7_add"]), ("name", self.CUTS[2])):
            space = {"cut": {"type": "choice", "choices": [cut, "block4_add"]}}
            study = {"base": "lite", "space": space, "enqueue": [{"cut": cut}]}
            bases = {"lite": {"image_size": 64, "cuts": [*self.CUTS[:2], cut]}}
            document = {
                **params_document,
                "defaults": {**params_document["defaults"], "cut": cut},
                "studies": {"mine": study},
                "embed": {**params_document["embed"], "bases": bases},
            }
            monkeypatch.setattr(params, "read_document", lambda document=document: document)
            read[name] = load_study("mine")
        (study, space), (same_study, same_space) = read["list"], read["name"]
        assert (space, study.enqueue) == (same_space, same_study.enqueue)
        assert space.defaults["cut"] == study.enqueue[0]["cut"] == self.CUTS[2]
        entries = {name: embedded(1) for name in self.CUTS}
        search = SearchParams.model_validate(params_document["search"])
        found = embedded_space(study, space, search, entries)
        assert found.settings["cut"].choices == [self.CUTS[2], "block4_add"]

    def test_one_that_was_not_embedded_is_refused(self, problems, params_document):
        bases = {"lite": {"image_size": 64, "cuts": ["block4_add", ["block4_add", "top"]]}}
        embed = {**params_document["embed"], "bases": bases}
        (problem,) = problems({"cut": [*self.CUTS[:2]]}, base="lite", embed=embed)
        assert "Unknown cut: 'block4_add+block7_add'. Did you mean" in problem
        assert "Only what embed.bases.lite.cuts lists" in problem

    def test_a_default_list_is_compared_with_what_is_embedded(self, problems, params_document):
        bases = {"lite": {"image_size": 64, "cuts": ["block4_add", ["block4_add", "top"]]}}
        told = {"base": "lite", "embed": {**params_document["embed"], "bases": bases}}
        assert problems({}, **told, cut=["block4_add", "top"]) == []
        (problem,) = problems({}, **told, cut=["top", "block4_add"])
        assert "Unknown cut: 'top+block4_add'. Did you mean 'block4_add'? Choose" in problem
