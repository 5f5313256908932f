"""What is asked of a database file that is gone ends at once, and makes no empty one instead."""

import optuna
import pytest

from pipeline.open_databases import DatabaseLostError, last_look
from pipeline.records.storage import open_storage


@pytest.fixture(autouse=True)
def _own_stores(monkeypatch):
    monkeypatch.delenv("OPTUNA_STORAGE", raising=False)


@pytest.fixture
def study(tmp_path):
    storage = open_storage(tmp_path)
    study = optuna.create_study(storage=storage, study_name="x")
    study.ask()
    return study


def remove(file):
    file.unlink()


def move_away(file):
    file.rename(file.with_name("away.db"))


def replace(file):
    file.unlink()
    file.write_bytes(b"")


@pytest.mark.parametrize("lose", [remove, move_away, replace])
def test_a_study_is_neither_written_nor_made_anew(tmp_path, study, lose):
    file = tmp_path / "mlruns/optuna.db"
    lose(file)
    size = file.stat().st_size if file.exists() else None
    with pytest.raises(DatabaseLostError, match=rf"^{file} must stay .*pipeline restore`"):
        study.ask()
    study._storage._backend.engine.dispose()
    with pytest.raises(DatabaseLostError):
        study.set_user_attr("a", 1)
    assert (file.stat().st_size if file.exists() else None) == size


def test_what_it_held_can_still_be_read(tmp_path, study):
    (tmp_path / "mlruns/optuna.db").unlink()
    with last_look(study._storage._backend.engine):
        study._storage.remove_session()
        assert len(study.get_trials()) == 1
    with pytest.raises(DatabaseLostError):
        study.set_user_attr("a", 1)
