"""Splits are disjoint, complete, stratified, repeatable, and no image is on two sides."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from pipeline.data.labelled import LabelledImages, undivided
from pipeline.data.parts import auto_size
from pipeline.data.pool import content_ids
from pipeline.data.split_params import SplitParams
from pipeline.data.splits import SPLIT_PARTS, divide
from pipeline.errors import ConfigError, DataIntegrityError

# Unchecked, since the lecture's split has no confirmation part.
params_of = SplitParams.model_construct
PARAMS = params_of(method="stratified", val_size=20, confirmation_size=0.1, test_size=0.2, seed=1)


def changed(params, **changes):
    return params.model_copy(update=changes)


def distinct_images(number):
    """Images that differ, since each is its own number."""
    return np.arange(number, dtype="<u4").view(np.uint8).reshape(number, 2, 2)


def dataset(labels, *, copies=(), parts=None):
    """Builds a dataset; `copies` are pairs (of, at): image `at` repeats image `of`."""
    labels = np.asarray(labels, np.int64)
    images = distinct_images(len(labels)).copy()
    for of, at in copies:
        images[at] = images[of]
    return LabelledImages(
        images=images,
        labels=labels,
        parts=undivided(len(labels)) if parts is None else np.asarray(parts),
        class_names=tuple(f"class {c}" for c in range(labels.max() + 1)),
    )


def parts_of(split):
    return {part: getattr(split, part) for part in SPLIT_PARTS}


SIZES = st.one_of(st.just("auto"), st.integers(4, 25), st.floats(0.05, 0.35))


@st.composite
def datasets(draw):
    counts = draw(st.lists(st.integers(12, 60), min_size=2, max_size=4))
    labels = np.repeat(np.arange(len(counts)), counts)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    random.shuffle(labels)
    number = len(labels)
    copies = random.integers(0, number, (draw(st.integers(0, 30)), 2))
    own = draw(st.sampled_from([("train",), ("train", "test"), ("train", "val", "test")]))
    shares = {1: [1.0], 2: [0.8, 0.2], 3: [0.7, 0.15, 0.15]}[len(own)]
    return dataset(labels, copies=copies, parts=random.choice(own, number, p=shares))


@st.composite
def sections(draw):
    return params_of(
        method="stratified",
        val_size=draw(SIZES),
        confirmation_size=draw(SIZES),
        test_size=draw(SIZES),
        seed=draw(st.integers(0, 1000)),
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=datasets(), params=sections())
def test_every_split_keeps_its_promises(data, params):
    try:
        split = divide(data, params)
    except (ConfigError, DataIntegrityError):
        assume(False)
    parts = parts_of(split)
    together = np.concatenate(list(parts.values()))
    assert len(np.unique(together)) == len(together), "disjoint"
    left_out = sum(n for kind, n in split.duplicates.items() if kind.startswith("left_out"))
    assert len(together) + left_out == len(data.labels), "complete, but for what is counted"
    ids = content_ids(data.images)
    contents = [set(ids[indices]) for indices in parts.values()]
    assert len(set().union(*contents)) == sum(map(len, contents)), "no image on two sides"
    assert set().union(*contents) == set(ids), "no image lost altogether"
    for indices in parts.values():
        assert indices.dtype == np.int64
        assert (np.diff(indices) > 0).all(), "sorted"
        assert set(data.labels[indices]) == set(range(len(data.class_names))), "every class"
    if "test" in data.parts:
        np.testing.assert_array_equal(split.test, np.flatnonzero(data.parts == "test"))
    elif isinstance(params.test_size, int):
        assert len(split.test) == params.test_size
    if "val" not in data.parts and isinstance(params.val_size, int):
        assert len(split.val) == params.val_size
    if isinstance(params.confirmation_size, int):
        assert len(split.confirmation) == params.confirmation_size


@settings(max_examples=100, deadline=None)
@given(
    counts=st.lists(st.integers(40, 60), min_size=2, max_size=5),
    seed=st.integers(0, 1000),
    sizes=st.tuples(*[st.integers(12, 20)] * 3),
)
def test_each_part_has_each_class_by_its_share_within_one_image(counts, seed, sizes):
    data = dataset(np.repeat(np.arange(len(counts)), counts))
    params = params_of(
        method="stratified",
        **dict(zip(("test_size", "val_size", "confirmation_size"), sizes, strict=True)),
        seed=seed,
    )
    split = divide(data, params)
    left = np.array(counts)
    for part in ("test", "val", "confirmation"):
        indices = getattr(split, part)
        drawn = np.bincount(data.labels[indices], minlength=len(counts))
        assert np.abs(drawn - len(indices) * left / left.sum()).max() < 1
        left = left - drawn


def test_the_same_seed_gives_the_same_split_and_another_one_another():
    data = dataset(np.arange(300) % 3)
    first, again, other = (parts_of(divide(data, changed(PARAMS, seed=seed))) for seed in (7, 7, 8))
    for part in SPLIT_PARTS:
        np.testing.assert_array_equal(first[part], again[part])
        assert not np.array_equal(first[part], other[part])


def test_a_share_of_test_is_of_the_whole_and_the_others_of_the_rest():
    split = divide(dataset(np.arange(1000) % 2), changed(PARAMS, val_size=0.5, test_size=0.2))
    assert [len(indices) for indices in parts_of(split).values()] == [320, 400, 80, 200]


def test_the_dataset_s_own_parts_are_kept():
    parts = np.array(["train", "train", "train", "val", "test"] * 60)
    data = dataset(np.arange(300) % 2, parts=parts)
    split = divide(data, PARAMS)
    np.testing.assert_array_equal(split.val, np.flatnonzero(parts == "val"))
    np.testing.assert_array_equal(split.test, np.flatnonzero(parts == "test"))
    assert len(split.confirmation) == 24  # A tenth of all but test.


def test_an_own_val_part_stays_whole_where_test_is_drawn():
    parts = np.array(["train"] * 200 + ["val"] * 50)
    split = divide(dataset(np.arange(250) % 2, parts=parts), PARAMS)
    np.testing.assert_array_equal(split.val, np.arange(200, 250))
    assert len(split.test) == 50
    assert split.test.max() < 200


class TestIdenticalImages:
    def test_what_the_published_test_part_has_leaves_the_pool(self):
        parts = ["test"] * 20 + ["train"] * 180
        data = dataset(
            np.arange(200) % 2, copies=[(0, 100), (0, 102), (1, 101), (2, 4)], parts=parts
        )
        split = divide(data, PARAMS)
        assert split.test.tolist() == list(range(20))
        together = np.concatenate([split.train, split.val, split.confirmation])
        assert set(range(20, 200)) - set(together) == {100, 101, 102}
        assert split.duplicates["left_out_as_in_test"] == 3
        assert split.duplicates["copies_within_test"] == 1

    def test_what_an_own_val_part_has_leaves_train(self):
        parts = ["train"] * 150 + ["val"] * 30 + ["test"] * 20
        data = dataset(np.arange(200) % 2, copies=[(150, 0), (151, 1)], parts=parts)
        split = divide(data, PARAMS)
        assert split.val.tolist() == list(range(150, 180))
        assert split.duplicates["left_out_as_in_val"] == 2
        assert not {0, 1} & set(split.train)

    def test_copies_go_to_train_together_or_are_left_out_together(self):
        data = dataset(np.arange(400) % 2, copies=[(0, at) for at in range(2, 100, 2)])
        in_train = set()
        for seed in range(12):
            counts = divide(data, changed(PARAMS, seed=seed)).duplicates
            assert (
                counts["copies_within_train"]
                + sum(number for kind, number in counts.items() if kind.startswith("left_out"))
                == 49
            )
            in_train.add(counts["copies_within_train"])
        assert in_train == {0, 49}

    def test_a_drawn_part_takes_each_image_once_at_its_exact_size(self):
        # Every image twice: whatever is drawn leaves a copy behind.
        data = dataset(np.arange(400) % 2, copies=[(at, at + 200) for at in range(200)])
        split = divide(data, changed(PARAMS, test_size=30, val_size=20, confirmation_size=10))
        assert split.duplicates == {
            "left_out_as_in_test": 30,
            "left_out_as_in_val": 20,
            "left_out_as_in_confirmation": 10,
            "copies_within_test": 0,
            "copies_within_val": 0,
            "copies_within_confirmation": 0,
            "copies_within_train": 140,
            "with_conflicting_labels": 0,
            "near_copies_left_out_as_in_test": 0,
            "near_copies_left_out_as_in_val": 0,
            "near_copies_left_out_as_in_confirmation": 0,
            "near_copies_within_test": 0,
            "near_copies_within_val": 0,
            "near_copies_within_confirmation": 0,
            "near_copies_within_train": 0,
            "near_copies_with_conflicting_labels": 0,
        }

    def test_conflicting_labels_are_counted_and_allowed(self):
        data = dataset(np.arange(200) % 2, copies=[(0, 1), (0, 3), (10, 12), (20, 21)])
        assert divide(data, PARAMS).duplicates["with_conflicting_labels"] == 2


class TestNearCopies:
    NUMBER = 240

    def data(self, *, copies=(), parts=None, seed=0):
        """Pictures that differ; image `at` is a darker copy of image `of` for each pair."""
        random = np.random.default_rng(seed)
        coarse = random.integers(40, 216, (self.NUMBER, 8, 8), np.uint8)
        images = coarse.repeat(3, axis=1).repeat(3, axis=2)
        for of, at in copies:
            images[at] = np.round(0.95 * images[of])
            images[at, 0, 0] = at % 251  # Copies of one image are no equal ones.
        labels = np.arange(self.NUMBER) % 2
        return replace(dataset(labels, parts=parts), images=images)

    @pytest.mark.parametrize("own", [("train",), ("train", "test"), ("train", "val", "test")])
    @pytest.mark.parametrize("seed", range(8))
    def test_no_near_copy_is_on_two_sides_and_all_are_counted(self, own, seed):
        random = np.random.default_rng(seed)
        of = random.permutation(self.NUMBER)[:90].reshape(3, 30)
        copies = [*zip(of[0], of[1], strict=True), *zip(of[0], of[2], strict=True)]
        shares = {1: [1.0], 2: [0.8, 0.2], 3: [0.7, 0.15, 0.15]}[len(own)]
        parts = random.choice(own, self.NUMBER, p=shares)
        data = self.data(copies=copies, parts=parts, seed=seed)
        split = divide(data, changed(PARAMS, test_size=30, seed=seed))
        side = np.full(self.NUMBER, "none", "<U12")
        for part, indices in parts_of(split).items():
            side[indices] = part
        for group in of.T:
            assert len(set(side[group]) - {"none"}) == 1
        left_out = sum(n for kind, n in split.duplicates.items() if "left_out" in kind)
        assert left_out == np.sum(side == "none") > 0
        if "test" in own:
            np.testing.assert_array_equal(split.test, np.flatnonzero(parts == "test"))
        if "val" not in own:
            assert len(split.val) == 20
            assert split.duplicates["near_copies_within_val"] == 0

    def test_a_draw_changes_by_what_must_not_be_in_it_alone(self):
        parts = np.array(["test"] * 40 + ["train"] * 200)
        without = divide(self.data(parts=parts), PARAMS)
        copies = [(0, without.val[0]), (1, without.val[1]), (2, without.confirmation[0])]
        split = divide(self.data(copies=copies, parts=parts), PARAMS)
        assert set(without.val) - set(split.val) == set(without.val[:2])
        assert set(without.confirmation) - set(split.confirmation) <= {
            without.confirmation[0],
            *split.val,
        }
        assert len(split.val) == len(without.val)
        assert len(split.confirmation) == len(without.confirmation)
        labels = np.arange(self.NUMBER) % 2
        assert labels[split.val].sum() == labels[without.val].sum()
        assert split.duplicates["near_copies_left_out_as_in_test"] == 3

    def test_exact_copies_of_a_near_copy_leave_with_it_and_each_is_counted_once(self):
        parts = np.array(["test"] * 40 + ["train"] * 200)
        data = self.data(copies=[(0, 100), (0, 102)], parts=parts)
        images = data.images.copy()
        images[104] = images[0]
        counts = divide(replace(data, images=images), PARAMS).duplicates
        assert counts["left_out_as_in_test"] == 1
        assert counts["near_copies_left_out_as_in_test"] == 2

    def test_near_copies_within_parts_and_of_other_labels_are_counted(self):
        parts = np.array(["test"] * 40 + ["train"] * 200)
        data = self.data(copies=[(0, 1), (2, 4), (2, 6), (100, 102)], parts=parts)
        counts = divide(data, PARAMS).duplicates
        assert counts["near_copies_within_test"] == 3
        assert counts["near_copies_with_conflicting_labels"] == 2
        assert counts["with_conflicting_labels"] == 0

    def test_a_chain_of_near_copies_leaves_out_direct_ones_only(self):
        # Each is 10 levels darker than the one before; 25 levels apart are no copies any more.
        parts = np.array(["test"] + ["train"] * 20 + ["test"] * 39 + ["train"] * 180)
        data = self.data(parts=parts)
        images = data.images.copy()
        images[:8] = np.clip(images[0], 80, 200) - 10 * np.arange(8)[:, None, None]
        split = divide(replace(data, images=images), PARAMS)
        assert split.duplicates["near_copies_left_out_as_in_test"] == 2
        others = np.concatenate([split.train, split.val, split.confirmation])
        assert {1, 2} & set(others) == set()

    def test_all_is_off_without_deduplication(self):
        parts = np.array(["test"] * 40 + ["train"] * 200)
        data = self.data(copies=[(0, 100), (3, 101)], parts=parts)
        split = divide(data, PARAMS, deduplicate=False)
        assert set(split.duplicates.values()) == {0}
        assert sum(map(len, parts_of(split).values())) == self.NUMBER

    def test_a_class_of_near_copies_alone_is_named(self):
        parts = np.array(["test"] * 40 + ["train"] * 200)
        copies = [(at % 40, at) for at in range(41, self.NUMBER, 2)]
        with pytest.raises(ConfigError, match=r"class 1 \(0\)"):
            divide(self.data(copies=copies, parts=parts), PARAMS)

    def test_a_class_with_too_few_images_to_replace_near_copies_is_named(self):
        parts = np.array(["test"] * 40 + ["train"] * 200)
        copies = [(at % 40, at) for at in range(41, self.NUMBER - 16, 2)]
        message = r"split\.val_size must leave enough .* Received: 40 images of class 1 for val, of"
        with pytest.raises(ConfigError, match=message):
            divide(self.data(copies=copies, parts=parts), changed(PARAMS, val_size=80))


AUTO = params_of(
    method="stratified", val_size="auto", confirmation_size="auto", test_size="auto", seed=1
)


class TestAuto:
    """Sizes that follow from the data: every class in every part, and train keeps most."""

    @settings(max_examples=150, deadline=None)
    @given(
        counts=st.lists(
            st.one_of(st.just(4), st.integers(4, 9), st.integers(4, 300)), min_size=2, max_size=60
        ),
        seed=st.integers(0, 1000),
    )
    @example(counts=[4, 4], seed=0)
    @example(counts=[4] * 60, seed=0)
    @example(counts=[300] * 30 + [4] * 30, seed=0)
    def test_four_images_of_a_class_are_enough_and_no_part_takes_more_than_its_share(
        self, counts, seed
    ):
        labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
        split = divide(dataset(labels), changed(AUTO, seed=seed))
        left = np.array(counts)
        for later, part in ((3, "test"), (2, "val"), (1, "confirmation")):
            if part in ("test", "val"):
                # One size for val and confirmation.
                number, _ = auto_size(left.sum(), num_distinct=left.sum(), num_classes=len(counts))
            drawn = np.bincount(labels[getattr(split, part)], minlength=len(counts))
            whole = np.floor(number * left / left.sum() + 1e-9)
            assert (drawn >= np.clip(whole, 1, left - later)).all(), "each class, by its share"
            assert (drawn <= np.maximum(whole + 1, 1)).all(), "within one image"
            assert number - len(counts) < drawn.sum() < number + len(counts)
            left = left - drawn
        in_train = np.bincount(labels[split.train], minlength=len(counts))
        np.testing.assert_array_equal(in_train, left)
        assert in_train.min() >= 1

    @pytest.mark.parametrize(
        ("num_images", "num_test", "expected"),
        [
            (70_000, 10_000, (50_000, 5000, 5000, 10_000)),  # Fashion-MNIST: as it has been.
            (60_000, 10_000, (40_000, 5000, 5000, 10_000)),  # CIFAR-10: likewise.
            (1797, 0, (1070, 229, 229, 269)),  # digits
            (1440, 0, (858, 183, 183, 216)),
            (200, 0, (120, 25, 25, 30)),
            (10_000, 0, (7200, 900, 900, 1000)),
        ],
    )
    def test_sizes(self, num_images, num_test, expected):
        parts = ["train"] * (num_images - num_test) + ["test"] * num_test
        split = divide(dataset(np.arange(num_images) % 10, parts=parts), AUTO)
        assert tuple(len(indices) for indices in parts_of(split).values()) == expected

    def test_of_cifar_10_s_many_images_it_is_the_usual_draw(self):
        # A few copies, as CIFAR-10 has them, change no size.
        copies = [(0, 50_100), (1, 2), (3, 40)]
        parts = ["train"] * 50_000 + ["test"] * 1000
        data = dataset(np.arange(51_000) % 10, copies=copies, parts=parts)
        auto = divide(data, AUTO)
        fixed = divide(data, changed(AUTO, val_size=5000, confirmation_size=5000))
        for part in SPLIT_PARTS:
            np.testing.assert_array_equal(getattr(auto, part), getattr(fixed, part))

    def test_the_reason_is_given_for_each_part_that_is_auto(self):
        split = divide(dataset(np.arange(1440) % 9), changed(AUTO, confirmation_size=100))
        assert split.reasons == {"test": "15% of 1440", "val": "15% of 1224"}
        assert len(split.confirmation) == 100

    def test_copies_count_once(self):
        data = dataset(np.arange(1000) % 2, copies=[(at % 200, at) for at in range(200, 1000)])
        split = divide(data, AUTO)
        assert [len(getattr(split, part)) for part in SPLIT_PARTS[1:]] == [25, 25, 30]

    def test_the_first_n_are_as_many(self):
        split = divide(dataset(np.arange(1000) % 2), changed(AUTO, method="first_n"))
        assert len(split.val) == 127
        assert split.val.max() < 160

    def test_the_same_seed_gives_the_same_split_and_another_one_another(self):
        data = dataset(np.arange(300) % 20)
        first, again, other = (
            parts_of(divide(data, changed(AUTO, seed=seed))) for seed in (7, 7, 8)
        )
        for part in SPLIT_PARTS:
            np.testing.assert_array_equal(first[part], again[part])
            assert not np.array_equal(first[part], other[part])

    @pytest.mark.parametrize("seed", range(6))
    def test_near_copies_in_a_small_class_leave_some_for_every_part(self, seed):
        # Four pictures of class 1, of which one was taken twelve times.
        random = np.random.default_rng(seed)
        coarse = random.integers(40, 216, (115, 8, 8), np.uint8)
        images = coarse.repeat(3, axis=1).repeat(3, axis=2)
        for at in range(104, 115):
            images[at] = np.round(0.95 * images[103])
            images[at, 0, 0] = at
        data = replace(dataset(np.repeat([0, 1], [100, 15])), images=images)
        split = divide(data, changed(AUTO, seed=seed))
        for indices in parts_of(split).values():
            assert set(data.labels[indices]) == {0, 1}

    def test_a_class_with_too_few_images_is_named_with_its_count(self):
        data = dataset([0, 1] * 50 + [2] * 3 + [3] * 5, copies=[(103, 104), (103, 105)])
        message = (
            r"at least 4 images that are no copies or near copies of others, one for each of test, "
            r"val, confirmation, train\. Received: too few of class 2 \(3\), class 3 \(3\)\. Add"
        )
        with pytest.raises(ConfigError, match=message):
            divide(data, AUTO)

    def test_a_confirmation_part_that_the_dataset_brings_is_not_drawn(self):
        """Whole patients, say: an image of it that test or val has, too, leaves it."""
        parts = np.array(["train"] * 60 + ["val"] * 20 + ["confirmation"] * 12 + ["test"] * 8)
        data = dataset([0, 1] * 50, parts=parts, copies=[(95, 80), (70, 81), (82, 5)])
        split = divide(data, AUTO)
        assert split.confirmation.tolist() == list(range(82, 92))
        assert split.train.tolist() == [n for n in range(60) if n != 5]
        assert (len(split.val), len(split.test)) == (20, 8)
        assert split.reasons == {}

    def test_a_part_that_is_a_copy_of_another_one_is_refused(self):
        parts = np.array(["train"] * 60 + ["val"] * 10 + ["confirmation"] * 10 + ["test"] * 20)
        data = dataset([0, 1] * 50, parts=parts, copies=[(60 + n, 70 + n) for n in range(10)])
        with pytest.raises(DataIntegrityError, match=r"confirmation, which .* images of its own"):
            divide(data, AUTO)

    def test_parts_that_the_dataset_brings_need_no_image_of_train(self):
        parts = ["train"] * 100 + ["val"] * 4 + ["test"] * 4 + ["train"] * 2
        data = dataset([0, 1] * 50 + [0, 0, 1, 2] * 2 + [2, 2], parts=parts)
        split = divide(data, AUTO)
        assert np.bincount(data.labels[split.confirmation]).tolist() == [8, 7, 1]
        with pytest.raises(ConfigError, match=r"each of confirmation, train\. Received: .*2 \(1\)"):
            divide(replace(data, parts=np.array([*parts[:-1], "test"])), AUTO)


class TestFirstN:
    LECTURE = params_of(
        method="first_n",
        val_size=50,
        confirmation_size=0,
        test_size=0.1,
        seed=0,
    )

    def test_the_first_images_are_val_and_all_others_train_copies_or_not(self):
        parts = ["train"] * 600 + ["test"] * 100
        data = dataset(np.arange(700) % 10, copies=[(0, 300), (1, 650), (5, 15)], parts=parts)
        split = divide(data, self.LECTURE, deduplicate=False)
        assert split.val.tolist() == list(range(50))
        assert split.train.tolist() == list(range(50, 600))
        assert split.confirmation.tolist() == []
        assert split.confirmation.dtype == np.int64
        assert set(split.duplicates.values()) == {0}

    def test_with_deduplication_copies_leave_train_and_confirmation_is_stratified(self):
        parts = ["test"] * 100 + ["train"] * 600
        data = dataset(np.arange(700) % 10, copies=[(101, 301), (0, 100)], parts=parts)
        params = changed(self.LECTURE, confirmation_size=100)
        split = divide(data, params)
        assert split.val.tolist() == list(range(101, 151)), "image 100 is in test"
        assert split.duplicates["left_out_as_in_val"] == 1
        assert len(split.confirmation) == 100
        counts = np.bincount(data.labels[split.confirmation])
        assert counts.tolist() == [10] * 10
        assert split.confirmation.min() > 150

    def test_it_does_not_replace_an_own_val_part(self):
        data = dataset(np.arange(100) % 2, parts=["train", "train", "val", "val"] * 25)
        with pytest.raises(
            ConfigError, match=r"split\.method must be stratified.*method='first_n'"
        ):
            divide(data, self.LECTURE, deduplicate=False)

    def test_a_class_that_the_first_images_lack_is_named(self):
        data = dataset(np.repeat([0, 1], 100))
        with pytest.raises(
            ConfigError, match=r"none of class 1 in val \(50 images\)\. Raise split\.val"
        ):
            divide(data, self.LECTURE, deduplicate=False)


class TestRefusals:
    def refuse(self, data, message, error=ConfigError, **change):
        with pytest.raises(error, match=message):
            divide(data, changed(PARAMS, **change))

    def test_sizes_that_leave_nothing(self):
        data = dataset(np.arange(100) % 2)
        message = (
            r"val_size and split\.confirmation_size must leave images to train on\. Received: "
            r"val_size=5000, confirmation_size=0\.1, which take 5008 of 80 images\. .*0\.1"
        )
        self.refuse(data, message, val_size=5000)

    def test_a_test_part_as_large_as_the_dataset(self):
        data = dataset(np.arange(100) % 2)
        self.refuse(data, r"split\.test_size takes 100 of 100 distinct images", test_size=100)

    def test_fewer_images_than_classes(self):
        data = dataset(np.arange(100) % 10)
        self.refuse(data, r"val_size must leave at least one image of each of 10", val_size=5)

    def test_a_share_that_is_no_image(self):
        data = dataset(np.arange(100) % 2)
        self.refuse(
            data, r"split\.val_size must be at least one .*0\.001, which of 80", val_size=0.001
        )

    def test_a_class_of_one_image(self):
        data = dataset([0, 1] * 50 + [2])
        self.refuse(data, r"image for test and another.*too few of which are class 2 \(1\)")

    def test_a_class_whose_copies_make_it_one_image(self):
        data = dataset([0, 1] * 50 + [2] * 9, copies=[(100, at) for at in range(101, 109)])
        self.refuse(data, r"class 2 \(1\)")

    def test_a_class_too_rare_to_be_drawn(self):
        data = dataset([0, 1] * 500 + [2, 2, 2])
        self.refuse(
            data, r"none of class 2 in (test|val|confirmation) \(\d+ images\)\. Raise split\."
        )

    def test_an_own_part_that_lacks_a_class(self):
        data = dataset([0, 1] * 50 + [0] * 10, parts=["train"] * 100 + ["test"] * 10)
        message = r"none of class 1 in test, which the dataset brings\. Add some"
        self.refuse(data, message, error=DataIntegrityError)


@pytest.mark.slow
def test_seventy_thousand_images_take_seconds():
    import time

    images = np.random.default_rng(0).integers(0, 256, (70_000, 28, 28), np.uint8)
    parts = np.array(["train"] * 60_000 + ["test"] * 10_000)
    data = replace(dataset(np.arange(70_000) % 10, parts=parts), images=images)
    divide(dataset(np.arange(100) % 2), PARAMS)  # Imports scikit-learn.
    start = time.process_time()
    split = divide(data, changed(PARAMS, val_size=5000, confirmation_size=5000))
    # Of the processor, which a busy machine slows less than the clock.
    assert time.process_time() - start < 20
    assert (len(split.train), len(split.val)) == (50_000, 5_000)
