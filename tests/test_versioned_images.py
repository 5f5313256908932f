"""One's own images under DVC: added, pushed, cloned, pulled, and in an experiment's copy.

Real git and DVC, and a graph that ends with the stage `split`.
"""

import json

import numpy as np
import pytest
from PIL import Image

from testing.checkout import Checkout

pytestmark = pytest.mark.slow
PER_CLASS = 8
CLASSES = ("daisy", "rose")
PATH = "data/flowers"


def add_pictures(folder):
    rng = np.random.default_rng(1)
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(PER_CLASS):
            pixels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def num_images(folder):
    counts = json.loads((folder / "data/split.json").read_text())["counts"]
    return sum(part["images"] for part in counts.values())


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "checkout").mkdir()
    made = Checkout(tmp_path / "checkout")
    graph = (made.folder / "dvc.yaml").read_text().partition("\n  embed:")[0]
    (made.folder / "dvc.yaml").write_text(graph)
    add_pictures(made.folder / PATH)
    sizes = {"val_size": 0.2, "confirmation_size": 0.2, "test_size": 0.2}
    made.set({"fetch": {"dataset": "folder", "path": PATH, "image_size": 9}, "split": sizes})
    made.commit("my images")
    return made


def test_added_images_reach_a_clone_and_the_copy_of_an_experiment(checkout, tmp_path):
    checkout.dvc("add", PATH)
    checkout.repro()
    checkout.commit("add my images to DVC")
    assert not checkout.git("status", "--porcelain", "--untracked-files=all")
    clone = checkout.clone_and_pull(tmp_path / "clone")
    (clone.folder / "data/split.json").unlink()
    clone.run("dvc", "exp", "run", "--temp", "--name", "trial", "-S", "split.seed=9")
    clone.dvc("exp", "apply", "trial")
    assert num_images(clone.folder) == PER_CLASS * len(CLASSES)
