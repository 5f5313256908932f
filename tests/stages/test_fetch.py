"""The stage, on what is on this machine; and every refusal of its section."""

import json
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from PIL import Image

from pipeline.config import parse_section
from pipeline.data.fetch_params import FetchParams
from pipeline.data.labelled import load_raw
from pipeline.errors import ConfigError, DataIntegrityError, SourceError
from pipeline.split_record import SPLIT_FILE, write_split
from pipeline.stages import fetch
from testing.split import split_record

SECTION = {
    "dataset": "digits",
    "path": "data/own",
    "name": "auto",
    "image_size": 16,
    "color": "auto",
    "labels": None,
    "parts": "auto",
    "value_range": "format",
    "mirror": None,
}


def params(**change):
    return parse_section(FetchParams, "fetch", {**SECTION, **change})


def run(tmp_path, **change):
    fetch.run(params(**change), raw=tmp_path / "raw", cache=tmp_path / "cache")
    return load_raw(tmp_path / "raw")


def make_folder(root):
    for class_name, colour in (("cat", (200, 0, 0)), ("dog", (0, 0, 200))):
        (root / class_name).mkdir(parents=True)
        for index in range(3):
            image = Image.new("RGB", (20 + index, 30), colour)
            image.save(root / class_name / f"{index}.{'jpg' if index else 'png'}")
    return root


def test_digits_become_raw_arrays_with_a_manifest(tmp_path):
    name, data = run(tmp_path)
    assert name == "digits"
    assert data.images.shape == (1797, 8, 8)
    manifest = json.loads((tmp_path / "raw" / "manifest.json").read_text())
    assert manifest["class_names"] == [str(number) for number in range(10)]
    assert manifest["parts"] == {"train": 1797}
    assert manifest["files"] == {}


def test_a_second_run_gives_the_same_bytes(tmp_path):
    contents = []
    for _ in range(2):
        run(tmp_path)
        contents.append({f.name: f.read_bytes() for f in (tmp_path / "raw").iterdir()})
    assert contents[0] == contents[1]
    assert sorted(contents[0]) == ["images.npy", "labels.npy", "manifest.json", "parts.npy"]


def test_a_folder_of_one_s_own(tmp_path):
    root = make_folder(tmp_path / "own")
    name, data = run(tmp_path, dataset="folder", path=str(root))
    assert name == tmp_path.name
    assert data.images.shape == (6, 16, 16, 3)
    assert data.class_names == ("cat", "dog")
    assert sorted(data.files) == [
        f"{c}/{f}" for c in ("cat", "dog") for f in ("0.png", "1.jpg", "2.jpg")
    ]


def test_the_size_that_auto_chose_is_in_the_manifest(tmp_path):
    root = make_folder(tmp_path / "own")
    _, data = run(tmp_path, dataset="folder", path=str(root), image_size="auto")
    assert data.images.shape == (6, 21, 21, 3)
    manifest = json.loads((tmp_path / "raw" / "manifest.json").read_text())
    assert manifest["image_shape"] == [21, 21, 3]
    assert run(tmp_path, dataset="digits", image_size="auto")[1].images.shape == (1797, 8, 8)


def test_what_a_folder_lost_and_what_was_taken_for_what_is_in_the_manifest(tmp_path):
    root = make_folder(tmp_path / "own")
    (root / "cat" / "gone.png").symlink_to("nowhere")
    run(tmp_path, dataset="folder", path=str(root))
    manifest = json.loads((tmp_path / "raw" / "manifest.json").read_text())
    assert manifest["left_out"] == {"link that leads nowhere": 1}
    assert manifest["layout"] == {"classes": "."}
    assert manifest["value_range"] is None
    assert manifest.pop("source")["path"] == str(root)  # As params.yaml says it.
    assert str(tmp_path) not in json.dumps(manifest)


