"""A data set is named after what its user named, in letters that every store can hold."""

import re

import pytest

from pipeline.data.names import NAME_PATTERN, as_name, auto_name

PUBLIC = ["fashion_mnist", "cifar10", "digits"]


def named(root, path, kind="folder"):
    return auto_name(root, str(path), kind=kind, taken=PUBLIC)[0]


@pytest.fixture
def root(tmp_path):
    """A checkout two folders below one that is the home."""
    root = tmp_path / "ann/Rost und Öl"
    root.mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data/flowers", "flowers"),
        ("data/flowers/", "flowers"),
        ("./data/x/../flowers", "flowers"),
        ("data/flowers/train", "flowers"),
        ("flowers/images/Train_Set", "flowers"),
        ("data/Fleurs d'été", "Fleurs-d-ete"),
        ("data/flowers.v2", "flowers.v2"),
        # Nothing in these says what the images show: the checkout's name does.
        ("data/own", "Rost-und-Ol"),
        ("data/my_images2", "Rost-und-Ol"),
        ("data/2024-11/v2", "Rost-und-Ol"),
        ("data/!!", "Rost-und-Ol"),
        # Elsewhere: not after the folder that the checkout is in, which is somebody's.
        ("../images", "Rost-und-Ol"),
        ("../../photos", "Rost-und-Ol"),
        ("../../flowers", "flowers"),
        ("/somewhere/flowers/train", "flowers"),
        ("/mnt/data/images", "Rost-und-Ol"),
        # In capitals too: some databases do not tell them apart.
        ("data/Digits", "Digits-folder"),
    ],
)
def test_the_last_folder_that_says_anything_names_the_data(root, path, name):
    assert named(root, path) == name


@pytest.mark.parametrize(("path", "name"), [("data/own/fungi.npz", "fungi"), ("own/images.npz", 0)])
def test_a_file_of_arrays_names_them_unless_its_name_is_the_usual_one(root, path, name):
    assert named(root, path, "npz") == (name or "Rost-und-Ol")


def test_a_folder_of_the_home_is_not_named_after_its_user(root, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "bob"))
    assert named(root, tmp_path / "bob/images") == "Rost-und-Ol"


def test_a_copy_made_by_dvc_has_the_name_of_its_original(root):
    copy = root / ".dvc/tmp/exps/standalone/tmpa1b2c3"
    assert named(copy, "data/own") == "Rost-und-Ol"
    assert named(copy, root / "data/own") == "Rost-und-Ol"


@pytest.mark.parametrize(
    "text",
    ["猫", "犬", "кошки", "a" * 65, "a" * 64 + "b", "-.x.-", "ﬁsh", "a/b:c", "e\u0301te", "ß" * 40],
)
def test_any_text_becomes_a_name_that_stores_can_hold(text):
    assert re.fullmatch(NAME_PATTERN, as_name(text))


def test_what_is_lost_in_a_name_keeps_it_apart():
    texts = ["猫", "犬", "猫 photos", "photos", "a" * 65, "a" * 66]
    assert len({as_name(text) for text in texts}) == len(texts)
    assert as_name("e\u0301te\u0301") == as_name("été") == "ete"
