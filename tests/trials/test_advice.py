"""A diagnosis in words: the right sentence for made cases."""

from dataclasses import replace

import pytest

from pipeline.files import write_json
from pipeline.trials.advice import advice_of
from pipeline.trials.bounds import BoundRecord
from pipeline.trials.diagnosis import (
    SizeRecord,
    diagnosis_of,
    write_diagnosis,
)
from pipeline.trials.effects import AblationRecord, ChangeRecord
from pipeline.workspace import diagnosis_file
from testing.diagnoses import made_diagnosis, made_more_data


@pytest.mark.parametrize(
    ("probability", "begins"),
    [(0.95, "Yes, gather more data"), (0.05, "No, more data"), (0.5, "It is not clear")],
)
def test_the_answer_follows_from_how_likely_a_worthwhile_gain_is(probability, begins):
    sentence = advice_of(made_diagnosis(more_data=made_more_data(probability))).more_data
    assert sentence.startswith(begins)
    assert "twice the 50,000 training images" in sentence
    assert "from 5.0% to 4.5% (95% interval 4.3% to 4.7%)" in sentence
    assert "about 160,000 images (120,000 to more than ten times as many)" in sentence
    assert "do not rely" not in sentence


def test_no_mistake_is_no_poor_fit():
    found = advice_of(made_diagnosis(error=0.0, low=0.0, high=0.001, epoch_error=0.002))
    assert found.limits.startswith("Nothing shows what limits it: it makes no mistake on the 5,000")
    assert found.next_step.startswith("Judge it on harder images")


def test_a_curve_that_did_not_foretell_its_end_is_not_to_be_relied_on():
    made = made_more_data(0.95, foretold=(0.06, 0.07))
    assert made.was_right is False
    assert advice_of(made_diagnosis(more_data=made)).more_data.endswith("do not rely on it.")


@pytest.mark.parametrize(
    ("told", "limit"),
    [
        (dict(epoch_error=0.01), "gap"),
        # With dropout; without, on half of the images, it errs less.
        (dict(epoch_error=0.04, sizes=[SizeRecord(num_images=25_000, errors=[0.06],
                                                  train_errors=[0.01])]), "unclear"),
        (dict(epoch_error=0.05, sizes=[SizeRecord(num_images=25_000, errors=[0.06],
                                                  train_errors=[0.04])]), "fit"),
        (dict(epoch_error=0.04, sizes=[SizeRecord(num_images=50_000, errors=[0.05],
                                                  train_errors=[0.01])]), "gap"),
        (dict(epoch_error=None), "unclear"),
    ],
)  # fmt: skip
def test_what_limits_is_told_from_both_errors(told, limit):
    assert made_diagnosis(**told).limit == limit


def test_fit_comes_before_more_data():
    sizes = [SizeRecord(num_images=50_000, errors=[0.05], train_errors=[0.04])]
    found = advice_of(made_diagnosis(sizes=sizes, more_data=made_more_data(0.95)))
    assert found.limits.startswith("It is limited by its fit: its error is 4.0% on training")
    assert found.next_step.startswith("Let it fit more first")


def test_a_change_that_is_better_comes_first_and_ends_of_ranges_follow():
    change = ChangeRecord(
        name="units", chosen=64, value=128, source="default", effect=0.012, low=0.004, high=0.02
    )
    ablation = AblationRecord(share=1 / 9, num_seeds=3, changes=[change], num_left=0)
    bound = BoundRecord(name="dropout_rate", value=0.49, side="high", bound=0.5)
    found = made_diagnosis(ablation=ablation, bounds=[bound], more_data=made_more_data(0.01))
    assert advice_of(found).next_step.startswith(
        "Try units = 128 instead of 64: alone it is better"
    )
    assert "by 1/9 trainings" in advice_of(found).next_step
    without = advice_of(replace(found, ablation=None)).next_step
    assert without.endswith(
        "Search dropout_rate beyond 0.5 (it has 0.49): there the winner lies at the end of the "
        "space."
    )


def test_without_trainings_it_says_why_nothing_is_said():
    assert "diagnose.time is none" in advice_of(made_diagnosis(seconds=None)).more_data
    assert "90 s" in advice_of(made_diagnosis()).more_data


def test_a_log_loss_is_no_share():
    found = made_diagnosis(objective="val_log_loss", error=0.31, epoch_error=0.05)
    assert "its log loss is 0.0000 to 0.0500 on training images and 0.3100 on new" in (
        advice_of(found).limits
    )


def test_a_diagnosis_comes_back_as_it_was_written(tmp_path):
    change = ChangeRecord(
        name="units", chosen=64, value=128, source="default", effect=None, low=None, high=None
    )
    record = made_diagnosis(
        sizes=[SizeRecord(num_images=5, errors=[0.1, 0.2], train_errors=None)],
        more_data=made_more_data(0.5),
        ablation=AblationRecord(share=1.0, num_seeds=2, changes=[change], num_left=3),
        bounds=[BoundRecord(name="units", value=64.0, side="high", bound=64.0)],
    )
    write_diagnosis(tmp_path, record)
    assert diagnosis_of(tmp_path, "tiny") == record


def test_a_key_of_a_later_release_is_left_out(tmp_path):
    content = {**made_diagnosis().to_json(), "later": 1}
    write_json(diagnosis_file(tmp_path, "tiny"), content)
    assert diagnosis_of(tmp_path, "tiny") == made_diagnosis(sizes=[], bounds=[])


def test_a_change_that_diverged_is_told_from_one_that_was_not_trained():
    told = {"name": "learning_rate", "chosen": 0.01, "value": 100.0, "source": "default"}
    change = ChangeRecord(**told, effect=None, low=None, high=None)
    assert change.verdict == "not trained"
    assert replace(change, is_diverged=True).verdict == "diverged"
