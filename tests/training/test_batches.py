"""Batches: every row once per epoch, in a seeded order, in the type they are stored in."""

import numpy as np
import pytest

from pipeline.training import batches
from pipeline.training.batches import (
    TrainingData,
    balanced_class_weights,
    epoch_chunks,
    epoch_order,
    gather,
    resolve_batch_size,
)


def numbered(num_rows, dtype=np.uint8, width=2):
    """Data whose row i holds i, as does its label."""
    rows = np.arange(num_rows)
    features = np.repeat(rows[:, None], width, axis=1).astype(dtype)
    return TrainingData(
        features=features, labels=rows, train=rows, val=rows[:1], num_classes=num_rows
    )


@pytest.mark.parametrize(
    ("batch_size", "expected"), [(32, 32), (1, 1), (100, 100), (101, 100), ("full", 100)]
)
def test_a_batch_is_at_most_everything(batch_size, expected):
    assert resolve_batch_size(batch_size, num_examples=100) == expected


def test_views_are_trained_on_unless_they_are_left_out():
    rows = np.arange(10)
    data = TrainingData(
        features=rows[:, None],
        labels=rows % 2,
        train=np.array([0, 1, 4, 8, 9]),
        val=np.array([2, 3]),
        num_classes=2,
        num_images=8,
    )
    assert data.without_views().train.tolist() == [0, 1, 4]
    assert data.without_views().val.tolist() == [2, 3]
    assert numbered(5).without_views().train.tolist() == [0, 1, 2, 3, 4]


class TestEpochOrder:
    rows = np.arange(1000, 1100)

    def test_holds_every_row_once(self):
        assert sorted(epoch_order(self.rows, seed=1, epoch=0)) == self.rows.tolist()

    def test_is_the_same_for_the_same_seed_and_epoch(self):
        first, again = (epoch_order(self.rows, seed=1, epoch=3) for _ in range(2))
        np.testing.assert_array_equal(first, again)

    @pytest.mark.parametrize("other", [{"seed": 2, "epoch": 3}, {"seed": 1, "epoch": 4}])
    def test_differs_with_seed_and_epoch(self, other):
        first = epoch_order(self.rows, seed=1, epoch=3)
        assert not np.array_equal(first, epoch_order(self.rows, **other))


class TestEpochChunks:
    def test_follow_the_order_and_keep_the_short_last_batch(self):
        data = numbered(75)
        order = epoch_order(data.train, seed=0, epoch=0)
        chunks = list(epoch_chunks(data, order, batch_size=1))
        assert [chunk.num_batches for chunk in chunks] == [64, 11]
        joined = np.concatenate([chunk.labels for chunk in chunks])
        np.testing.assert_array_equal(joined, order)
        np.testing.assert_array_equal(
            np.concatenate([chunk.features[:, 1] for chunk in chunks]), order
        )

    def test_a_last_batch_with_one_row_counts(self):
        chunks = list(epoch_chunks(numbered(33), np.arange(33), batch_size=32))
        assert sum(chunk.num_batches for chunk in chunks) == 2

    def test_the_lectures_epoch_has_1719_steps(self):
        data = numbered(55_000, dtype=np.uint16, width=1)
        chunks = epoch_chunks(data, data.train, batch_size=32)
        assert sum(chunk.num_batches for chunk in chunks) == 1719

    def test_keep_the_stored_type_and_copy_no_more_than_the_limit(self, monkeypatch):
        monkeypatch.setattr(batches, "MAX_CHUNK_BYTES", 1000)
        data = numbered(500, dtype=np.float16, width=10)
        for chunk in epoch_chunks(data, data.train, batch_size=8):
            assert chunk.features.dtype == np.float16
            assert chunk.features.nbytes <= 1000

    def test_a_batch_larger_than_the_limit_is_still_whole(self, monkeypatch):
        monkeypatch.setattr(batches, "MAX_CHUNK_BYTES", 1)
        chunks = list(epoch_chunks(numbered(10), np.arange(10), batch_size=10))
        assert [len(chunk.labels) for chunk in chunks] == [10]


def test_rows_of_a_memory_map_become_an_array_of_their_own(tmp_path):
    np.save(tmp_path / "features.npy", np.arange(12).reshape(4, 3))
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    rows = gather(mapped, np.array([2, 0]))
    assert rows.tolist() == [[6, 7, 8], [0, 1, 2]]
    assert type(rows) is np.ndarray


class TestBalancedClassWeights:
    def test_every_class_has_the_same_sum(self):
        labels = np.array([0] * 6 + [1] * 3 + [2])
        weights = balanced_class_weights(labels, 3)
        assert (weights * [6, 3, 1]).tolist() == pytest.approx([10 / 3] * 3)

    def test_a_class_without_examples_has_no_weight(self):
        assert balanced_class_weights(np.array([0, 2]), 3).tolist() == [1.0, 0.0, 1.0]
