"""A study goes on as long as its trials stay comparable, and not longer."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.bases.table import BaseSource
from pipeline.search.sections import SearchParams
from pipeline.search.space import SearchSpace
from pipeline.trials import identity as identities
from pipeline.trials.identity import SpaceDescription, of_other_code, study_identity
from testing.features import embedded, manifest
from testing.records import made_trial

RATE = {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}
SPACE = {"cut": "pixels", "learning_rate": RATE}
PER_LAYER = {
    **SPACE,
    "num_layers": {"type": "int", "low": 0, "high": 4},
    "units_shape": "per_layer",
}
CUTS = {"low": embedded(1), "top": embedded(9)}
MORE_CUTS = {**CUTS, "middle": embedded(5)}
UNFREEZE = {"defaults": {"unfreeze": 1}}


@pytest.fixture
def identity(params_document):
    """Returns the identity with some things changed."""

    def of(*, search=None, space=None, defaults=None, enqueue=None, data="t", base=None):
        params = SearchParams.model_validate({**params_document["search"], **(search or {})})
        known = {**params_document["defaults"], **(defaults or {})}
        parsed = SearchSpace.parse(space or SPACE, known)
        return study_identity(
            parsed.describe(),
            objective=params.objective,
            epochs=params.num_epochs,
            seed=params.seed,
            data_sha256=data,
            manifest=manifest(**{"weights_sha256": "w", "cuts": CUTS, **(base or {})}),
        )

    return of


@pytest.mark.parametrize(
    "change",
    [
        {"search": {"trials": 99}},
        {"search": {"workers": 1}},
        {"search": {"timeout": "5m"}},
        {"search": {"executor": "ray"}},
        {"search": {"duplicates": "replicate"}},
        {"search": {"sampler": "random"}},
        {"search": {"pruner": {"name": "none"}}},
        {"enqueue": [{"learning_rate": 0.001}]},
        {"base": {"cuts": MORE_CUTS}},
        {"base": {"views": ()}},
        {"base": {"source": BaseSource(model="mobilenet", weights="imagenet")}},
        {"defaults": {"units_0": 299}},
        {"defaults": {"units_4": 7}, "space": PER_LAYER},
        {"defaults": {"learning_rate": 0.5}},
        {"defaults": {"cut": "pixels"}},
    ],
    ids=str,
)
def test_what_does_not_change_a_trial_goes_on_with_the_study(identity, change):
    assert identity(**change) == identity(space=change.get("space"))


@pytest.mark.parametrize(
    "change",
    [
        {"data": "u"},
        {"base": {"weights_sha256": "x"}},
        {"base": {"image_size": 96}},
        {"base": {"source": BaseSource(model="own.keras", input_range=[0, 1])}},
        {"base": {"views": ({"kind": "hflip"},)}},
        {"base": {"cuts": {**CUTS, "low": embedded(1, pooling="average")}}},
        {"search": {"objective": "val_log_loss"}},
        {"search": {"epochs": 99}},
        {"search": {"seed": 99}},
    ],
    ids=str,
)
def test_what_makes_trials_incomparable_starts_a_study_that_takes_nothing_over(identity, change):
    assert identity(**change).whole != identity().whole
    assert identity(**change).comparable != identity().comparable


@pytest.mark.parametrize(
    "change",
    [
        {"space": {**SPACE, "batch_size": {"type": "choice", "choices": [64, 128]}}},
        {"space": {**SPACE, "learning_rate": {**RATE, "high": 1e-3}}},
        {"defaults": {"batch_size": 32}},
        {"defaults": {"units": 77}},
        {"space": {**SPACE, "learning_rate": 0.001}},
    ],
    ids=["more", "narrower", "default", "conditional default", "fixed"],
)
def test_another_space_starts_a_study_that_may_take_trials_over(identity, change):
    assert identity(**change).whole != identity().whole
    assert identity(**change).comparable == identity().comparable


def test_where_layers_are_unfrozen_the_embedded_cuts_say_which(identity):
    more = identity(**UNFREEZE, base={"cuts": MORE_CUTS})
    assert more.comparable != identity(**UNFREEZE).comparable


SEARCHED = {"space": {**SPACE, "unfreeze": {"type": "int", "low": 0, "high": 1}}}


class TestTakingOver:
    def test_a_study_that_may_unfreeze_takes_from_one_that_may_not_and_the_other_way(
        self, identity
    ):
        frozen, deep = identity(), identity(**SEARCHED)
        assert frozen.comparable != deep.comparable
        assert deep.can_take_over(frozen.comparable)
        assert frozen.can_take_over(deep.comparable)

    def test_between_other_cuts_its_trials_had_other_layers(self, identity):
        more = identity(**SEARCHED, base={"cuts": MORE_CUTS})
        assert not more.can_take_over(identity(**SEARCHED).comparable)
        assert more.can_take_over(identity().comparable)
        assert not identity(base={"cuts": MORE_CUTS}).can_take_over(identity(**SEARCHED).comparable)

    def test_not_with_other_data_nor_from_what_does_not_say(self, identity):
        other = identity(data="u")
        assert not identity(**SEARCHED).can_take_over(other.comparable)
        assert not identity().can_take_over(None)


JOINT = embedded(parts={"low": 1, "top": 9})


class TestSideBySide:
    def space(self, *cuts):
        return {**SEARCHED["space"], "cut": {"type": "choice", "choices": list(cuts)}}

    @pytest.mark.parametrize("unfreeze", [{}, UNFREEZE])
    def test_a_study_that_searches_more_of_them_takes_over_what_it_had(self, identity, unfreeze):
        less = identity(**unfreeze, space=self.space("low", "top"))
        more = identity(
            **unfreeze,
            base={"cuts": {**CUTS, "low+top": JOINT}},
            space=self.space("low", "top", "low+top"),
        )
        assert more.whole != less.whole
        assert more.comparable == less.comparable

    def test_by_their_name_their_pooling_tells_studies_apart(self, identity):
        names = ("low+top", "low:grid4+top", "top+low")
        found = {identity(space={**SPACE, "cut": name}).whole for name in names}
        assert len(found) == len(names)


FULL = manifest(
    {
        "low": embedded(10, pooling="none", rank=1),
        "low+top": embedded(parts={"low": 10, "top": 90}, rank=0),
        "middle": embedded(50, pooling="average"),
        "top": embedded(90, pooling="none", rank=2),
    },
    base="own",
    image_size=64,
    weights_sha256="ef",
    source=BaseSource(model="own.keras", input_range=[-1.0, 1.0], file_sha256="01"),
    views=(
        {"kind": "hflip"},
        {"kind": "shift", "seed": 3, "hflip": True, "max_shift": 0.125, "number": 0},
    ),
)
OLD = manifest(
    {"low": embedded(10), "top": embedded(90)}, base="old", image_size=32, weights_sha256="23"
)
UNITS = {"type": "int", "low": 1, "high": 8, "log": False, "step": None}


@pytest.mark.parametrize(
    ("base", "can_unfreeze", "whole", "comparable"),
    [
        (FULL, False, "46f0cb64a7eb1972", "1f4ddc0c63a3b4c1"),
        (FULL, True, "6601125bdcd0e9aa", "9c36cd19ba524d50"),
        (OLD, False, "6a8db6fb4895e5d5", "db1859488577c3cf"),
        (OLD, True, "b083d948f3ee1f6d", "1dc1f2c9f2f96079"),
    ],
    ids=["full frozen", "full", "old frozen", "old"],
)
def test_studies_of_earlier_releases_have_the_hashes_that_they_had(
    base, can_unfreeze, whole, comparable
):
    """Joined cuts, pooling, views and the range of a user's own model among what is hashed."""
    space = SpaceDescription(
        searched={"units": UNITS},
        fixed={"cut": "top", "dropout": 0.0},
        can_unfreeze=can_unfreeze,
    )
    found = study_identity(
        space, objective="val_accuracy", epochs=3, seed=1, data_sha256="t", manifest=base
    )
    assert (found.whole[:16], found.comparable[:16]) == (whole, comparable)


