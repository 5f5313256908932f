"""One's own images in a copy made by `dvc exp run --temp`: all of them, or a line that says why."""

import pytest

from pipeline.data.copies import check_copied
from pipeline.errors import ConfigError

COPY = ".dvc/tmp/exps/standalone/tmpa1b2c3"


def fill(folder, *names):
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "1.png").touch()


@pytest.mark.parametrize("there", [(), ("rose",)], ids=["empty", "one class of two"])
def test_a_copy_that_lacks_images_is_refused(tmp_path, there):
    copy = tmp_path / COPY
    fill(tmp_path / "data/own", "rose", "daisy")
    (copy / "data/own").mkdir(parents=True)
    (copy / "data/own/.gitkeep").touch()
    fill(copy / "data/own", *there)
    with pytest.raises(ConfigError, match=r"lacks daisy.*Run `dvc add data/own`"):
        check_copied((copy / "data/own").relative_to(copy), root=copy)


def test_a_copy_has_the_images_of_its_commit_where_dvc_tracks_them(tmp_path):
    copy = tmp_path / COPY
    fill(tmp_path / "data/flowers", "rose", "new")
    fill(copy / "data/flowers", "rose")
    (copy / "data/flowers.dvc").touch()
    check_copied((copy / "data/flowers").relative_to(copy), root=copy)


def test_an_absolute_path_is_the_same_in_every_copy(tmp_path, caplog):
    caplog.set_level("INFO")
    fill(tmp_path / "photos", "rose")
    checkout = tmp_path / "checkout"
    (checkout / COPY).mkdir(parents=True)
    for root in (checkout, checkout / COPY):
        check_copied(tmp_path / "photos", root=root)
    assert not caplog.text


def test_the_original_says_what_copies_would_lack(tmp_path, caplog):
    caplog.set_level("INFO")
    fill(tmp_path / "data/flowers", "rose")
    path = (tmp_path / "data/flowers").relative_to(tmp_path)
    check_copied(path, root=tmp_path)
    assert "`dvc add data/flowers`" in caplog.text
    caplog.clear()
    (tmp_path / "data/flowers.dvc").touch()
    check_copied(path, root=tmp_path)
    assert not caplog.text
