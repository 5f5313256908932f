"""What the page says of the data, and that it shows every picture."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import DataIntegrityError
from pipeline.report.page import render
from pipeline.report.review import read_review, view_review
from pipeline.review.pictures import make_tile, write_tiles
from pipeline.review.record import (
    TILES,
    ConfusedPair,
    DuplicatePair,
    ReviewedImage,
    ReviewRecord,
    write_review,
)

NAMES = ("a<b", "wave", "ring")


def image(index, label, likely, *, part="train", file=None):
    return ReviewedImage(
        index=index,
        file=file,
        part=part,
        label=label,
        likely=likely,
        confidence=0.0004,
        likely_confidence=0.9996,
    )


RECORD = ReviewRecord(
    source="block4_add of auto",
    num_images=1000,
    accuracy=0.9,
    num_suspicious=30,
    suspicious=[image(7, 0, 1, file="a<b/7.png")],
    num_pairs=3,
    num_contradictory=1,
    num_across=2,
    share_across=0.01,
    pairs=[
        DuplicatePair(
            first=image(7, 0, 1),
            second=image(9, 1, 2, part="val"),
            similarity=0.97,
            is_mirrored=True,
        )
    ],
    confused=[ConfusedPair(label=1, predicted=2, count=40, share=0.1, examples=[image(11, 1, 2)])],
)


@pytest.fixture
def written(tmp_path):
    write_review(RECORD, tmp_path)
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    write_tiles({one.index: make_tile(pixels) for one in RECORD.shown()}, tmp_path / TILES)
    return tmp_path


def test_the_page_shows_labels_pairs_and_confusions_with_their_pictures(written, lean):
    page = render(replace(lean, review=read_review(written)))
    section = page[page.index('<section id="review">') : page.index('<section id="lineage">')]
    assert section.count('src="data:image/png;base64,') == 4
    for text in ("They call 30 labels suspicious", "99.9%", "a&lt;b/7.png, train", "two labels"):
        assert text in section
    assert "train and val, mirrored" in section
    assert "1.0% of the validation and confirmation images" in section
    assert '<a href="#review">' in page


def test_a_checkout_without_the_stage_has_no_such_section(tmp_path, lean):
    assert read_review(tmp_path) is None
    assert view_review(None, NAMES) is None
    assert 'href="#review"' not in render(lean)


def test_a_missing_picture_is_named(written):
    next((written / TILES).glob("9.*")).unlink()
    with pytest.raises(DataIntegrityError, match=r"none of 9\. Run `dvc repro -f review`"):
        read_review(written)


def test_images_too_many_to_compare_are_said_to_be(written):
    view = view_review(replace(read_review(written), record=replace(RECORD, num_pairs=None)), NAMES)
    assert "were not looked for" in view["sentences"][-1]
