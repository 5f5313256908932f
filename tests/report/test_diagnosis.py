"""The diagnosis on the page."""

import json
from dataclasses import replace

from pipeline.report.diagnosis import view_diagnosis
from pipeline.report.page import render
from pipeline.trials.bounds import BoundRecord
from pipeline.trials.diagnosis import SizeRecord
from pipeline.trials.effects import (
    AblationRecord,
    ChangeRecord,
    ImportanceRecord,
    ImportancesRecord,
    RandomRecord,
)
from tests.trials.test_advice import made_diagnosis, made_more_data

CHANGES = [
    ChangeRecord(name="units", chosen=64, value=128, source="default", effect=-0.012, low=-0.02,
                 high=-0.004),
    ChangeRecord(name="<b>", chosen="relu", value="elu", source="runner-up", effect=None, low=None,
                 high=None),
]  # fmt: skip
FOUND = [
    ImportanceRecord(name="learning_rate", share=0.7, noise=0.2, score=5.0, num_trials=33),
    ImportanceRecord(name="clipping_threshold", share=0.1, noise=0.2, score=0.4, num_trials=12),
]


def whole_diagnosis():
    sizes = [
        SizeRecord(num_images=12_500, errors=[0.08, 0.082], train_errors=[0.001, 0.002]),
        SizeRecord(num_images=25_000, errors=[0.06], train_errors=[0.004]),
        SizeRecord(num_images=50_000, errors=[0.05, 0.05], train_errors=None),
    ]
    return made_diagnosis(
        sizes=sizes,
        more_data=made_more_data(0.95),
        importances=ImportancesRecord(
            found=FOUND, share=1 / 27, num_trials=33, num_worst=3, num_best=5, agreement=0.42,
            num_agreement=16,
        ),
        ablation=AblationRecord(share=1 / 9, num_seeds=3, changes=CHANGES, num_left=2),
        bounds=[BoundRecord(name="units", value=250, side="high", bound=256)],
        num_duplicates=4,
        random=RandomRecord(count=9, random=0.9, sampled=0.93),
    )  # fmt: skip


def test_all_that_was_found_is_on_the_page(lean):
    study = replace(lean.studies[0], diagnosis=whole_diagnosis())
    page = render(replace(lean, studies=[study]))
    for text in (
        "Yes, gather more data",
        "Checked: from 25,000 images and fewer, 5.0% was foretold for 50,000",
        "could be chance",
        "1/27 trainings, 3 of them pruned or diverged",
        "For 2 more changes there was no time",
        "Against chance: the best of 9 configurations",
        "4 trials were given the result of an equal one",
        "-1.20",
    ):
        assert text in page
    assert "<b>" not in page


def test_the_page_is_whole_without_a_diagnosis(lean):
    assert lean.studies[0].diagnosis is None
    assert "What limits it, and what" not in render(lean)


def test_a_diagnosis_that_trained_nothing_shows_no_curve():
    shown = view_diagnosis("tiny", made_diagnosis(seconds=None, sizes=[]))
    assert shown["curve"] is None
    assert shown["ablation"] == []
    assert "diagnose.time is none" in shown["sentences"][1]


def test_rows_say_what_their_intervals_say():
    shown = view_diagnosis("tiny", whole_diagnosis())
    assert [row[-1] for row in shown["ablation"]] == ["worse", "not trained"]
    assert [row[-1] for row in shown["importances"]] == ["decided", "could be chance"]


def test_the_same_diagnosis_gives_the_same_section():
    first, second = (view_diagnosis("tiny", whole_diagnosis()) for _ in range(2))
    assert json.dumps(first) == json.dumps(second)
