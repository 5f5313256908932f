"""The tracking store: where it is, how it is created once, and which experiments it holds.

Every module of this package gets its MLflow client here, so that what must be set before MLflow is
imported is set in one place, and so that no global state of MLflow decides where a run goes.
"""

import os
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pipeline.database_addresses import is_postgres, plain_address, sqlite_address, sqlite_file
from pipeline.database_addresses import without_password as without_password
from pipeline.databases import CONNECT_SECONDS, being_created
from pipeline.errors import ConfigError
from pipeline.losses import lost_runs
from pipeline.open_databases import watch
from pipeline.records.mirror.moved import ARTIFACTS, mend
from pipeline.records.storage import storage_url
from pipeline.workspace import store_root

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# Read by MLflow when it is imported. It sends usage statistics unless told not to, and unpickles
# models unless told not to, where those of this project are .keras files; and after every run it
# prints two addresses into the search's live line.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

VARIABLE = "MLFLOW_TRACKING_URI"
SCHEMES = ("sqlite", "postgresql", "mysql", "http", "https")
TIMEOUT_SECONDS = 5.0
# A first migration takes 1 to 7 s; a lock that is held for longer is stuck.
LOCK_SECONDS = 120.0
SERVER_ERROR = 500
MYSQL_PORT = 3306
PAGE = 1000
KIND: Final = {"mlflow.experimentKind": "custom_model_development"}
"""Tag of an experiment, by which MLflow's UI shows runs and models first, and no traces."""


@dataclass(frozen=True, kw_only=True)
class Store:
    """An open tracking store.

    Attributes:
        root: The repository that runs are recorded from; maybe a copy made by DVC.
        uri: What MLflow calls the tracking URI.
        client: Its client; knows the registry of the same store too.
    """

    root: Path
    uri: str
    client: "MlflowClient"

    @property
    def is_server(self) -> bool:
        """Whether it is an MLflow server, not a database that is opened from here."""
        return urlsplit(self.uri).scheme.startswith("http")

    @property
    def is_shared(self) -> bool:
        """Whether other checkouts may use it too: anything but this checkout's own database."""
        return self.uri != _own_uri(self.root)

    def experiment(self, name: str) -> str:
        """Returns the id of an experiment, created or taken out of MLflow's trash if need be.

        Args:
            name: The dataset's; one experiment holds everything that was learned from it.
        """
        from mlflow.exceptions import MlflowException

        with locked(self.root, "store"):
            found = self.client.get_experiment_by_name(name)
            if found is None:
                try:
                    location = self._artifact_location()
                    return str(self.client.create_experiment(name, location, KIND))
                except MlflowException:
                    # Maybe another machine was faster, which this machine's lock does not stop.
                    found = self.client.get_experiment_by_name(name)
                    if found is None:
                        raise
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        for key, kind in KIND.items():
            if key not in found.tags:  # Of an earlier release.
                self.client.set_experiment_tag(found.experiment_id, key, kind)
        return str(found.experiment_id)

    def search_runs(self, experiment: str, condition: str) -> "list[Run]":
        """Returns every run of an experiment that meets an MLflow filter, latest first."""
        search = self.client.search_runs
        return pages(search, experiment_ids=[experiment], filter_string=condition)

    def close(self) -> None:
        """Lets go of the database's files, so that they can be moved or copied."""
        engine = getattr(self.client._tracking_client.store, "engine", None)
        if engine is not None:
            engine.dispose()

    def _artifact_location(self) -> str | None:
        if self.is_server:
            return None  # A server knows best where its artifacts go.
        return (store_root(self.root) / ARTIFACTS).as_uri()


def pages(search: Callable[..., Any], **arguments: Any) -> list[Any]:
    """Returns all that a search of MLflow's client finds, however many pages that is.

    Args:
        search: Such as `MlflowClient.search_runs`.
        **arguments: For it, without the size of a page and its token.
    """
    page = search(max_results=PAGE, **arguments)
    found = list(page)
    while page.token:
        page = search(max_results=PAGE, page_token=page.token, **arguments)
        found.extend(page)
    return found


def tracking_uri(root: Path) -> str:
    """Returns the tracking URI: `MLFLOW_TRACKING_URI`, else `mlflow.db` of the repository.

    Args:
        root: The repository; a copy made by `dvc exp run --temp` has the store of its original.

    Raises:
        ConfigError: If the variable names no scheme that a store can have. MLflow itself takes a
            bare host name for a folder and silently records there. Also of a path that no address
            can hold.
    """
    uri = os.environ.get(VARIABLE)
    if not uri:
        return _own_uri(root)
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if "://" not in uri or scheme not in SCHEMES:
        raise ConfigError(
            f"{VARIABLE} must start with one of "
            f"{', '.join(f'{scheme}://' for scheme in SCHEMES)}. Received: "
            f"{VARIABLE}={without_password(uri)}. Write http://HOST:5000 for a server, "
            "or unset it to use mlflow.db here."
        )
    # A relative path is one below the checkout, so that its own database is known as such.
    return plain_address(uri, below=store_root(root))


