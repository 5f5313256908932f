"""Heads stand on what is best, side by side where that helps, and no larger than there is time."""

import numpy as np
import pytest

from pipeline.planning.heads import heads_of
from pipeline.planning.probe import Errors
from tests.planning.conftest import features, part


def chosen(probe, *, most_features=10_000, num_train=240):
    heads = heads_of(probe, most_features=most_features, num_train=num_train)
    return [[(each.cut, each.pooling) for each in head.parts] for head in heads]


def test_cuts_that_know_different_things_are_joined(labels, make_probe):
    by_part = {
        part(0): features(labels, noise=0.3, classes=(0, 1)),
        part(1): features(labels, noise=0.3, classes=(2, 3), seed=1),
        part(2): features(labels, noise=30.0, seed=2),
    }
    assert chosen(make_probe(by_part))[0] == [("cut0", "global"), ("cut1", "global")]


def test_a_cut_that_adds_nothing_is_not_joined(labels, make_probe):
    same = features(labels, noise=1.0)
    by_part = {part(0): same, part(1): same}
    assert [len(head) for head in chosen(make_probe(by_part))] == [1, 1]
    by_part = {part(0): same, part(1): features(labels, noise=30.0, seed=2)}
    assert [len(head) for head in chosen(make_probe(by_part))] == [1, 1]


class Counted:
    """A probe of two cuts; side by side, five images more of 240 are right: one standard error."""

    parts = (part(0), part(1))
    num_images = 240

    def errors(self, parts):
        is_right = np.ones(self.num_images, bool)
        is_right[:40] = False
        if len(parts) > 1:
            is_right[:15], is_right[100:110] = True, False
        return Errors(is_right=is_right, of_quarters=0.3)


@pytest.mark.parametrize(("num_train", "num_parts"), [(240, 1), (24_000, 2)])
def test_a_small_sample_is_asked_for_less_evidence(num_train, num_parts):
    best, *_ = heads_of(Counted(), most_features=100, num_train=num_train)
    assert len(best.parts) == num_parts


def test_single_cuts_follow_the_best_first(labels, make_probe):
    by_part = {part(0): features(labels, noise=3.0), part(1): features(labels, noise=1.0)}
    single = [head for head in chosen(make_probe(by_part)) if len(head) == 1]
    assert [head[0][0] for head in single] == ["cut1", "cut0"]


def test_each_cut_is_pooled_as_is_best_for_it(labels, make_probe):
    by_part = {
        part(0, 8): features(labels, noise=0.5),
        part(0, 300, "none"): features(labels, noise=20.0, num_features=300),
    }
    assert chosen(make_probe(by_part)) == [[("cut0", "global")]]


def test_a_head_is_no_larger_than_there_is_time_to_train(labels, make_probe):
    by_part = {
        part(0, 8): features(labels, noise=2.0),
        part(0, 400, "none"): features(labels, noise=0.1, num_features=400),
    }
    probe = make_probe(by_part)
    assert chosen(probe) == [[("cut0", "none")]]
    assert chosen(probe, most_features=100) == [[("cut0", "global")]]
    assert chosen(probe, most_features=1) == [[("cut0", "global")]]
