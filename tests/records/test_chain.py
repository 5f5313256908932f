"""Of one changed byte the first link that it is in is named, and with it back all is well."""

import shutil

import pytest

from pipeline.errors import DataIntegrityError
from pipeline.files import sha256_file
from pipeline.records import chain
from pipeline.records.chain import CODE, LINKS, chain_of, check, check_features
from testing.chain import write_missing
from testing.features import embedded, write_cuts


@pytest.fixture
def root(tmp_path):
    write_missing(tmp_path)
    for name in (
        "data/train.npz",
        "data/split.json",
        "data/features/efficientnet_lite0/base.keras",
        "results/transfer/confirm.json",
        "models/transfer.keras",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"made up")
    return tmp_path


def chain_in(root):
    return chain_of(root, study="transfer", base="efficientnet_lite0")


def first_problem(root, recorded):
    return next(
        ((one.name, one.problem) for one in check(root, recorded, study="transfer") if one.problem),
        None,
    )


@pytest.mark.parametrize(
    ("link", "name"),
    [
        ("raw", "data/raw/images.npy"),
        ("split", "data/train.npz"),
        ("split", "data/split.json"),
        ("features", "data/features/efficientnet_lite0/block4_add.npy"),
        ("features", "data/features/efficientnet_lite0/base.keras"),
        ("params", "params.yaml"),
        ("study", "results/transfer/study.json"),
        ("confirmation", "results/transfer/confirm.json"),
        ("model", "models/transfer.keras"),
    ],
)
def test_a_changed_byte_is_found_where_it_is(root, link, name):
    recorded = chain_in(root)
    assert first_problem(root, recorded) is None
    file = root / name
    before = file.read_bytes()
    file.write_bytes(before.replace(b"1", b"2") if link == "params" else b"X" + before[1:])
    found = first_problem(root, recorded)
    assert found[0] == link
    assert found[1].startswith(f"{name} is another one")
    file.unlink()
    assert first_problem(root, recorded)[1].startswith(f"{name} is not here")
    file.write_bytes(before)
    assert first_problem(root, recorded) is None


def test_other_code_of_a_training_is_found(root, monkeypatch):
    recorded = chain_in(root)
    monkeypatch.setattr(chain, "TRAINING_CODE", ("seeds.py",))
    assert first_problem(root, recorded)[1].startswith(f"{CODE} is another one")


def test_a_comment_and_what_others_depend_on_are_no_change(root):
    recorded = chain_in(root)
    others = "evaluate: {seed: 3}\nstudies: {other: {base: none}}\n"
    (root / "params.yaml").write_text(f"# Why\nsplit:\n  seed: 1\n{others}")
    assert first_problem(root, recorded) is None


def test_the_links_are_told_in_the_order_in_which_they_are_made(root):
    recorded = chain_in(root)
    found = list(check(root, recorded, study="transfer"))
    assert tuple(one.name for one in found) == LINKS
    assert {one.name: one.num_files for one in found}["features"] == 3


def test_an_array_that_is_not_what_embed_wrote_is_refused(root):
    folder, base = root / "data/features/efficientnet_lite0", "efficientnet_lite0"
    own = embedded(file="block4_add.npy", sha256=sha256_file(folder / "block4_add.npy"))
    write_cuts(folder, {"block4_add": own})
    check_features(root, chain_in(root), base=base)
    (folder / "block4_add.npy").write_bytes(b"made uP")
    with pytest.raises(DataIntegrityError, match=r"block4_add\.npy must be what `embed` wrote"):
        check_features(root, chain_in(root), base=base)


def test_without_an_earlier_file_there_is_no_chain(root):
    shutil.rmtree(root / "data/features/efficientnet_lite0")
    with pytest.raises(DataIntegrityError, match="features/efficientnet_lite0 must exist"):
        chain_in(root)