def test_the_keys_of_the_section_reach_the_reader(tmp_path):
    root = make_folder(tmp_path / "own")
    for folder in ("train", "test"):
        (root / folder).symlink_to(root / "cat")
    Image.fromarray(np.full((9, 9), 700, np.uint16)).save(root / "cat" / "deep.png")
    (root / "own.csv").write_text("Bild,Art\ncat/0,x\ncat/1,y\ncat/deep,x\n")
    change = {"dataset": "folder", "path": str(root), "value_range": [0, 700]}
    _, data = run(tmp_path, **change, parts="none")
    assert data.class_names == ("cat", "dog", "test", "train")
    assert data.value_range == (0, 700)
    labels = {"file": "own.csv", "image": "Bild", "label": "Art"}
    assert run(tmp_path, **change, labels=labels)[1].class_names == ("x", "y")


class TestName:
    """What `auto` has called one's own images stays, wherever the checkout goes."""

    @pytest.fixture
    def checkout(self, tmp_path, monkeypatch):
        """A checkout called roses, where `fetch` and `split` have run."""
        root = tmp_path / "roses"
        make_folder(root / "data/own")
        monkeypatch.chdir(root)
        assert self.fetch(root) == "roses"
        return root

    def fetch(self, root, **change):
        """Runs `fetch`, and leaves what `split` would leave of it."""
        here = params(dataset="folder", **change)
        fetch.run(here, raw=root / "data/raw", cache=root / "data/cache", root=root)
        manifest = json.loads((root / "data/raw/manifest.json").read_text())
        split = split_record(
            dataset=manifest["dataset"],
            class_names=tuple(manifest["class_names"]),
            source=manifest["source"],
        )
        write_split(split, root / SPLIT_FILE)
        return split.dataset

    def rename(self, root, monkeypatch, name="tulips"):
        renamed = root.rename(root.parent / name)
        monkeypatch.chdir(renamed)
        return renamed

    def test_is_said_with_the_key_that_sets_another(self, checkout, caplog):
        (checkout / "data/split.json").unlink()
        with caplog.at_level("INFO"):
            self.fetch(checkout)
        assert f"data set: roses, after {checkout}; fetch.name sets another name" in caplog.text

    def test_stays_where_the_checkout_is_renamed_and_an_image_is_added(
        self, checkout, monkeypatch, caplog
    ):
        renamed = self.rename(checkout, monkeypatch)
        Image.new("RGB", (9, 9)).save(renamed / "data/own/cat/new.png")
        with caplog.at_level("INFO"):
            assert self.fetch(renamed) == "roses"
        assert f"roses, as until now, though {renamed} would be tulips" in caplog.text

    def test_stays_in_an_experiment_of_a_renamed_checkout(self, checkout, monkeypatch):
        renamed = self.rename(checkout, monkeypatch)
        copy = renamed / ".dvc/tmp/exps/standalone/tmpa1b2c3"
        make_folder(copy / "data/own")
        monkeypatch.chdir(copy)
        assert self.fetch(copy) == "roses"

    @pytest.mark.parametrize("change", ["classes", "path", "name"])
    def test_is_another_for_other_classes_or_params(self, checkout, monkeypatch, caplog, change):
        renamed = self.rename(checkout, monkeypatch)
        if change == "classes":
            (renamed / "data/own/cat").rename(renamed / "data/own/cow")
            assert self.fetch(renamed) == "tulips"
            assert "called roses until now: fetch.name: roses goes on" in caplog.text
        elif change == "path":
            (renamed / "data/own").rename(renamed / "data/images")
            assert self.fetch(renamed, path="data/images") == "tulips"
        else:
            assert self.fetch(renamed, name="lilies") == "lilies"
            assert self.fetch(renamed) == "tulips"

    def test_of_an_earlier_release_is_said_with_how_to_keep_it(self, checkout, caplog):
        write_split(split_record(dataset="folder"), checkout / SPLIT_FILE)
        assert self.fetch(checkout) == "roses"
        assert "called folder until now: fetch.name: folder goes on with the studies" in caplog.text


