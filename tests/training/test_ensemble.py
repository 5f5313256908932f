"""An exported file is run on raw images before it has its name."""

import numpy as np
import pytest

from pipeline.data.rows import evenly, row_batches
from pipeline.errors import DataIntegrityError
from pipeline.features.arrays import ImageSet
from pipeline.features.pixels import write_pixels
from pipeline.training.data import DataReference
from pipeline.training.export import Member

pytestmark = pytest.mark.keras


NUM_IMAGES = 600
CONFIRMATION = np.arange(100, 400)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, 4, 4, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def members():
    import keras

    keras.utils.set_random_seed(1)
    pixels = keras.Input((4, 4, 3))
    scaled = keras.layers.Rescaling(1 / 255)(pixels)
    answer = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(scaled))
    return [Member(trained=keras.Model(pixels, answer))]


@pytest.fixture
def data(tmp_path, images):
    """What `split` and `embed` leave of random images, for heads on the pixels."""
    is_train = np.zeros(NUM_IMAGES, bool)
    is_train[:50] = True
    labels = np.arange(NUM_IMAGES) % 3
    parts = {"train": np.arange(50), "val": np.arange(50, 100), "confirmation": CONFIRMATION}
    np.savez(tmp_path / "train.npz", images=images, labels=labels, **parts)
    described = ImageSet(image_shape=(4, 4, 3), num_classes=3, is_train=is_train)
    pixels = row_batches(tmp_path / "train.npz", "images", batch_size=100)
    write_pixels(tmp_path / "none", described, pixels)
    return DataReference(features=str(tmp_path / "none"), train_file=str(tmp_path / "train.npz"))


def export(tmp_path, members, data, *, most=1000):
    from pipeline.training.ensemble import export_winner

    told = {"image_shape": (4, 4, 3), "part": "confirmation", "most": most}
    return export_winner(tmp_path / "winner.keras", members, data, **told)


def test_the_file_reaches_what_its_members_reached(tmp_path, members, data, images):
    import keras

    found, of_all = export(tmp_path, members, data)
    assert (found.n, found.num_other_class) == (300, 0)
    assert of_all == found.from_cache
    assert found.mean_difference < 1e-6
    model = keras.models.load_model(tmp_path / "winner.keras", safe_mode=True)
    classes = model.predict(images[CONFIRMATION], verbose=0).argmax(axis=1)
    assert found.metrics["accuracy"] == np.mean(classes == CONFIRMATION % 3)


def test_the_file_is_run_on_some_images_and_judged_by_all(tmp_path, members, data, images):
    import keras

    found, of_all = export(tmp_path, members, data, most=70)
    assert (found.n, found.num_other_class) == (70, 0)
    assert found.mean_difference < 1e-6
    model = keras.models.load_model(tmp_path / "winner.keras", safe_mode=True)
    is_right = model.predict(images[CONFIRMATION], verbose=0).argmax(axis=1) == CONFIRMATION % 3
    assert of_all["accuracy"] == pytest.approx(is_right.mean())
    assert found.metrics["accuracy"] == pytest.approx(is_right[evenly(300, 70)].mean())


@pytest.mark.parametrize("former", [b"what was exported before", None])
def test_a_file_that_computes_something_else_is_not_exported(tmp_path, members, data, former):
    file = tmp_path / "winner.keras"
    if former:
        file.write_bytes(former)
    # As a base that lost its normalization: the cache holds other features than the file computes.
    pixels = np.load(tmp_path / "none/pixels.npy", mmap_mode="r+")
    pixels[CONFIRMATION] = 255 - pixels[CONFIRMATION]
    pixels.flush()
    with pytest.raises(
        DataIntegrityError, match=r"another class for \d+ of 300 images.*not export"
    ):
        export(tmp_path, members, data)
    assert (file.read_bytes() if file.exists() else None) == former
    assert not list(tmp_path.glob("*.part.*"))


class TestTolerance:
    """Rounding to float16 passes; a part that is wrong does not."""

    cached = np.random.default_rng(1).dirichlet([1, 1, 1], 1000).astype(np.float32)
    labels = np.arange(1000) % 3

    def check(self, answers):
        from pipeline.training.ensemble import verified

        return verified(
            np.float32(answers), self.cached, self.labels, file="winner.keras", part="val"
        )

    def test_rounding_passes(self):
        noise = np.random.default_rng(2).uniform(-6e-4, 6e-4, self.cached.shape)
        found = self.check(self.cached + noise)
        assert 0 < found.mean_difference < 6e-4
        assert found.from_cache["accuracy"] == np.mean(self.cached.argmax(1) == self.labels)

    def test_a_little_of_every_answer_is_refused(self):
        # Surer everywhere, so that no image gets another class.
        answers = self.cached + 0.01 * (self.cached.argmax(axis=1)[:, None] == np.arange(3))
        with pytest.raises(DataIntegrityError, match=r"differ by 0\.0100 on average"):
            self.check(answers)

    def test_a_few_answers_that_are_all_wrong_are_refused(self):
        answers = self.cached.copy()
        # Hardly seen in the mean: near ties that fall to the other side.
        top_two = np.sort(self.cached, axis=1)[:, 1:]
        ties = np.argsort(top_two[:, 1] - top_two[:, 0])[:8]
        answers[ties] = np.roll(answers[ties], 1, axis=1)
        with pytest.raises(DataIntegrityError, match="another class for 8 of 1000"):
            self.check(answers)

    def test_answers_that_are_no_numbers_are_refused(self):
        answers = self.cached.copy()
        answers[5] = np.nan
        with pytest.raises(DataIntegrityError, match="differ by nan"):
            self.check(answers)
