"""A probe judges what each cut gives, alone and side by side, on a sample."""

import numpy as np
import pytest

from pipeline.planning import probe as probing
from pipeline.planning.choose import MIRROR_GAIN
from pipeline.planning.probe import Probe, TooSlowError
from tests.planning.conftest import NUM_IMAGES, features, images_of, part


def test_less_noise_is_fewer_errors(labels, make_probe):
    low, high = part(0), part(1)
    probe = make_probe({low: features(labels, noise=3.0), high: features(labels, noise=1.0)})
    assert probe.errors([high]).of_all < probe.errors([low]).of_all - 0.1


def test_a_quarter_of_the_images_makes_more_errors(labels, make_probe):
    probe = make_probe({part(0): features(labels, noise=2.0, num_features=30)})
    errors = probe.errors([part(0)])
    assert errors.of_quarters > errors.of_all + 0.05


def test_cuts_side_by_side_add_what_each_knows(labels, make_probe):
    left, right = part(0), part(1)
    probe = make_probe(
        {
            left: features(labels, noise=0.3, classes=(0, 1)),
            right: features(labels, noise=0.3, classes=(2, 3), seed=1),
        }
    )
    alone = min(probe.errors([each]).of_all for each in (left, right))
    assert probe.errors([left, right]).of_all < alone - 0.2


def test_mirror_images_that_are_new_help(labels, make_probe):
    centres = features(labels, noise=0.0, num_features=60)
    random = np.random.default_rng(9)
    plain, mirrored = ({part(0): centres + 8 * random.normal(size=(240, 60))} for _ in range(2))
    gain, error = make_probe(plain, mirrored=mirrored).mirror_gain([part(0)])
    assert gain > 2 * error > 0


def test_mirror_images_that_are_the_same_do_not(labels, make_probe):
    same = {part(0): features(labels, noise=8.0, num_features=60)}
    gain, error = make_probe(same, mirrored=same).mirror_gain([part(0)])
    assert gain <= MIRROR_GAIN * error  # On some machines both are 0, to the last bit.


def test_a_base_that_is_too_slow_is_left_after_its_first_images(labels):
    seen = []

    def network(images):
        seen.append(len(images))
        return [np.zeros((len(images), 8), np.float32)]

    with pytest.raises(TooSlowError) as caught:
        Probe(network, [part(0)], images_of(labels), labels, most_seconds=0.0)
    assert sum(seen) < len(labels)
    assert caught.value.seconds > 0


def test_a_small_sample_is_looked_at_whole_whatever_it_takes(labels, make_probe):
    probe = make_probe({part(0): features(labels, noise=1.0)}, seconds=0.0)
    assert probe.num_images == NUM_IMAGES


def test_of_many_classes_more_images_are_looked_at(monkeypatch, labels, make_probe):
    monkeypatch.setattr(probing, "FEWEST_IMAGES", 100)
    monkeypatch.setattr(probing, "FEWEST_OF_A_CLASS", 40)
    probe = make_probe({part(0): features(labels, noise=1.0)}, seconds=0.0)
    assert probe.num_images == 192  # Batches of 64, until 40 images of each of 4 classes are in.


def test_a_probe_of_many_images_ends_when_its_time_is_over(monkeypatch, labels, make_probe):
    monkeypatch.setattr(probing, "FEWEST_IMAGES", 100)
    by_part = {part(0): features(labels, noise=0.5)}
    few = make_probe(by_part, by_part, seconds=0.0)
    assert few.num_images == 128  # Two batches.
    assert len(few.errors([part(0)]).is_right) == 128
    assert few.mirror_gain([part(0)])[1] >= 0