def mirror_uid(root: Path, study_uid: str, url: str) -> str:
    """Returns what tells a study's runs from those of every other in the tracking store.

    A study that was restored elsewhere has the uid of its original, and from then on trials of its
    own. Where both record into one tracking store, each is named with its place.

    Args:
        root: The repository.
        study_uid: The study's.
        url: `search.storage`.
    """
    file = sqlite_file(storage_url(root, url))
    is_shared = tracking_uri(root) != _own_uri(root)
    return f"{study_uid} in {file}" if is_shared and file is not None else study_uid


def open_store(root: Path, *, create: bool = True) -> Store:
    """Opens the tracking store.

    Args:
        root: The repository.
        create: Whether a local file that does not exist is made; readers refuse instead.

    Raises:
        ConfigError: If it cannot be reached within 5 s, refuses these credentials, was made by
            another release of MLflow, or does not exist.
        StudyError: If it names a place where this checkout was before, and is being used.
    """
    uri = tracking_uri(root)
    file = sqlite_file(uri)
    if file is not None and not file.exists():
        lost = lost_runs(root, str(file))
        if not create:
            raise ConfigError(
                f"This checkout has lost something: {lost}."
                if lost
                else f"Nothing has been recorded yet: there is no {file}. Run `dvc repro`."
            )
    _preflight(uri)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        # Two processes that open a fresh database at once both migrate it, and one of them dies.
        with _alone_in_database(uri), locked(root, "store"):
            if file is not None and uri == _own_uri(root):
                mend(store_root(root), file)
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            client.search_experiments(max_results=1)
            if file is not None:
                watch(client._tracking_client.store.engine, file)
    except (MlflowException, SQLAlchemyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"The tracking store cannot be used: {reason} Received: {without_password(uri)}. "
            f"Check {VARIABLE} and its user name and password."
        ) from None
    return Store(root=root.resolve(), uri=uri, client=client)


def _own_uri(root: Path) -> str:
    return sqlite_address(store_root(root) / "mlflow.db")


@contextmanager
def locked(root: Path, name: str) -> Iterator[None]:
    """Holds one of the repository's locks; the system frees it when the process dies.

    Args:
        root: The repository; a copy made by `dvc exp run --temp` has the locks of its original.
        name: `store` while a database or an experiment is created, `registry` while a model is
            registered.

    Raises:
        ConfigError: If another process has held it for two minutes.
    """
    from filelock import FileLock, Timeout

    path = store_root(root) / "mlruns" / f".{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=LOCK_SECONDS):
            yield
    except Timeout:
        raise ConfigError(
            f"{path} has been locked by another process for {LOCK_SECONDS:.0f} s. "
            "Wait for it, or end it."
        ) from None


def _preflight(uri: str) -> None:
    # MLflow's own client tries for two to four minutes before it says that nobody answers.
    parts = urlsplit(uri)
    try:
        if parts.scheme.startswith("http"):
            host = parts.netloc.rpartition("@")[2]
            health = parts._replace(netloc=host, path=f"{parts.path.rstrip('/')}/health")
            urllib.request.urlopen(health.geturl(), timeout=TIMEOUT_SECONDS).close()
        elif parts.scheme.startswith("mysql"):
            port = parts.port or MYSQL_PORT
            socket.create_connection((parts.hostname, port), timeout=TIMEOUT_SECONDS).close()
    except urllib.error.HTTPError as error:
        # Something answers. Whether it lets the client in is for the client's first call to say,
        # which knows the credentials; only a server that is down would keep it trying.
        if error.code >= SERVER_ERROR:
            raise _unreachable(uri, f"HTTP {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        raise _unreachable(uri, str(getattr(error, "reason", error))) from None


def _unreachable(uri: str, reason: str) -> ConfigError:
    return ConfigError(
        f"The tracking server does not answer: {reason}. Received: "
        f"{VARIABLE}={without_password(uri)}. Start it, correct the address, or unset "
        "the variable to use mlflow.db here."
    )


def _alone_in_database(uri: str) -> AbstractContextManager[None]:
    if is_postgres(uri):
        # Of connections that MLflow makes by itself; it would wait for a silent host for minutes.
        os.environ.setdefault("PGCONNECT_TIMEOUT", str(CONNECT_SECONDS))
    elif urlsplit(uri).scheme != "sqlite":
        return nullcontext()
    return being_created(uri, "experiments", source=VARIABLE)
