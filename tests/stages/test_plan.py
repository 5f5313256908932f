"""The stage `plan` chooses what params.yaml leaves open, and `embed` does what it says."""

import functools
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.__main__ import main
from pipeline.bases import choice
from pipeline.clock import CLOCK_FILE
from pipeline.config import parse_section
from pipeline.errors import ConfigError
from pipeline.features import frozen
from pipeline.features.params import EmbedParams
from pipeline.files import read_json, write_json
from pipeline.plan_record import PLAN_FILE
from pipeline.planning.params import PlanParams
from pipeline.planning.plan import Plan, read_plan, with_epochs_of, with_plan, write_plan
from pipeline.stages import embed, plan

NUM_TRAIN, NUM_IMAGES = 120, 180
SECTION = {
    "models": ["efficientnet_lite0"],
    "image_sizes": [32, 48],
    "num_images": 100,
    "seed": 1,
}
EMBED = {"bases": "auto", "pixels_size": 64, "batch_size": 16, "max_bytes": 10**9}
GIVEN = {"efficientnet_lite0": {"image_size": 32, "cuts": ["block4_add"]}}


@pytest.fixture(scope="module", autouse=True)
def _base_built_once():
    """Every plan opens it at one or two sizes, for a second each, and changes nothing of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "load_base", functools.cache(choice.load_base))
        yield


def write_images(folder, *, other=0):
    """Images of three classes, in stripes of a direction each; `other` changes what is no train."""
    random = np.random.default_rng(5)
    labels = np.arange(NUM_IMAGES) % 3
    row, column = np.mgrid[:16, :16]
    stripes = np.stack([row, column, row + column])[labels] // 2 % 2
    images = (stripes * 90 + random.integers(0, 150, stripes.shape)).astype(np.uint8)
    images[NUM_TRAIN:] += np.uint8(other)
    train, val, confirmation = np.split(np.arange(NUM_IMAGES), [NUM_TRAIN, 150])
    (folder / "data").mkdir(exist_ok=True)
    np.savez(
        folder / "data/train.npz",
        images=images,
        labels=labels,
        train=train,
        val=val,
        confirmation=confirmation,
    )
    return folder / "data/train.npz"


def planned(train_file, *, budget_seconds=600.0, **changed):
    return plan.run(
        parse_section(PlanParams, "plan", SECTION),
        parse_section(EmbedParams, "embed", {**EMBED, **changed}),
        budget_seconds=budget_seconds,
        train_file=train_file,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A plan, and the images that it was made from."""
    train_file = write_images(tmp_path_factory.mktemp("images"))
    return planned(train_file), train_file


@pytest.mark.keras
def test_every_key_that_was_open_has_a_value(made):
    (chosen,) = made[0].bases.values()
    assert chosen["model"] == "efficientnet_lite0"
    assert chosen["image_size"] in SECTION["image_sizes"]
    assert chosen["cuts"]
    assert made[0].epochs == {"auto": 10}  # 120 images: an epoch goes over them often.
    closed = with_plan_of(made[0])
    assert not any(base.is_open for base in closed.bases.values())


def with_plan_of(made, bases="auto"):
    with tempfile.TemporaryDirectory() as folder:
        write_plan(made, Path(folder) / "plan.json")
        section = parse_section(EmbedParams, "embed", {**EMBED, "bases": bases})
        return with_plan(section, Path(folder) / "plan.json")


@pytest.mark.keras
def test_an_experiment_in_a_copy_leaves_the_plan_of_its_checkout(made, tmp_path, monkeypatch):
    copy = tmp_path / ".dvc/tmp/exps/standalone/tmp1"
    copy.mkdir(parents=True)
    for folder, is_kept in ((copy, False), (tmp_path, True)):
        monkeypatch.chdir(folder)
        plan._keep(made[0])
        assert (folder / PLAN_FILE).exists()
        assert (tmp_path / plan.LAST_PLAN).exists() is is_kept


@pytest.mark.keras
def test_stripes_are_told_apart(made):
    (explained,) = made[0].explained.values()
    assert explained["heads"][0]["accuracy"] > 0.8
    sizes = [found["image_size"] for found in explained["candidates"]]
    assert sizes[0] == 32
    assert explained["chosen"] in explained["candidates"]


