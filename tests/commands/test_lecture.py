"""Demonstrations of the lectures, as a reader runs them after `fetch`."""

import argparse
import logging
import re
import shutil

import pytest

from pipeline.commands.lecture import add_arguments, main
from pipeline.errors import ConfigError
from pipeline.lectures.demonstrations import DEMONSTRATIONS
from pipeline.training import devices
from pipeline.training.export import load_exported

SMALL = ("--seeds", "2", "--images", "400", "--epochs-factor", "0.2")


def run(*arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_args(arguments))


def test_all_are_listed_with_heading_and_question(capsys):
    assert run() == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == len(DEMONSTRATIONS) >= 15
    assert all(": " in line and line.endswith("?") for line in listed)


def test_an_unknown_one_is_refused_with_its_neighbours():
    with pytest.raises(ConfigError, match="Unknown demonstration: 'activation'"):
        run("activation")


def test_one_seed_shows_nothing_nor_do_a_few_images():
    with pytest.raises(ConfigError, match="--seeds must be 2 or more"):
        run("activations", "--seeds", "1")
    with pytest.raises(ConfigError, match="--images must be 50 or more"):
        run("activations", "--images", "-1")


@pytest.mark.slow
@pytest.mark.keras
class TestInACheckout:
    @pytest.fixture(scope="class")
    def fetched(self, embedded, tmp_path_factory):
        """A checkout in which nothing but `fetch` has run."""
        made = embedded.copy(tmp_path_factory.mktemp("checkout"))
        for file in (made.folder / "data").iterdir():
            if file.name not in {"raw", "own", ".gitignore"}:
                shutil.rmtree(file) if file.is_dir() else file.unlink()
        return made

    @pytest.fixture
    def there(self, fetched, monkeypatch):
        """The checkout, for a command in this process, whose threads TensorFlow keeps."""
        monkeypatch.chdir(fetched.folder)
        monkeypatch.setattr(devices, "configure_tensorflow", lambda *, num_threads: None)
        logger = logging.getLogger("pipeline")
        level = logger.level
        yield fetched
        # The command silences it, for the rest of what was a process of its own.
        logger.setLevel(level)

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("learning_rate_probe", "adam: rates up to"),
            ("boosting", "boosting helps a weak network"),
            ("pruning", "98.0% of its weights are 0"),
            ("decision_map", "2 x 64 units"),
        ],
    )
    def test_it_prints_its_table_and_writes_its_figure(self, there, capsys, name, said):
        assert run(name, *SMALL) == 0
        printed = capsys.readouterr().out
        assert DEMONSTRATIONS[name].title in printed
        assert said in printed
        figure = there.folder / f"results/lectures/{name}.png"
        assert figure.read_bytes().startswith(b"\x89PNG")
        if name == "boosting":
            pattern = r"boosting.keras: .* images, (\S+) right; the votes of its networks, (\S+)"
            of_file, of_votes = re.search(pattern, printed).groups()
            assert of_file == of_votes
            assert load_exported(figure.with_suffix(".keras")).output_shape[0] is None

    def test_a_reader_sees_the_table_alone(self, fetched):
        printed = fetched.new_pipeline("lecture", "leaky_slope", *SMALL)
        assert printed.startswith(DEMONSTRATIONS["leaky_slope"].title)
        assert "a slope of 0.2 better than 0.01" in printed

    def test_too_few_images_are_said(self, there):
        with pytest.raises(ConfigError, match=r"prelu trains on up to 4,000 images\. There are "):
            run("prelu")
