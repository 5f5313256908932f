"""AdaBoost's weights and votes are scikit-learn's, on the same weak learners."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.ensemble import AdaBoostClassifier
from sklearn.tree import DecisionTreeClassifier

from pipeline.training.boosting import (
    Boosting,
    samme,
    samme_r,
    sum_of_logs,
    vote_in_keras,
    vote_of,
)

NUM_ROUNDS = 8


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    return images, labels.astype(np.int64)


def learner():
    return DecisionTreeClassifier(max_depth=2, random_state=0)


def test_weights_votes_and_answers_are_those_of_scikit_learn(digits):
    images, labels = digits
    theirs = AdaBoostClassifier(learner(), n_estimators=NUM_ROUNDS).fit(images, labels)
    ours = Boosting(labels, samme)
    for fitted in theirs.estimators_:
        again = learner().set_params(random_state=fitted.random_state)
        again.fit(images, labels, sample_weight=ours.weights)
        answers = again.predict_proba(images)
        np.testing.assert_allclose(answers, fitted.predict_proba(images), atol=1e-9)
        ours.add(answers, answers)
    votes = [one.vote for one in ours.rounds]
    np.testing.assert_allclose(votes, theirs.estimator_weights_, atol=1e-6)
    np.testing.assert_allclose([r.error for r in ours.rounds], theirs.estimator_errors_, atol=1e-6)
    classes = vote_of(ours.answers, votes).argmax(axis=1)
    assert (classes == theirs.predict(images)).mean() > 0.999


def test_with_probabilities_a_sure_mistake_weighs_most():
    labels = np.array([0, 0, 1])
    answers = np.array([[0.99, 0.01], [0.01, 0.99], [0.4, 0.6]])
    one = samme_r(answers, labels, np.full(3, 1 / 3))
    assert one.weights.argmax() == 1
    # Two classes: exp(-y log(p / (1 - p)) / 2) times as much as before.
    expected = np.array([99**-0.5, 99**0.5, 1.5**-0.5])
    np.testing.assert_allclose(one.weights, expected / expected.sum(), atol=1e-9)


@pytest.mark.parametrize("rule", [samme, samme_r])
def test_a_learner_that_is_no_better_than_chance_ends_it(rule):
    run = Boosting(np.array([0, 1, 2, 0, 1, 2]), rule)
    wrong, right = (np.eye(3)[places] * 0.9 + 0.03 for places in ([1, 2, 0] * 2, [0, 1, 2] * 2))
    run.add(right, right)
    assert not run.is_over
    run.add(wrong, wrong)
    assert run.is_over
    assert len(run.rounds) == len(run.answers) == 1


def test_a_first_learner_answers_however_bad_it_is():
    run = Boosting(np.array([0, 1, 2]), samme)
    answers = np.eye(3)[[1, 2, 0]]
    run.add(answers, answers)
    assert run.is_over
    assert (vote_of(run.answers, [one.vote for one in run.rounds]) == answers).all()


def test_the_sum_of_logs_of_one_learner_is_what_it_says():
    answers = np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
    np.testing.assert_allclose(sum_of_logs([answers]), answers, atol=1e-12)


@pytest.mark.keras
@pytest.mark.parametrize("count", [1, 3])
def test_an_exported_file_of_images_votes_as_the_learners_do(tmp_path, hyperparameters, count):
    from pipeline.training.export import Member, export, load_exported, predict_probabilities
    from pipeline.training.head import build_head

    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    values = hyperparameters(num_layers=1, units=8, feature_scaling="unit")
    heads = [
        build_head((8, 8, 1), 3, values, mean=[0.0], variance=[1.0], seed=seed)
        for seed in range(count)
    ]
    answers = [np.asarray(one(images[..., None].astype(np.float32))) for one in heads]
    votes = [2.0, 0.5, 1.2][:count]
    export(
        tmp_path / "boosted.keras",
        [Member(trained=one) for one in heads],
        image_shape=(8, 8),
        vote=vote_in_keras(votes),
    )
    found = predict_probabilities(load_exported(tmp_path / "boosted.keras"), images)
    np.testing.assert_allclose(found, vote_of(answers, votes), atol=1e-5)
