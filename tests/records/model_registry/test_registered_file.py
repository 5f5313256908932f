"""The file of a registered model comes here, and it is that file."""

import tempfile

import pytest

from pipeline.errors import ConfigError, DataIntegrityError
from pipeline.files import sha256_file
from pipeline.records.mirror.store import open_store
from pipeline.records.model_registry.registered_file import registered_file
from testing.registering import register
from testing.tracking_server import TrackingServer

pytestmark = pytest.mark.keras

CHAMPION = "models:/digits-classifier@champion"


@pytest.fixture
def registered(root, candidate):
    one = candidate()
    register(open_store(root), one)
    return one


def find(root, uri=CHAMPION):
    with registered_file(root, uri, asked_by="model") as file:
        return file


@pytest.mark.parametrize("uri", [CHAMPION, "models:/digits-classifier/1"])
def test_the_very_file_that_was_registered_comes_with_its_version(root, registered, uri):
    found = find(root, uri)
    assert (found.name, found.version) == ("digits-classifier", "1")
    assert sha256_file(found.path) == sha256_file(registered.model_file)
    # In its place, not a copy.
    assert found.path.is_relative_to(root / "mlruns")


def test_an_alias_that_moves_names_another_version(root, registered, candidate):
    store = open_store(root)
    register(store, candidate(seed=1, mean=0.99))
    store.client.set_registered_model_alias("digits-classifier", "champion", "2")
    assert find(root).version == "2"
    assert find(root, "models:/digits-classifier/1").version == "1"


def test_what_is_not_there_is_said_with_where_it_was_asked(root, registered):
    with pytest.raises(ConfigError, match=r"There is no such model: .*Received: model models:/x/1"):
        find(root, "models:/x/1")


def test_a_file_that_was_changed_is_refused(root, registered):
    (file,) = (root / "mlruns").rglob("model.keras")
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(DataIntegrityError, match="must be the file that was registered"):
        find(root)


@pytest.mark.slow
def test_a_copy_from_a_server_is_gone_when_it_was_used(root, candidate, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with TrackingServer(tmp_path / "server") as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        one = candidate()
        register(open_store(root), one)
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        with registered_file(root, CHAMPION, asked_by="model") as file:
            assert file.path.is_relative_to(temporary)
            assert sha256_file(file.path) == sha256_file(one.model_file)
        assert list(temporary.iterdir()) == []
