"""The stage `embed`, on a few images and the real base."""

import functools
import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.bases import choice
from pipeline.clock import CLOCK_FILE
from pipeline.config import read_document
from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.features.arrays import ImageSet
from pipeline.features.params import EmbedParams
from pipeline.files import read_json, write_json
from testing.forks import Fork, folder_of_python

pytestmark = pytest.mark.keras

ROOT = Path(__file__).parents[2]
NUM_IMAGES = 30
BASE = "efficientnet_lite0"
# Low in the network, so that little has to be compiled.
LOW, HIGH = "block0_bn2", "block2_add"
BASE_BYTES = 4 * 3_413_024


@pytest.fixture(scope="module", autouse=True)
def _base_built_once():
    """Some hundred runs take seconds each for it, and change nothing of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "load_base", functools.cache(choice.load_base))
        yield


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with data/train.npz of gray images."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    order = generator.permutation(NUM_IMAGES)
    Path("data").mkdir()
    np.savez(
        "data/train.npz",
        images=generator.integers(0, 256, (NUM_IMAGES, 12, 12), dtype=np.uint8),
        labels=np.arange(NUM_IMAGES) % 3,
        train=np.sort(order[:20]),
        val=np.sort(order[20:25]),
        confirmation=np.sort(order[25:]),
    )
    return tmp_path


def params(
    *, cuts=("block2_add", "block4_add"), max_bytes=10**9, bases=None, pixels_size=64, **settings
):
    own = {"image_size": 32, "cuts": list(cuts) if isinstance(cuts, tuple) else cuts, **settings}
    bases = {BASE: own} if bases is None else bases
    section = {"bases": bases, "pixels_size": pixels_size, "batch_size": 8, "max_bytes": max_bytes}
    return EmbedParams.model_validate(section)


def run(section, *, features="data/features"):
    """Each folder of features has a store of its own."""
    from pipeline.stages import embed

    file, store = Path("data/train.npz"), Path("stores", features)
    embed.run(section, train_file=file, features=Path(features), store=store)


def manifest(base, *, features="data/features"):
    return json.loads(Path(features, base, "manifest.json").read_text())


def arrays(features="data/features"):
    return {path.stem: path.read_bytes() for path in Path(features, BASE).glob("*.npy")}


FRESH = {}


def assert_equals_a_fresh_run(section):
    """Bit by bit, statistics and keys too; in whatever folder equal images were embedded first."""
    from pipeline.features import frozen

    # Another engine gives other sums.
    engine = frozen.WORTH_CONVERTING, frozen.LARGEST_DIFFERENCE
    key = (section.model_dump_json(), Path("data/train.npz").read_bytes(), engine)
    if key not in FRESH:
        run(section, features="fresh")
        shutil.rmtree("stores/fresh")
        FRESH[key] = arrays("fresh"), manifest(BASE, features="fresh")
    assert (arrays(), manifest(BASE)) == FRESH[key]


@pytest.fixture
def computed(monkeypatch):
    """The names of the cuts that the base was run for, a list for each time."""
    from pipeline.features import embed as embedding

    calls, embed_images = [], embedding.embed_images

    def recorded(base, cuts, batches, **settings):
        calls.append([cut.name for cut in cuts])
        return embed_images(base, cuts, batches, **settings)

    monkeypatch.setattr(embedding, "embed_images", recorded)
    return calls


def test_every_cut_is_there_for_every_image(here):
    run(params())
    found = manifest("efficientnet_lite0")
    assert list(found["cuts"]) == ["block2_add", "block4_add"]
    assert (found["num_images"], found["num_classes"], found["image_size"]) == (30, 3, 32)
    assert found["image_shape"] == [12, 12]
    for entry in found["cuts"].values():
        features = np.load(f"data/features/efficientnet_lite0/{entry['file']}", mmap_mode="r")
        assert features.shape == (NUM_IMAGES, *entry["shape"])
        assert features.dtype == entry["dtype"] == "float16"
        for of_channels in ("mean", "variance", "centre"):
            assert len(entry[of_channels]) == entry["shape"][-1]


def test_through_onnx_runtime_a_run_gives_the_same_bytes_again(here, monkeypatch, caplog):
    from pipeline.features import frozen

    run(params(cuts=(LOW, HIGH)), features="tensorflow")
    monkeypatch.setattr(frozen, "WORTH_CONVERTING", 0)
    caplog.set_level(logging.INFO)
    run(params(cuts=(LOW, HIGH)))
    assert "images/s in onnxruntime, 8 at a time" in caplog.text
    assert_equals_a_fresh_run(params(cuts=(LOW, HIGH)))
    # Nearly the same, and never taken for the same.
    cuts, others = (manifest(BASE, **where)["cuts"] for where in ({}, {"features": "tensorflow"}))
    for name in (LOW, HIGH):
        assert cuts[name]["key"] != others[name]["key"]
        np.testing.assert_allclose(cuts[name]["mean"], others[name]["mean"], rtol=1e-3, atol=1e-4)


def test_what_tensorflow_made_where_onnx_runtime_was_wrong_is_kept(here, monkeypatch, computed):
    from pipeline.features import frozen

    monkeypatch.setattr(frozen, "WORTH_CONVERTING", 0)
    with monkeypatch.context() as wrong:
        wrong.setattr(frozen, "LARGEST_DIFFERENCE", -1)
        run(params(cuts=(LOW,)))
    before = arrays()
    run(params(cuts=(LOW, HIGH)))
    assert computed == [[LOW], [HIGH]]
    assert arrays()[LOW] == before[LOW]


def test_the_manifest_names_the_weights_of_the_base(here):
    from pipeline.bases.load import load_base
    from pipeline.bases.model_files import weights_sha256

    run(params(cuts=("block2_add",)))
    base = load_base("efficientnet_lite0", image_size=64)
    assert manifest("efficientnet_lite0")["weights_sha256"] == weights_sha256(base)


def test_pixels_are_always_there(here):
    run(params(bases={}))
    with np.load("data/train.npz") as archive:
        images, train = archive["images"], archive["train"]
    pixels = np.load("data/features/none/pixels.npy", mmap_mode="r")
    np.testing.assert_array_equal(pixels[..., 0], images)
    entry = manifest("none")["cuts"]["pixels"]
    assert entry["mean"] == pytest.approx([images[train].mean()])
    assert entry["variance"] == pytest.approx([images[train].astype(float).var()])
    assert [path.name for path in Path("data/features").iterdir()] == ["none"]


def test_pixels_are_brought_to_the_largest_size_that_is_wanted(here):
    run(params(bases={}, pixels_size=8))
    pixels = np.load("data/features/none/pixels.npy", mmap_mode="r")
    assert (pixels.shape, pixels.dtype) == ((NUM_IMAGES, 8, 8, 1), np.float16)
    assert manifest("none")["image_size"] == 8


@pytest.mark.parametrize(
    ("side", "level"), [(64, None), (28, "INFO"), (128, "INFO"), (224, "WARNING")]
)
def test_what_the_base_loses_of_larger_images_is_said(side, level, caplog):
    from pipeline.stages.embed import _log_size

    images = ImageSet(image_shape=(side, side, 3), num_classes=2, is_train=np.ones(1, bool))
    with caplog.at_level("INFO"):
        _log_size(SimpleNamespace(name="mine", image_size=64), images)
    assert [record.levelname for record in caplog.records] == ([level] if level else [])
    assert not level or f"images of {side}x{side} pixels are brought to 64x64" in caplog.text
    assert ("is lost; embed.bases.mine.image_size sets it" in caplog.text) == (level == "WARNING")


def test_what_a_former_run_left_is_gone(here):
    old = Path("data/features/old_base")
    old.mkdir(parents=True)
    (old / "manifest.json").write_text("{}")
    run(params(bases={}))
    assert not old.exists()


def test_the_disk_it_takes_is_said_before_it_starts(here, caplog):
    with caplog.at_level(logging.INFO):
        run(params(cuts=("block2_add",)))
    # 30 images of 12x12 bytes and of 8x8x24 halves, and the base.
    needed = 30 * 144 + 30 * 8 * 8 * 24 * 2 + BASE_BYTES
    assert f"will take {needed / 1e6:.1f} MB of " in caplog.text


def test_a_disk_too_small_is_refused_before_anything_is_written(here, monkeypatch):
    class Small:
        free = 1000

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Small)
    with pytest.raises(ConfigError, match=r"needs 13\.7 MB of disk, and 0\.0 MB are free"):
        run(params(cuts=("block2_add",)))
    assert list(Path("data/features").iterdir()) == []


def test_the_test_part_is_never_opened(here):
    Path("data/test.npz").mkdir()
    run(params(cuts=("block2_add",)))
    assert manifest("efficientnet_lite0")["num_images"] == NUM_IMAGES


def test_an_unknown_cut_is_refused_by_its_key(here):
    with pytest.raises(ConfigError, match=r"embed\.bases\.efficientnet_lite0\.cuts: Unknown cut"):
        run(params(cuts=("block44_add",)))


def test_without_split_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"No data/train\.npz here. Run the stage `split` first"):
        run(params(bases={}))


def test_an_interrupted_run_leaves_no_manifest(here, monkeypatch):
    from pipeline.features import embed as embedding

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(embedding, "_distances", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(params(cuts=("block2_add",)))
    assert list(Path("data/features/efficientnet_lite0").iterdir()) == []


def test_a_cut_file_is_refused(here):
    file = Path("data/train.npz")
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(DataIntegrityError, match="must hold a whole array 'images'"):
        run(params(bases={}))


def command(*, pixels_size=64):
    """Runs the stage in another process: it sets TensorFlow's threads, as an unused one alone can.

    Returns what it has spent by the clock of the run.
    """
    section = f"{{bases: {{}}, pixels_size: {pixels_size}, batch_size: 8, max_bytes: 1}}"
    Path("params.yaml").write_text(f"embed: {section}\n")
    forked()
    return read_json(CLOCK_FILE)["embed"]


def forked():
    """Runs the stage as a fork; returns what it printed."""
    process = Fork("pipeline", ["embed"], folder=Path.cwd(), environment=command_environment())
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def test_the_command_reads_the_section_and_counts_on_where_the_same_is_embedded_again(here):
    first = command()
    assert Path("data/features/none/manifest.json").exists()
    write_json(CLOCK_FILE, {"embed": {**first, "seconds": 5000.0}})
    assert command()["seconds"] > 5000
    assert command(pixels_size=32)["seconds"] < 5000


class TestViews:
    def test_follow_the_images_one_block_each(self, here):
        shift = {"num_views": 2, "hflip": False, "seed": 3, "max_shift": 0.2}
        run(params(cuts=(HIGH,), views={"hflip": True, "shift": shift}))
        found = manifest(BASE)
        features = np.load(f"data/features/{BASE}/{HIGH}.npy")
        with np.load("data/train.npz") as archive:
            images, train = archive["images"], archive["train"]
        rows = np.load(f"data/features/{BASE}/{found['row_images']}")
        assert rows.tolist() == [*range(NUM_IMAGES), *train, *train, *train]
        assert len(features) == found["num_rows"] == NUM_IMAGES + 3 * 20
        assert [view["kind"] for view in found["views"]] == ["hflip", "shift", "shift"]
        # A mirrored view is what a data set of mirrored images gives, around another centre.
        with np.load("data/train.npz") as archive:
            mirrored = {**archive, "images": np.ascontiguousarray(images[:, :, ::-1])}
        np.savez("data/train.npz", **mirrored)
        run(params(cuts=(HIGH,)), features="mirrored")
        alone = np.load(f"mirrored/{BASE}/{HIGH}.npy")
        stored = [part.astype(np.float64) for part in (features[NUM_IMAGES:][:20], alone[train])]
        centres = [
            manifest(BASE, features=folder)["cuts"][HIGH]["centre"]
            for folder in ("data/features", "mirrored")
        ]
        views, expected = (part + centre for part, centre in zip(stored, centres, strict=True))
        # Each by half a unit in the last of float16's 11 bits, and the order of float32 sums.
        rounding = 2.0**-11 * (np.abs(stored[0]) + np.abs(stored[1]))
        assert (np.abs(views - expected) <= rounding + 1e-5 * np.abs(expected).max()).all()

    def test_change_neither_the_images_rows_nor_the_statistics(self, here):
        run(params(cuts=(HIGH,), views={"hflip": True}))
        run(params(cuts=(HIGH,)), features="plain")
        with_views, plain = (
            np.load(f"{folder}/{BASE}/{HIGH}.npy") for folder in ("data/features", "plain")
        )
        np.testing.assert_array_equal(with_views[:NUM_IMAGES], plain)
        entry, own = (manifest(BASE, features=f) for f in ("data/features", "plain"))
        for statistic in ("mean", "variance"):
            assert entry["cuts"][HIGH][statistic] == own["cuts"][HIGH][statistic]

    def test_are_what_a_trial_trains_on(self, here):
        from pipeline.training.data import DataReference, load_cut

        run(params(cuts=(HIGH,), views={"hflip": True}))
        reference = DataReference(features=f"data/features/{BASE}", train_file="data/train.npz")
        cut = load_cut(reference, HIGH, judge="confirmation")
        with np.load("data/train.npz") as archive:
            labels, train, val = archive["labels"], archive["train"], archive["val"]
            confirmation = archive["confirmation"]
        data = cut.training
        assert data.train.tolist() == [*train, *range(NUM_IMAGES, NUM_IMAGES + 20)]
        assert data.labels[data.train].tolist() == [*labels[train]] * 2
        assert (data.val.tolist(), cut.judge.tolist()) == (val.tolist(), confirmation.tolist())
        assert data.without_views().train.tolist() == train.tolist()

    def test_count_towards_the_bytes_and_the_disk(self, here, caplog):
        views = {"crop": {"num_views": 3, "hflip": True, "seed": 1, "min_scale": 0.7}}
        cut_bytes = 8 * 8 * 24 * 2
        rows = NUM_IMAGES + 3 * 20
        with pytest.raises(
            ConfigError, match=rf"of {rows} images must fit .*: {cut_bytes * rows:,}"
        ):
            run(params(cuts=(HIGH,), views=views, max_bytes=cut_bytes * rows - 1))
        with caplog.at_level(logging.INFO):
            run(params(cuts=(HIGH,), views=views, max_bytes=cut_bytes * rows))
        needed = 30 * 144 + rows * cut_bytes + BASE_BYTES
        assert f"will take {needed / 1e6:.1f} MB of " in caplog.text


class TestPooling:
    def test_keeps_averages_and_says_so(self, here):
        run(params(cuts=(LOW, HIGH), pooling={LOW: "average", HIGH: "global"}))
        entries = manifest(BASE)["cuts"]
        assert (entries[LOW]["shape"], entries[LOW]["pooling"]) == ([8, 8, 16], "average")
        assert (entries[HIGH]["shape"], entries[HIGH]["pooling"]) == ([24], "global")
        assert np.load(f"data/features/{BASE}/{HIGH}.npy").shape == (NUM_IMAGES, 24)

    def test_makes_room_for_a_cut_that_is_too_large_whole(self, here):
        budget = NUM_IMAGES * 8 * 8 * 16 * 2
        with pytest.raises(ConfigError, match=r"must fit embed\.max_bytes"):
            run(params(cuts=(LOW,), max_bytes=budget))
        run(params(cuts=(LOW,), pooling={LOW: "average"}, max_bytes=budget))

    def test_of_a_vector_is_refused_by_its_key(self, here):
        with pytest.raises(ConfigError, match=rf"embed\.bases\.{BASE}\.pooling: only maps"):
            run(params(cuts=("avg_pool",), pooling={"avg_pool": "average"}))


class TestSideBySide:
    JOINT = (f"{LOW}:grid4", f"{HIGH}:none")
    NAME = f"{LOW}:grid4+{HIGH}:none"

    def test_they_are_embedded_in_the_same_pass_and_described(self, here, computed):
        run(params(cuts=(HIGH, [*self.JOINT])))
        assert computed == [[HIGH, self.NAME]]
        entry = manifest(BASE)["cuts"][self.NAME]
        assert (entry["file"], entry["shape"]) == (f"{self.NAME}.npy", [4 * 4 * 16 + 8 * 8 * 24])
        assert [(part["cut"], part["pooling"], part["shape"]) for part in entry["parts"]] == [
            (LOW, "grid4", [4, 4, 16]),
            (HIGH, "none", [8, 8, 24]),
        ]
        assert len(entry["mean"]) == len(entry["centre"]) == entry["shape"][0]
        assert "pooling" not in entry
        features = np.load(f"data/features/{BASE}/{self.NAME}.npy") + np.float32(entry["centre"])
        alone = np.load(f"data/features/{BASE}/{HIGH}.npy")
        alone = alone + np.float32(manifest(BASE)["cuts"][HIGH]["centre"])
        # Each is rounded to float16's 11 bits, by itself.
        alone = alone.reshape(NUM_IMAGES, -1)
        np.testing.assert_allclose(features[:, 256:], alone, rtol=2e-3, atol=2e-2)

    def test_they_are_added_and_taken_over_like_any_other(self, here, computed):
        run(params(cuts=(HIGH,)))
        run(params(cuts=(HIGH, [*self.JOINT])))
        run(params(cuts=([*self.JOINT],)))
        assert computed == [[HIGH], [self.NAME]]
        assert_equals_a_fresh_run(params(cuts=([*self.JOINT],)))

    def test_they_count_as_bytes_on_the_disk(self, here):
        budget = NUM_IMAGES * 2 * (4 * 4 * 16 + 8 * 8 * 24)
        run(params(cuts=([*self.JOINT],), max_bytes=budget))
        with pytest.raises(ConfigError, match=r"must fit embed\.max_bytes"):
            run(params(cuts=([*self.JOINT],), max_bytes=budget - 1))


class TestEarlierArrays:
    def test_stay_where_a_cut_is_added(self, here, computed, caplog):
        run(params(cuts=(LOW,)))
        before = Path(f"data/features/{BASE}/{LOW}.npy").stat()
        with caplog.at_level(logging.INFO):
            run(params(cuts=(LOW, HIGH)))
        after = Path(f"data/features/{BASE}/{LOW}.npy").stat()
        assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
        assert computed == [[LOW], [HIGH]]
        assert f"kept from earlier runs: {LOW} 16x16x16 (0.2 MB)" in caplog.text
        # Only the new one takes disk.
        needed = 30 * 144 + 30 * 8 * 8 * 24 * 2 + BASE_BYTES
        assert f"will take {needed / 1e6:.1f} MB of " in caplog.text
        assert_equals_a_fresh_run(params(cuts=(LOW, HIGH)))

    def test_go_with_their_cut_and_no_other_goes(self, here, computed):
        run(params(cuts=(LOW, HIGH)))
        run(params(cuts=(HIGH,)))
        assert list(arrays()) == [HIGH]
        assert computed == [[LOW, HIGH]]
        assert_equals_a_fresh_run(params(cuts=(HIGH,)))

    @pytest.mark.parametrize(
        "change",
        [
            {"image_size": 48},
            {"views": {"hflip": True}},
            {"pooling": {LOW: "average"}},
        ],
    )
    def test_are_not_taken_where_anything_is_different(self, here, computed, change):
        run(params(cuts=(LOW,)))
        own = {"image_size": 32, "cuts": [LOW], **change}
        run(params(bases={BASE: own}))
        assert computed == [[LOW], [LOW]]
        assert_equals_a_fresh_run(params(bases={BASE: own}))

    def test_are_not_taken_for_other_images(self, here, computed):
        run(params(cuts=(LOW,)))
        with np.load("data/train.npz") as archive:
            changed = dict(archive)
        changed["images"][7, 3, 3] ^= 1
        np.savez("data/train.npz", **changed)
        run(params(cuts=(LOW,)))
        assert computed == [[LOW], [LOW]]

    def test_are_computed_anew_if_they_are_damaged(self, here, computed, caplog):
        run(params(cuts=(LOW,)))
        file = Path(f"data/features/{BASE}/{LOW}.npy")
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
        run(params(cuts=(LOW,)))
        assert "was damaged, and is not taken" in caplog.text
        assert computed == [[LOW], [LOW]]
        assert_equals_a_fresh_run(params(cuts=(LOW,)))

    def test_are_taken_when_they_come_back(self, here, computed):
        """As on a branch: DVC removes the folder before the stage runs."""
        run(params(cuts=(LOW, HIGH)))
        run(params(cuts=(LOW,)))
        shutil.rmtree("data/features")
        run(params(cuts=(HIGH, "block4_add")))
        assert computed == [[LOW, HIGH], ["block4_add"]]
        assert_equals_a_fresh_run(params(cuts=(HIGH, "block4_add")))

    def test_that_no_run_uses_take_no_more_bytes_than_a_base_may(self, here, computed):
        run(params(cuts=(LOW, HIGH)))
        size = Path(f"data/features/{BASE}/{LOW}.npy").stat().st_size
        run(params(cuts=(HIGH,), max_bytes=size))
        assert len(list(Path("stores/data/features").glob("*.npy"))) == 2
        run(params(cuts=(HIGH,), max_bytes=size - 1))
        assert len(list(Path("stores/data/features").glob("*.npy"))) == 1
        run(params(cuts=(LOW,)))
        assert computed == [[LOW, HIGH], [LOW]]

    @pytest.mark.parametrize("link", [os.link, os.symlink])
    def test_that_are_links_into_a_cache_are_never_written_through(self, here, computed, link):
        run(params(cuts=(LOW, HIGH)))
        Path("cache").mkdir()
        for number, path in enumerate(sorted(Path("data/features").rglob("*.*"))):
            object_ = Path("cache", str(number)).absolute()
            path.rename(object_)
            object_.chmod(0o444)
            link(object_, path)
        before = {path.name: path.read_bytes() for path in Path("cache").iterdir()}
        # Keeps one array, drops one, makes one, and writes everything else anew.
        run(params(cuts=(LOW, "block4_add")))
        assert computed == [[LOW, HIGH], ["block4_add"]]
        assert {path.name: path.read_bytes() for path in Path("cache").iterdir()} == before
        assert_equals_a_fresh_run(params(cuts=(LOW, "block4_add")))


def write_section(cuts):
    own = f"{{image_size: 32, cuts: [{', '.join(cuts)}]}}"
    rest = "pixels_size: 64, batch_size: 8, max_bytes: 1000000000"
    section = f"embed: {{bases: {{{BASE}: {own}}}, {rest}}}\n"
    Path("params.yaml").write_text(section)


def command_environment():
    # A stage starts `dvc` and `python` by name, as a shell does; the latter is a fork.
    path = os.pathsep.join(map(str, (folder_of_python(), Path(sys.executable).parent)))
    path += f"{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path, "DVC_NO_ANALYTICS": "1"}


@pytest.mark.slow
def test_a_kill_between_two_cuts_leaves_nothing_that_is_trusted(here):
    """A real SIGKILL while the added cut is half written; the earlier one is whole."""
    with np.load("data/train.npz") as archive:
        content = {**archive, "images": np.tile(archive["images"], (100, 1, 1))}
    content["labels"] = np.arange(len(content["images"])) % 3
    np.savez("data/train.npz", **content)
    write_section([LOW])
    forked()
    write_section([LOW, HIGH])
    command = [sys.executable, "-m", "pipeline", "embed"]
    environment = command_environment()
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment) as process:
        part = Path(f"data/features/{BASE}/{HIGH}.part.npy")
        while not (part.exists() and part.stat().st_size > 100_000):
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert not Path(f"data/features/{BASE}/manifest.json").exists()
    assert not Path(f"data/features/{BASE}/{HIGH}.npy").exists()
    shutil.rmtree("data/features")  # As DVC does before it runs the stage again.
    assert f"kept from earlier runs: {LOW} " in forked()
    section = {"bases": {BASE: {"image_size": 32, "cuts": [LOW, HIGH]}}}
    section |= {"pixels_size": 64, "batch_size": 8, "max_bytes": 10**9}
    assert not part.exists()
    assert_equals_a_fresh_run(EmbedParams.model_validate(section))


class DvcRepository:
    """The stage alone in a git and DVC repository."""

    def __init__(self, folder, *, cache_type):
        self.folder = folder
        # The project's own stage, but for the code and the stage before, which are not here.
        stage = read_document(ROOT / "dvc.yaml")["stages"]["embed"]
        stage["deps"] = ["data/train.npz"]
        (folder / "dvc.yaml").write_text(json.dumps({"stages": {"embed": stage}}))
        self.call("git", "init", "-q", "-b", "main")
        self.dvc("init")
        self.dvc("config", "cache.type", cache_type)
        (folder / ".gitignore").write_text("/data/train.npz\n/data/cache\n/fresh\n")

    def call(self, *command):
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, env=command_environment()
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def dvc(self, *arguments):
        return self.call(sys.executable, "-m", "dvc", *arguments)

    def commit(self, message):
        self.call("git", "add", "-A")
        self.call("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", message)

    def assert_cache_is_sound(self):
        """Each object still has the content that it is named by."""
        objects = [path for path in Path(".dvc/cache/files/md5").rglob("*") if path.is_file()]
        assert len(objects) > 4
        for path in objects:
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            assert (path.parent.name + path.stem) == digest


@pytest.mark.slow
def test_dvc_computes_each_cut_once_whatever_comes_and_goes(here):
    repository = DvcRepository(here, cache_type="hardlink")
    write_section([LOW])
    repository.dvc("repro")
    repository.commit("low")
    write_section([LOW, HIGH])
    said = repository.dvc("repro")
    assert f"kept from earlier runs: {LOW}" in said
    assert f"kept from earlier runs: {LOW} 16x16x16 (0.2 MB), {HIGH}" not in said
    assert_equals_a_fresh_run(params(cuts=(LOW, HIGH)))
    # An earlier state comes back whole from DVC's cache, and nothing runs.
    write_section([LOW])
    assert "is cached - skipping run" in repository.dvc("repro")
    # On another branch, a cut goes, one that some other state had comes back, and one is new.
    repository.call("git", "checkout", "-q", "--force", "-b", "other")
    repository.dvc("checkout", "--force")
    write_section([HIGH, "block4_add"])
    said = repository.dvc("exp", "run")
    assert f"kept from earlier runs: {HIGH}" in said
    assert_equals_a_fresh_run(params(cuts=(HIGH, "block4_add")))
    repository.commit("other")
    repository.call("git", "checkout", "-q", "--force", "main")
    repository.dvc("checkout", "--force")
    assert list(arrays()) == [LOW]
    # By hand, on files that may be links into the cache.
    write_section(["block4_add", LOW])
    said = repository.call("python", "-m", "pipeline", "embed")
    assert "kept from earlier runs: " in said
    assert "images/s" not in said
    assert_equals_a_fresh_run(params(cuts=(LOW, "block4_add")))
    repository.assert_cache_is_sound()


@pytest.mark.slow
def test_an_experiment_in_a_folder_of_its_own_takes_arrays_over(here):
    repository = DvcRepository(here, cache_type="copy")
    # A copy of the repository has what git or DVC tracks.
    (here / ".gitignore").write_text("/data/cache\n/fresh\n")
    repository.dvc("add", "data/train.npz")
    write_section([LOW])
    repository.dvc("repro")
    repository.commit("low")
    said = repository.dvc(
        "exp", "run", "--temp", "-S", f"embed.bases.{BASE}.cuts=[{LOW},{HIGH}]", "-v"
    )
    assert f"kept from earlier runs: {LOW}" in said
    repository.assert_cache_is_sound()