@pytest.mark.keras
def test_only_the_training_part_is_looked_at(made, tmp_path):
    again = planned(write_images(tmp_path, other=77))
    for key in ("heads", "mirror_gain"):
        assert again.explained["auto"][key] == made[0].explained["auto"][key]
    assert again.bases == made[0].bases


@pytest.mark.keras
@pytest.mark.parametrize(("worth", "engine"), [(1, "onnxruntime"), (10**30, "tensorflow")])
def test_what_is_tried_as_it_will_be_embedded_runs_in_the_engine_of_embed(
    made, monkeypatch, worth, engine
):
    from pipeline.planning import bases

    class Chooser:
        """Makes one converted probe, and goes no further."""

        def __init__(self, make_probe, limits, **settings):
            limits = {"num_images": 80, "most_seconds": 9.0, "seconds": 9.0}
            make_probe("efficientnet_lite0", 32, **limits, is_converted=True)

        def choose(self, sizes_of, **asked):
            raise InterruptedError

    engines, as_it_should = [], bases.Probe

    def probe(network, *args, **settings):
        engines.append(network.engine)
        return as_it_should(network, *args, **settings)

    monkeypatch.setattr(frozen, "WORTH_CONVERTING", worth)
    monkeypatch.setattr(bases, "Chooser", Chooser)
    monkeypatch.setattr(bases, "Probe", probe)
    with pytest.raises(InterruptedError):
        planned(made[1])
    assert engines == [engine]


@pytest.mark.keras
def test_what_is_given_is_obeyed(made):
    bases = {"mine": {"model": "efficientnet_lite0", "image_size": 48, "cuts": "auto"}}
    found = planned(made[1], bases=bases)
    assert found.bases["mine"].keys() == {"cuts", "starts"}
    assert [each["image_size"] for each in found.explained["mine"]["candidates"]] == [48]
    closed = with_plan_of(found, bases)
    assert closed.bases["mine"].image_size == 48
    assert closed.bases["mine"].views.num_views == 0


@pytest.mark.keras
@pytest.mark.parametrize(("views", "rows"), [("auto", 2), ({"hflip": True}, 1)])
def test_over_mirrored_images_a_training_is_as_many_steps(made, monkeypatch, views, rows):
    from pipeline.planning import bases, limits

    class Chooser(bases.Chooser):
        """Takes mirrored images, whatever they are worth."""

        def choose(self, sizes_of, **asked):
            return replace(super().choose(sizes_of, **asked), is_mirrored=True)

    # An epoch goes over this small training part once, and so may there be 30 of them.
    monkeypatch.setattr(limits, "IMAGES_PER_EPOCH", 1)
    own = {"model": "efficientnet_lite0", "image_size": 32, "cuts": "auto", "views": views}
    monkeypatch.setattr(bases, "Chooser", Chooser)
    found = planned(made[1], bases={"mine": own})
    assert found.epochs["mine"] == 30 / rows
    assert found.bases["mine"].get("views", {}).get("hflip", False) == (rows == 2)
    assert found.views == {"mine": 1}


@pytest.mark.keras
@pytest.mark.parametrize(
    ("starts", "is_mirrored"),
    # Of the heads with mirrored images, then of those without them.
    [([None, "block1_add"], False), ([None, None], True), (["block1_add"], True)],
)
def test_mirrored_images_do_not_cost_phase_2_its_start(made, monkeypatch, starts, is_mirrored):
    from pipeline.planning import bases

    class Chooser(bases.Chooser):
        """Has room for the best head alone beside mirrored images, which it takes."""

        def choose(self, sizes_of, **asked):
            found = super().choose(sizes_of, **asked)
            return replace(found, is_mirrored=True, heads=found.plain_heads[:1])

    asked = iter(starts)
    monkeypatch.setattr(bases, "Chooser", Chooser)
    monkeypatch.setattr(bases.PlannedBase, "_start", lambda self: next(asked))
    found = planned(made[1])
    assert found.bases["auto"]["views"] == {"hflip": is_mirrored}
    assert found.views == {"auto": int(is_mirrored)}
    assert found.bases["auto"]["starts"] == [name for name in starts[-1:] if name]
    num_plain = len(found.explained["auto"]["plain_heads"])
    assert len(found.bases["auto"]["cuts"]) == (1 if is_mirrored else num_plain)


