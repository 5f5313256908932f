"""What is computed of a base: rows in order, within the bytes there are."""

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.features.arrays import ImageSet
from pipeline.features.params import EmbedParams
from pipeline.features.selection import plan_base, row_images

pytestmark = pytest.mark.keras

IS_TRAIN = np.array([False, False, False, True, True, False, True, False])
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 12, 12), dtype=np.uint8)


def plan(*, max_bytes=10**9, **own):
    settings = {"image_size": 32, "cuts": ["block2_add"], "weights": "random", **own}
    bases = {"efficientnet_lite0": settings}
    params = EmbedParams.model_validate(
        {"bases": bases, "pixels_size": 64, "batch_size": 3, "max_bytes": max_bytes}
    )
    images = ImageSet(image_shape=(12, 12), num_classes=2, is_train=IS_TRAIN)
    return images, plan_base(
        "efficientnet_lite0", params, images, images_sha256="ab", fetch=pytest.fail
    )


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_rows_are_all_images_then_the_train_part_view_by_view(tmp_path, batch_size):
    np.savez(tmp_path / "train.npz", images=IMAGES)
    shift = {"num_views": 1, "hflip": False, "seed": 1, "max_shift": 0.3}
    images, planned = plan(views={"hflip": True, "shift": shift})
    batches = list(row_images(tmp_path / "train.npz", planned, images, batch_size=batch_size))
    rows = np.concatenate(batches)
    train = IMAGES[IS_TRAIN]
    np.testing.assert_array_equal(rows[:8], IMAGES)
    np.testing.assert_array_equal(rows[8:11], train[:, :, ::-1])
    np.testing.assert_array_equal(rows[11:], planned.views[1].make(train, np.arange(3)))
    assert len(rows) == planned.num_rows
    # No more than a batch is ever in memory.
    assert max(map(len, batches)) <= batch_size


def test_the_rows_of_views_count():
    limits = {"cuts": ["block10_add"], "max_bytes": 8 * 2 * 2 * 2 * 112}
    assert plan(**limits)[1].num_rows == 8
    with pytest.raises(ConfigError, match=r"arrays of 11 images must fit embed\.max_bytes=7,168"):
        plan(**limits, views={"hflip": True})


def test_kept_cuts_have_the_shapes_of_what_is_kept():
    _, planned = plan(pooling={"block2_add": "average"})
    assert [cut.shape for cut in planned.kept] == [(4, 4, 24)]
    assert list(planned.keys) == ["block2_add"]
