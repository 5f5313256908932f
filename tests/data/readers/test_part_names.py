"""What folder names say about parts, and what they do not."""

import pytest

from pipeline.data.readers.part_names import claim_of, is_unlabelled


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *((name, "train") for name in ("train", "Training_Set", "seg_train", "train-images")),
        *((name, "train") for name in ("TrainSet", "images.train", "train2017", "traindata")),
        *((name, "train") for name in ("trainval", "train_val", "TRAIN", "my.train")),
        *((name, "val") for name in ("valid", "Validation", "dev", "val_images", "DEV-set")),
        *((name, "test") for name in ("test1", "Test Set", "testing", "hold-out", "test_set")),
        ("evaluation", "evaluation"),
    ],
)
def test_a_part_is_read_out_of_its_usual_spellings(name, part):
    claim = claim_of(name)
    assert (claim.part, claim.rest) == (part, ())


@pytest.mark.parametrize("name", ["bullet_train", "test tube", "dev_board", "flowers_train"])
def test_a_word_that_may_be_of_a_class_makes_it_uncertain(name):
    assert claim_of(name).rest


@pytest.mark.parametrize(
    "name", ["trainer", "contest", "latest", "valley", "cat", "train_test", ""]
)
def test_other_names_say_no_part(name):
    assert claim_of(name) is None


def test_folders_without_labels_have_names_too():
    assert is_unlabelled("seg_pred")
    assert is_unlabelled(["test", "unlabelled"][1])
    assert not is_unlabelled("cat")
