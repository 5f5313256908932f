"""Which features images are compared by, and that a sketch keeps what it is for."""

import numpy as np
import pytest

from pipeline.errors import DataIntegrityError
from pipeline.review import vectors
from pipeline.review.vectors import Source, choose_source, find_sources, read_vectors


def source(folder, name, array):
    np.save(folder / f"{name}.npy", array)
    return Source(base="base", cut=name, file=folder / f"{name}.npy", num_images=len(array))


def test_the_cut_that_tells_the_labels_is_chosen(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 150)
    noise = rng.normal(size=(150, 4, 4, 8)).astype(np.float16)
    telling = noise.copy()
    telling[..., 0] += labels[:, None, None]
    sources = [source(tmp_path, "high", noise), source(tmp_path, "low", telling)]
    assert choose_source(sources, labels, seed=0).cut == "low"


def test_vectors_are_standardized_whatever_their_scale(tmp_path):
    array = np.random.default_rng(0).normal(5, 3, size=(200, 2, 2, 3)).astype(np.float16)
    found = read_vectors(source(tmp_path, "cut", array * np.float16(10)), seed=0)
    assert found.shape == (200, 12)
    np.testing.assert_allclose(found.astype(float).std(axis=0), 1, atol=0.15)


def test_views_behind_the_images_are_left_out(tmp_path):
    array = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float16)
    with_views = source(tmp_path, "cut", np.concatenate([array, array]))
    with_views = Source(base="base", cut="cut", file=with_views.file, num_images=20)
    assert read_vectors(with_views, seed=0).shape == (20, 5)


def test_a_sketch_keeps_cosines(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    array = rng.normal(size=(60, 4000)).astype(np.float16)
    array[1] = 0.8 * array[0] + 0.6 * array[1]
    monkeypatch.setattr(vectors, "MOST_NUMBERS", 1024)
    found = read_vectors(source(tmp_path, "cut", array), seed=0).astype(float)
    assert found.shape == (60, 1024)
    units = found / np.linalg.norm(found, axis=1, keepdims=True)
    assert units[0] @ units[1] == pytest.approx(0.8, abs=0.1)
    assert abs(units[2] @ units[3]) < 0.15


def test_without_features_it_is_said_what_to_run(tmp_path):
    with pytest.raises(DataIntegrityError, match=r"manifest\.json"):
        find_sources(tmp_path)
