"""Identical images are found; others are not."""

import numpy as np

from pipeline.data.pool import content_ids, first_of_each, num_conflicts


def test_equal_images_share_a_number_and_others_do_not():
    images = np.random.default_rng(0).integers(0, 256, (50, 3, 3, 3), np.uint8)
    images[[7, 20, 49]] = images[3]
    images[30] = images[31]
    images[10] = images[3]
    images[10, 2, 2, 2] ^= 1  # One bit apart.
    ids = content_ids(images)
    for one in range(50):
        for other in range(50):
            assert (ids[one] == ids[other]) == np.array_equal(images[one], images[other])


def test_numbers_follow_first_appearance():
    assert content_ids(np.array([[5], [3], [5], [4]], np.uint8)).tolist() == [0, 1, 0, 2]


def test_no_images_give_no_numbers():
    assert content_ids(np.zeros((0, 2, 2), np.uint8)).tolist() == []


def test_first_of_each_keeps_the_first_in_order():
    assert first_of_each(np.array([4, 2, 4, 9, 2])).tolist() == [0, 1, 3]


def test_a_conflict_is_an_image_with_two_labels_counted_once():
    ids = np.array([0, 0, 0, 1, 1, 2])
    assert num_conflicts(ids, np.array([5, 6, 7, 1, 1, 1])) == 1
    assert num_conflicts(ids, np.array([5, 5, 5, 1, 1, 2])) == 0
    assert num_conflicts(ids[:0], ids[:0]) == 0
