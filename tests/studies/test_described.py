"""What `auto` in the section `search` means for a study follows from the plan and the data."""

import pytest

from pipeline.errors import ConfigError
from pipeline.files import write_json
from pipeline.plan_record import PLAN_FILE
from pipeline.search.sections import SearchParams
from pipeline.search.space import SearchSpace
from pipeline.studies.described import settled_search
from testing.split import split_record


@pytest.fixture
def settled(params_document, tmp_path):
    """From the base of a study, on 30,000 images of two classes, to its epochs and rungs."""
    search = SearchParams.model_validate(params_document["search"])
    split = split_record(per_class=(15_000, 15_000))

    def settle(base, views="all"):
        space = SearchSpace({}, {**params_document["defaults"], "views": views})
        found = settled_search(search, base, space, split, root=tmp_path)
        return found.num_epochs, found.num_rungs

    return settle


def test_views_are_images_that_a_rung_sees_where_trials_train_on_them(settled, tmp_path):
    epochs = {"mirrored": 5, "plain": 5}
    write_json(tmp_path / PLAN_FILE, {"epochs": epochs, "views": {"mirrored": 1, "plain": 0}})
    # 27 times 8,192 images are 221,184: five epochs over 60,000 rows see more, over 30,000 fewer.
    assert settled("mirrored") == (5, 4)
    assert settled("plain") == settled("mirrored", views="none") == (5, 3)
    assert settled("none") == (10, 4)


def test_without_a_plan_nothing_is_known_of_a_base(settled):
    with pytest.raises(ConfigError, match="Run the stage `plan` first"):
        settled("mirrored")