def test_a_file_of_arrays(tmp_path):
    images = np.arange(16, dtype=np.uint8).reshape(4, 2, 2)
    np.savez(tmp_path / "mine.npz", images=images, labels=[0, 1, 0, 1])
    _, data = run(tmp_path, dataset="npz", path=str(tmp_path / "mine.npz"))
    np.testing.assert_array_equal(data.images, images)


def test_a_refusal_leaves_no_manifest_of_earlier_data(tmp_path):
    root = make_folder(tmp_path / "own")
    run(tmp_path, dataset="folder", path=str(root))
    (root / "cat" / "0.png").write_bytes(b"")
    with pytest.raises(DataIntegrityError, match=r"cat/0\.png cannot be read"):
        run(tmp_path, dataset="folder", path=str(root))
    assert not (tmp_path / "raw" / "manifest.json").exists()


def test_one_class_is_refused(tmp_path):
    (tmp_path / "own" / "cat").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(tmp_path / "own" / "cat" / "a.png")
    with pytest.raises(DataIntegrityError, match="at least two classes"):
        run(tmp_path, dataset="folder", path=str(tmp_path / "own"))


def test_the_mirror_of_the_environment_is_tried_and_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PIPELINE_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("PATH", str(tmp_path))  # No apt-get: this test must not leave the machine.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    # The first request of a process fixes the proxies of all later ones.
    monkeypatch.setattr(urllib.request, "_opener", None)
    with pytest.raises(SourceError) as caught:
        run(tmp_path, dataset="fashion_mnist")
    message = str(caught.value)
    for part in (
        f"mirror {tmp_path}/mirror: fashion-mnist/train-images-idx3-ubyte.gz: No such file",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/: train-images",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/: ",
        "Debian's package dataset-fashion-mnist: apt-get is not on this machine",
        "t10k-labels-idx1-ubyte.gz  sha256 8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d",
        "PIPELINE_MIRROR=SOMEWHERE",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"dataset": "fashion-mnist"},
            "fetch.dataset: Unknown dataset: 'fashion-mnist'. Did you mean 'fashion_mnist'? "
            "Choose one of: cifar10, digits, fashion_mnist, folder, npz. Received: 'fashion",
        ),
        (
            {"image_size": "64"},
            "fetch.image_size: must be auto, or a number of pixels, 8 to 512. Received: '64'.",
        ),
        ({"image_size": 7}, "must be auto, or a number of pixels, 8 to 512. Received: 7."),
        ({"image_size": 513}, "8 to 512. Received: 513."),
        ({"image_size": True}, "8 to 512. Received: True."),
        ({"image_size": 64.0}, "8 to 512. Received: 64.0."),
        ({"color": "colour"}, "'auto', 'rgb' or 'gray'. Received: 'colour'."),
        ({"path": ""}, "fetch.path: String should have at least 1 character"),
        ({"path": "."}, "fetch.path: must be apart from data/raw, which the pipeline writes."),
        ({"path": "data"}, "must be apart from data/raw"),
        ({"path": "data/raw/"}, "must be apart from data/raw"),
        ({"path": "./data/cache/mine"}, "must be apart from data/cache"),
        ({"path": "results/photos"}, "must be apart from results, which the pipeline writes."),
        (
            {"mirror": "ftp://host"},
            "fetch.mirror: mirror must be a folder, or an http or https addr",
        ),
        ({"dataset": "folder", "labels": 5}, "fetch.labels: must be null, a CSV or TSV file below"),
        ({"dataset": "folder", "labels": "../a.csv"}, "the file must lie below fetch.path, so tha"),
        (
            {"dataset": "folder", "labels": {"file": "a", "image": 3}},
            "fetch.labels.image: Input sh",
        ),
        ({"dataset": "folder", "parts": "no"}, "fetch.parts: must be auto, none, or {train: FOLDE"),
        (
            {"dataset": "folder", "parts": {"val": "a"}},
            "of which train must be there. Received: parts={",
        ),
        ({"dataset": "folder", "parts": {"train": "/a"}}, "the folder of train must lie below fe"),
        (
            {"dataset": "folder", "parts": {"train": "a", "test": "./a/"}},
            "fetch.parts: must name another folder for each part",
        ),
        ({"dataset": "folder", "value_range": [5, 5]}, "two numbers, black's below white's, such"),
        ({"dataset": "folder", "value_range": [0, True]}, "fetch.value_range: must be format, d"),
        (
            {"dataset": "folder", "labels": "a.csv", "parts": "none"},
            "fetch: parts must be auto where labels is set: then the table says the parts",
        ),
        (
            {"labels": "a.csv", "value_range": "data"},
            "fetch: labels, value_range must be left as they are, null, auto and format, where",
        ),
        ({"name": "my images"}, "fetch.name: must be auto, or up to 64 of the letters A to Z"),
        ({"name": "-x"}, "of which the first is a letter or digit. Received: '-x'."),
        ({"name": "x" * 65}, "fetch.name: must be auto, or up to 64"),
        ({"name": "x\n"}, "fetch.name: must be auto, or up to 64"),
        ({"name": "Cifar10"}, "name must not be that of another data set. Received: name=Cifar10"),
        ({"mirrors": "x"}, "fetch.mirrors: there is no such key. Did you mean 'mirror'?"),
    ],
)
def test_a_section_that_cannot_run_is_refused_by_key(change, message):
    with pytest.raises(ConfigError) as caught:
        params(**change)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("path", ["data/own", "../images", "data/raw2", "/somewhere/else"])
