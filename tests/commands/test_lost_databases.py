"""Every command that meets lost databases names `restore`, lets DVC notice, and makes none."""

import pytest

from pipeline.errors import PipelineError
from pipeline.trials.registration import write_registration
from pipeline.trials.study import write_study
from testing.records import made_registration, made_study
from tests.commands.repository import run

RESTORE = "`python -m pipeline restore` brings that back"
DATABASES = ("mlflow.db", "mlruns/optuna.db")
READERS = {
    "status": [],
    "status --json": ["--json"],
    "audit": [],
    "enqueue": ["tiny", "units=32"],
    "replay": ["tiny", 0],
    "gc": [],
    "predict": [__file__],
    "ui": [],
}


@pytest.fixture
def lost(repository):
    """What DVC holds of a study and a version, and their stamps, without any database."""
    write_study(repository.folder, made_study())
    write_registration(repository.folder, made_registration())
    for name in ("search-tiny", "confirm-tiny", "register"):
        repository.write(f"mlruns/stages/{name}.json", {})
    return repository


def told(command, capsys):
    """What a command says, wherever it says it."""
    try:
        run(command.partition(" ")[0], *READERS[command])
    except PipelineError as error:
        return str(error)
    return capsys.readouterr().out


@pytest.mark.parametrize("command", READERS)
def test_it_is_said_and_nothing_is_made(lost, capsys, command):
    text = told(command, capsys)
    assert RESTORE in text
    assert "tiny: 3 trials are missing" not in text
    assert not [name for name in DATABASES if (lost.folder / name).exists()]


@pytest.mark.parametrize("command", ["status", "audit", "predict"])
def test_dvc_is_let_know(lost, capsys, command):
    told(command, capsys)
    assert len(list((lost.folder / "mlruns/stages").iterdir())) < 3


@pytest.mark.parametrize("command", READERS)
def test_where_nothing_was_recorded_nothing_was_lost(repository, capsys, command):
    (repository.folder / "results/tiny").mkdir(parents=True)
    assert RESTORE not in told(command, capsys)
    assert not [name for name in DATABASES if (repository.folder / name).exists()]


def test_a_study_of_other_data_is_not_this_ones_loss(lost, capsys):
    write_study(lost.folder, made_study(study_name="cifar10-tiny"))
    assert "tiny: 3 trials are missing; `dvc repro` trains them" in told("status", capsys)