@pytest.mark.keras
def test_views_that_are_given_and_bases_that_are_written_out_take_their_time(made, monkeypatch):
    from pipeline.planning import bases

    told = []

    class Chooser(bases.Chooser):
        """Notes what it is told."""

        def __init__(self, make_probe, limits, **settings):
            told.append((limits.budget_seconds, settings["num_rows"], settings["num_train"]))
            super().__init__(make_probe, limits, **settings)

    monkeypatch.setattr(bases, "Chooser", Chooser)
    own = {"model": "efficientnet_lite0", "image_size": 32, "cuts": "auto"}
    views = {"hflip": True, "shift": {"num_views": 2, "hflip": False, "seed": 1, "max_shift": 0.1}}
    found = planned(made[1], bases={"mine": {**own, "views": views}, **GIVEN})
    assert told == [(300.0, NUM_IMAGES + 3 * NUM_TRAIN, NUM_TRAIN)]
    seconds = found.explained["mine"]["chosen"]["seconds_per_image"] * (NUM_IMAGES + 3 * NUM_TRAIN)
    assert f"embedding takes {seconds:.0f} s at most of the 120 s" in found.reasons["mine"]
    assert found.views == {"mine": 3, "efficientnet_lite0": 0}


@pytest.mark.keras
def test_images_are_no_larger_than_the_cuts_that_are_given_have_room_for(made):
    # 16 x 16 x 16 numbers of two bytes for each image of 32 pixels, 24 x 24 x 16 of 48.
    own = {"model": "efficientnet_lite0", "image_size": "auto", "cuts": ["block0_bn2"]}
    sizes = {}
    for max_bytes in (NUM_IMAGES * 16 * 16 * 16 * 2, NUM_IMAGES * 24 * 24 * 16 * 2):
        found = planned(made[1], bases={"mine": own}, max_bytes=max_bytes)
        sizes[max_bytes] = [each["image_size"] for each in found.explained["mine"]["candidates"]]
    assert list(sizes.values()) == [[32], [32, 48]]
    with pytest.raises(ConfigError, match=r"embed\.bases\.mine\.cuts: the arrays of 180 images"):
        planned(made[1], bases={"mine": own}, max_bytes=min(sizes) - 1)
    with pytest.raises(ConfigError, match=r"embed\.bases\.mine\.cuts: .*'block0'"):
        planned(made[1], bases={"mine": {**own, "cuts": ["block0"]}})


@pytest.mark.keras
def test_no_time_at_all_gives_the_cheapest(made):
    found = planned(made[1], budget_seconds=0.001)
    (explained,) = found.explained.values()
    assert [each["image_size"] for each in explained["candidates"]] == [32]


@pytest.mark.keras
def test_embed_keeps_what_was_planned(made, tmp_path):
    closed = with_plan_of(made[0])
    features = tmp_path / "features"
    embed.run(closed, train_file=made[1], features=features, store=tmp_path / "store")
    manifest = json.loads((features / "auto/manifest.json").read_text(encoding="utf-8"))
    chosen = made[0].bases["auto"]
    ranks = {name: entry.get("rank") for name, entry in manifest["cuts"].items()}
    wanted = {name: rank for rank, name in enumerate(chosen["cuts"])}
    assert ranks == {**dict.fromkeys(chosen["starts"]), **wanted}
    assert manifest["source"]["model"] == chosen["model"]


def test_where_nothing_is_open_there_is_nothing_to_plan(tmp_path):
    found = planned(tmp_path / "is not read", bases=GIVEN)
    assert found.bases == {}
    section = parse_section(EmbedParams, "embed", {**EMBED, "bases": GIVEN})
    assert with_plan(section, tmp_path / "no plan") is section


def test_without_a_plan_what_is_open_is_refused(tmp_path):
    section = parse_section(EmbedParams, "embed", EMBED)
    with pytest.raises(ConfigError, match="Run the stage `plan` first"):
        with_plan(section, tmp_path / "plan.json")


def test_a_plan_of_another_section_is_refused(tmp_path):
    write_plan(Plan(bases={}, reasons={}, explained={}, measured={}), tmp_path / "plan.json")
    section = parse_section(EmbedParams, "embed", EMBED)
    with pytest.raises(ConfigError, match=r"says nothing of embed\.bases\.auto"):
        with_plan(section, tmp_path / "plan.json")