def test_a_path_of_one_s_own_passes(path):
    assert params(path=path).path == path


def test_importing_the_stage_loads_no_heavy_library():
    heavy = ("sklearn", "PIL", "keras", "tensorflow", "mlflow", "optuna", "pandas", "scipy")
    script = "import sys, pipeline.stages.fetch, pipeline.stages.split\n"
    script += f"print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


COPY = ".dvc/tmp/exps/standalone/tmpa1b2c3"


def fill(folder, *names):
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "1.png").touch()


@pytest.mark.parametrize("there", [(), ("rose",)], ids=["empty", "one class of two"])
def test_a_copy_that_lacks_images_is_refused(tmp_path, there):
    copy = tmp_path / COPY
    fill(tmp_path / "data/own", "rose", "daisy")
    (copy / "data/own").mkdir(parents=True)
    (copy / "data/own/.gitkeep").touch()
    fill(copy / "data/own", *there)
    with pytest.raises(ConfigError, match=r"lacks daisy.*Run `dvc add data/own`"):
        fetch.check_copied((copy / "data/own").relative_to(copy), root=copy)


def test_a_copy_has_the_images_of_its_commit_where_dvc_tracks_them(tmp_path):
    copy = tmp_path / COPY
    fill(tmp_path / "data/flowers", "rose", "new")
    fill(copy / "data/flowers", "rose")
    (copy / "data/flowers.dvc").touch()
    fetch.check_copied((copy / "data/flowers").relative_to(copy), root=copy)


def test_an_absolute_path_is_the_same_in_every_copy(tmp_path, caplog):
    caplog.set_level("INFO")
    fill(tmp_path / "photos", "rose")
    checkout = tmp_path / "checkout"
    (checkout / COPY).mkdir(parents=True)
    for root in (checkout, checkout / COPY):
        fetch.check_copied(tmp_path / "photos", root=root)
    assert not caplog.text


def test_the_original_says_what_copies_would_lack(tmp_path, caplog):
    caplog.set_level("INFO")
    fill(tmp_path / "data/flowers", "rose")
    path = (tmp_path / "data/flowers").relative_to(tmp_path)
    fetch.check_copied(path, root=tmp_path)
    assert "`dvc add data/flowers`" in caplog.text
    caplog.clear()
    (tmp_path / "data/flowers.dvc").touch()
    fetch.check_copied(path, root=tmp_path)
    assert not caplog.text