PRESENT, EARLIER = "ab" * 32, "cd" * 32


def trial(code=None, state="COMPLETE"):
    return made_trial(state=state, **({} if code is None else {"code_sha256": code}))


class TestOtherCode:
    @pytest.fixture(autouse=True)
    def _present(self, monkeypatch):
        monkeypatch.setattr(identities, "training_code", lambda: PRESENT)

    def test_finished_trials_are_counted_by_their_code(self):
        trials = [trial(PRESENT), trial(EARLIER, "PRUNED"), trial(EARLIER), trial()]
        assert of_other_code([*trials, trial(EARLIER, "FAIL")]).remark == (
            "finished trials of other code than the present: 2, of code that is not known: 1; "
            "`python -m pipeline replay` trains one again and compares"
        )

    @pytest.mark.parametrize("trials", [[], [trial(PRESENT)], [trial(EARLIER, "RUNNING")]])
    def test_of_the_present_code_there_is_nothing_to_say(self, trials):
        assert of_other_code(trials).remark is None


@pytest.mark.parametrize(
    ("file", "is_other"), [("commands/status.py", False), ("training/steps.py", True)]
)
def test_only_an_edit_of_what_a_training_runs_makes_other_code(file, is_other, tmp_path):
    package = Path(identities.__file__).parents[1]
    shutil.copytree(package, tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "pipeline" / file).open("a", encoding="utf-8") as edited:
        edited.write("# One more comment.\n")
    code = "from pipeline.trials.identity import training_code\nprint(training_code())"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert (done.stdout.strip() != identities.training_code()) == is_other