def test_a_plan_is_read_as_it_was_written(tmp_path):
    made = Plan(
        bases={"auto": {"cuts": ["a:grid2+b"]}},
        reasons={"auto": "why"},
        explained={"auto": {"candidates": []}},
        measured={"seconds": 1.5},
    )
    write_plan(made, tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == made


def test_a_dry_run_prints_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path)
    sections = {"budget": "10m", "plan": SECTION, "embed": {**EMBED, "bases": GIVEN}}
    (tmp_path / "params.yaml").write_text(json.dumps(sections), encoding="utf-8")
    assert main(["plan", "--dry-run"]) == 0
    assert "nothing to plan" in capsys.readouterr().out
    assert not PLAN_FILE.exists()
    assert main(["plan"]) == 0
    assert read_plan(PLAN_FILE).bases == {}


def written(tmp_path, budget, **changed):
    embedded = {**EMBED, "bases": GIVEN, **changed}
    sections = {"budget": budget, "plan": SECTION, "embed": embedded}
    (tmp_path / "params.yaml").write_text(json.dumps(sections), encoding="utf-8")


@pytest.fixture
def made_for(tmp_path, monkeypatch):
    """Makes the plan of a budget, and marks it; then plans for another, and tells if it stayed."""
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path)

    def made(budget):
        written(tmp_path, budget)
        assert main(["plan"]) == 0
        write_plan(replace(read_plan(PLAN_FILE), reasons={"a": "b"}), plan.LAST_PLAN)

        def stays(other, **changed):
            PLAN_FILE.unlink()  # As DVC does before it runs a stage.
            written(tmp_path, other, **changed)
            assert main(["plan"]) == 0
            return read_plan(PLAN_FILE).reasons == {"a": "b"}

        return stays

    return made


@pytest.mark.parametrize(
    ("before", "budget", "stays"),
    [
        ("10m", "20m", True),
        ("10m", "none", True),
        ("2h", "none", True),
        ("10m", "10m", False),
        ("10m", "5m", False),
        ("none", "none", False),
        ("none", "2h", False),
    ],
)
def test_a_larger_budget_goes_on_with_the_plan_that_is_there(made_for, before, budget, stays):
    assert made_for(before)(budget) == stays
    assert CLOCK_FILE.is_file()


def test_what_a_plan_does_not_follow_from_may_change_before_a_larger_budget(made_for):
    assert made_for("10m")("20m", pixels_size=32, batch_size=8)


def test_the_same_budget_is_planned_for_anew_and_begins_with_no_time_spent(made_for):
    stays = made_for("10m")
    for _ in range(2):
        spent = read_json(CLOCK_FILE)
        write_json(CLOCK_FILE, {**spent, "search@transfer": {"seconds": 600.0}})
        assert not stays("10m")
        assert read_json(CLOCK_FILE).keys() == {"plan"}


def test_what_is_cut_off_while_it_takes_a_plan_over_does_so_again(made_for, tmp_path, monkeypatch):
    stays, write = made_for("10m"), plan.write_plan

    def cut_off(made, file):
        write(made, file)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(plan, "write_plan", cut_off)
        written(tmp_path, "20m")
        assert main(["plan"]) == 130
    assert stays("20m")


@pytest.mark.parametrize(
    ("change", "epochs"),
    [
        ({}, 20),
        ({"inputs": "other"}, 15),
        ({"measured": {"budget_seconds": 900.0}}, 15),
        ({"bases": {"auto": {"cuts": ["block9"]}}}, 15),
    ],
)
def test_a_plan_of_the_same_keeps_how_long_a_training_is(tmp_path, change, epochs):
    measured = {"budget_seconds": 600.0}
    bases = {"auto": {"cuts": ["block4"]}}
    new = Plan(
        bases=bases, reasons={}, explained={}, measured=measured, epochs={"auto": 15}, inputs="a"
    )
    file = tmp_path / "plan.json"
    assert with_epochs_of(file, new) == new
    write_plan(replace(new, epochs={"auto": 20}, **change), file)
    assert with_epochs_of(file, new).epochs == {"auto": epochs}


def test_other_images_are_planned_anew(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path)
    written(tmp_path, "10m")
    assert main(["plan"]) == 0
    made = replace(read_plan(PLAN_FILE), reasons={"a": "b"}, measured={"budget_seconds": 600.0})
    write_plan(made, plan.LAST_PLAN)
    with (tmp_path / "data/train.npz").open("ab") as stream:
        stream.write(b" ")
    written(tmp_path, "20m")
    assert main(["plan"]) == 0
    assert read_plan(PLAN_FILE).reasons == {}
