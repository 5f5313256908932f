"""A key changes with all that an array depends on, and with nothing else."""

import importlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from pipeline.bases.cuts import find_cuts
from pipeline.bases.table import preprocessing
from pipeline.features.joined_cuts import joined_cut
from pipeline.features.keys import array_keys, images_sha256
from pipeline.features.pooling import pooled_cuts
from tests.bases import networks

pytestmark = pytest.mark.keras


def network(*, seed=0, change=None, pooling=None, joint=(), image_shape=(8, 8, 3)):
    """A base, what is before it, and its cuts."""
    import keras

    # Names that Keras counts, as of this network's input; `load_base` leaves none.
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    base = networks.chain()
    if change:
        layer = base.get_layer(change)
        layer.set_weights([weights + 1 for weights in layer.get_weights()])
    cuts = pooled_cuts(find_cuts(base), pooling or {}, where="pooling")
    cuts += [joined_cut(name, find_cuts(base), where="cuts") for name in joint]
    return base, preprocessing(image_shape, 8), cuts


def keys(*, images="ab", views=(), batch_size=8, **changes):
    told = {"images": images, "views": list(views), "batch_size": batch_size}
    return array_keys(*network(**changes), **told)


@pytest.fixture(scope="module")
def same():
    return keys()


def test_the_same_gives_the_same_in_this_process_and_in_another():
    assert keys() == keys()
    code = "from tests.features.test_keys import keys; print(keys()['c'])"
    other = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert other == keys()["c"]


@pytest.mark.parametrize(
    "change",
    [
        {"images": "cd"},
        {"views": [{"kind": "hflip"}]},
        {"batch_size": 9},
        {"seed": 1},
        {"image_shape": (9, 8, 3)},
    ],
)
def test_every_array_depends_on_data_views_weights_and_resolution(same, change):
    changed = keys(**change)
    assert list(changed) == list(same) == ["a", "b", "c"]
    assert all(changed[name] != same[name] for name in same)


def test_only_what_lies_below_a_cut_matters_to_it(same):
    changed = keys(change="c")
    assert [changed[name] == same[name] for name in "abc"] == [True, True, False]


def test_pooling_matters_to_the_cut_that_is_pooled(same):
    changed = keys(pooling={"b": "average"})
    assert same == keys(pooling={"b": "none"})
    assert [changed[name] == same[name] for name in "abc"] == [True, False, True]


def test_of_cuts_side_by_side_each_and_its_pooling_and_their_order_matter():
    names = ["a:grid4+b", "a:grid2+b", "b+a:grid4", "a:grid4+c", "a:grid4"]
    found = keys(joint=names)
    assert len(set(found.values())) == len(found) == 3 + len(names)
    changed = keys(joint=names, change="c")
    same = [name for name in found if changed[name] == found[name]]
    assert same == ["a", "b", "a:grid4+b", "a:grid2+b", "b+a:grid4", "a:grid4"]


def test_code_that_makes_arrays_matters(monkeypatch, tmp_path, same):
    from pipeline.features import keys as module

    made = network()
    told = {"images": "ab", "views": [], "batch_size": 8}
    for name in module.CODE:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(module.PACKAGE / name, tmp_path / name)
    monkeypatch.setattr(module, "PACKAGE", tmp_path)
    assert array_keys(*made, **told) == same
    for name in module.CODE:
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content + b"#")
        assert array_keys(*made, **told) != same, name
        (tmp_path / name).write_bytes(content)


@pytest.mark.parametrize(
    "name",
    [
        "features/selection.py",
        "features/embed.py",
        "features/joined_cuts.py",
        "features/arrays.py",
        "features/pooling.py",
        "features/views.py",
        "seeds.py",
    ],
)
def test_what_draws_views_orders_rows_and_averages_is_code_that_matters(name):
    from pipeline.features.keys import CODE

    assert name in CODE


@pytest.mark.parametrize("library", ["keras", "numpy", "tensorflow"])
def test_the_version_of_each_library_matters(monkeypatch, library, same):
    monkeypatch.setattr(importlib.import_module(library), "__version__", "0.0")
    assert keys() != same


def test_the_kind_of_device_matters(monkeypatch, same):
    import tensorflow as tf

    device = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda: [device])
    assert keys() != same


def test_images_are_told_apart_by_values_shape_and_part():
    images, train = np.arange(24, dtype=np.uint8).reshape(4, 2, 3), np.array([1, 1, 0, 1], bool)
    same = images_sha256([images], train)
    assert same == images_sha256([images[:1], images[1:]], train)
    assert same != images_sha256([images + 1], train)
    assert same != images_sha256([images.reshape(4, 3, 2)], train)
    assert same != images_sha256([images], ~train)
