"""Effects of changes over pairs of trainings, on answers whose truth is known."""

import numpy as np
import pytest

from pipeline.evaluation.effects import contrasts, paired_effects

N = 2000


def answers(labels, accuracy, *, seed, images):
    """Probabilities that are right with a chance that depends on the image, shared by all seeds."""
    generator = np.random.default_rng(seed)
    is_right = images + 0.02 * generator.standard_normal(N) < accuracy
    classes = np.where(is_right, labels, (labels + 1) % 4)
    return np.eye(4, dtype=np.float32)[classes] * 0.96 + 0.01


@pytest.fixture(scope="module")
def made():
    generator = np.random.default_rng(0)
    labels, images = generator.integers(0, 4, N), generator.random(N)

    def trained(accuracy, first_seed):
        return [answers(labels, accuracy, seed=first_seed + k, images=images) for k in range(3)]

    return labels, trained


def test_a_worse_change_is_told_from_equal_ones(made):
    labels, trained = made
    after = [trained(0.90, 10), trained(0.85, 20), trained(0.90, 30)]
    equal, worse, _ = paired_effects(
        trained(0.90, 0), after, labels, "accuracy", is_larger_better=True
    )
    assert equal.low < 0 < equal.high
    assert worse.high < 0
    assert worse.low < -0.05 < worse.high


def test_a_loss_that_falls_is_an_improvement(made):
    labels, trained = made
    (better,) = paired_effects(
        trained(0.85, 0), [trained(0.95, 10)], labels, "log_loss", is_larger_better=False
    )
    assert better.low > 0


def test_more_comparisons_make_wider_intervals(made):
    labels, trained = made
    before, after = trained(0.9, 0), [trained(0.88, 10 * k) for k in range(1, 9)]
    few = paired_effects(before, after[:4], labels, "accuracy", is_larger_better=True)[0]
    many = paired_effects(before, after[:4] * 8, labels, "accuracy", is_larger_better=True)[0]
    assert many.high - many.low > few.high - few.low


def test_one_wild_change_leaves_the_others_their_intervals(made):
    labels, trained = made
    tame = [trained(0.9, 10 * k) for k in range(1, 6)]
    wild = [trained(a, 90)[0] for a in (0.2, 0.9, 0.5)]
    before = trained(0.9, 0)
    alone = paired_effects(before, tame, labels, "accuracy", is_larger_better=True)[0]
    beside = paired_effects(before, [*tame, wild], labels, "accuracy", is_larger_better=True)
    assert beside[0].high - beside[0].low < 1.5 * (alone.high - alone.low)
    # Of its own three seeds: Student's t of 2 degrees of freedom, 0.4% on either side, is 11.
    spread = np.std([0.2 - 0.9, 0.0, 0.5 - 0.9], ddof=1)
    assert beside[-1].high - beside[-1].low > 2 * 10 * spread / 3**0.5


def test_pairs_must_be_complete(made):
    labels, trained = made
    with pytest.raises(ValueError, match="equally many trainings"):
        paired_effects(
            trained(0.9, 0), [trained(0.9, 1)[:2]], labels, "accuracy", is_larger_better=True
        )


def test_what_a_change_does_can_depend_on_another(made):
    labels, trained = made
    accuracies = {"plain": 0.70, "with it": 0.85, "other": 0.85, "other with it": 0.86}
    answers = {name: trained(a, 10 * k) for k, (name, a) in enumerate(accuracies.items())}
    difference = {"with it": 1.0, "plain": -1.0, "other with it": -1.0, "other": 1.0}
    (found,) = contrasts(answers, [difference], labels, "accuracy", is_larger_better=True)
    assert found.low > 0
    assert found.value == pytest.approx(0.14, abs=0.02)
