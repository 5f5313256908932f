"""Claims are judged by trainings in pairs, on answers whose truth is known."""

import numpy as np
import pytest

from pipeline.lectures.compare import compare
from pipeline.lectures.comparison import Comparison, Variant
from pipeline.lectures.demonstration import Ground
from pipeline.lectures.variants import better, more
from pipeline.lectures.words import lines
from pipeline.search.executors.local import LocalExecutor
from pipeline.training.data import DataReference
from tests.lectures.training_double import train

N = 2000


def at(share, **changes):
    """A variant that gets this share of the images right."""
    return Variant(changes={"dropout_rate": share, "learning_rate": 0.001, **changes})


@pytest.fixture
def found(tmp_path, params_document):
    """Compares variants of known accuracy, and returns what was found of some claims."""
    labels = np.arange(N) % 3
    rows = {part: np.arange(N) for part in ("train", "val", "confirmation")}
    np.savez(tmp_path / "train.npz", labels=labels, **rows)
    data = DataReference(features=str(tmp_path), train_file=str(tmp_path / "train.npz"))
    ground = Ground(
        data={"none": data},
        cuts={"none": "pixels"},
        defaults=params_document["defaults"],
        folder=tmp_path,
        num_seeds=3,
        num_train=N,
    )

    def run(variants, *claims, **told):
        comparison = Comparison(
            **{"name": "made", "heading": "Made", "question": "Is it so?", "epochs": 2},
            **{"variants": variants, "claims": claims, **told},
        )
        with LocalExecutor(2, train=train) as executor:
            return compare(comparison, ground, executor)

    return run


def test_a_claim_holds_does_not_or_cannot_be_told(found):
    variants = {"good": at(0.8), "bad": at(0.6), "same": at(0.8)}
    claims = [better("good", "bad"), better("bad", "good"), better("good", "same")]
    judged = found(variants, *claims).judged
    assert [one.answer for one in judged] == ["held", "did not hold", "cannot be told"]
    assert judged[0].effect.value == pytest.approx(0.2, abs=0.01)


def test_a_difference_of_differences_is_judged(found):
    variants = {"a, 1": at(0.9), "a, 0": at(0.6), "b, 1": at(0.7), "b, 0": at(0.6)}
    (one,) = found(variants, more("more", ("a, 1", "a, 0"), ("b, 1", "b, 0"))).judged
    assert one.answer == "held"
    assert one.effect.value == pytest.approx(0.2, abs=0.01)


def test_each_variant_has_its_best_rate(found):
    variants = {"good": Variant(changes={"dropout_rate": 0.8})}
    variants["bad"] = Variant(changes={"dropout_rate": 0.7})
    findings = found(variants, better("good", "bad"), rates=(40.0, 10.0, 20.0))
    assert {one.rate for one in findings.reached.values()} == {10.0}
    assert np.mean(findings.reached["good"].values) == pytest.approx(0.7, abs=0.02)


def test_one_that_diverges_answers_all_classes_alike(found):
    findings = found(
        {"good": at(0.8), "gone": at(0.8, learning_rate=100.0)}, better("good", "gone")
    )
    assert findings.reached["gone"].num_diverged == 3
    assert findings.reached["gone"].values == [pytest.approx(1 / 3, abs=0.001)] * 3
    assert findings.judged[0].answer == "held"
    assert any("3 diverged" in line for line in lines(findings))


def test_what_a_variant_reached_is_told_by_update_and_by_second(found):
    findings = found({"good": at(0.8), "bad": at(0.6)}, better("good", "bad"))
    good = findings.reached["good"]
    assert good.updates == [7, 14]
    assert good.elapsed == [0.25, 0.5]
    assert [len(one) for one in good.losses] == [2, 2, 2]
    assert good.losses[0][0] > good.losses[0][-1] > 0


def test_the_table_says_what_was_found(found):
    text = "\n".join(lines(found({"good": at(0.8), "bad": at(0.6)}, better("good", "bad"))))
    assert "3 seeds, 2,000 training images, judged on 2,000 others" in text
    assert "good better than bad" in text
    assert "held" in text
