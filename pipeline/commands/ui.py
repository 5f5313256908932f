"""The MLflow UI on this machine's loopback address, with safe settings.

Run: python -m pipeline ui [--port 5000]. A plain `mlflow ui` in the checkout shows the same.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError
from pipeline.split_record import find_split

if TYPE_CHECKING:
    from pipeline.records.mirror.store import Store

HOST = "127.0.0.1"
# Off: statistics sent to MLflow's makers, and the server's own job runner, which this project
# has no use for and which would start seven more processes.
SAFE = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    parser.add_argument("--port", type=int, default=5000, help="1 to 65535 (default: %(default)s)")


def server_command(*, port: int, root: Path) -> list[str]:
    """Returns the command line of the server; its environment says which store it shows.

    Args:
        port: Where it listens, 1 to 65535.
        root: The repository; new artifacts go below its `mlruns/`.
    """
    artifacts = (root.resolve() / "mlruns" / "artifacts").as_uri()
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--artifacts-destination", artifacts),
        *("--host", HOST),
        *("--port", str(port)),
        *("--workers", "1"),
    ]


def main(args: argparse.Namespace) -> int:
    """Becomes the server; ends with Ctrl-C.

    Raises:
        ConfigError: If the port is taken, nothing has been recorded, or runs are recorded on a
            server of their own.
    """
    from pipeline.records.mirror.store import open_store, tracking_uri

    root = Path.cwd()
    uri = tracking_uri(root)
    if uri.startswith("http"):
        raise ConfigError(f"The runs are on a server: open {uri} in a browser.")
    check_port(args.port)
    store = open_store(root, create=False)
    found = pages(root, store)
    store.close()
    print("MLflow UI (takes about 15 s to start):", file=sys.stderr)
    for shown, page in found.items():
        print(f"  {shown}: http://{HOST}:{args.port}/#/{page}", file=sys.stderr)
    command = server_command(port=args.port, root=root)
    # Not on the command line, which everybody sees: an address may have a password in it.
    os.execve(command[0], command, {**os.environ, **SAFE, "MLFLOW_BACKEND_STORE_URI": uri})


def pages(root: Path, store: Store) -> dict[str, str]:
    """Returns the pages that the UI is to be opened at, what comes after `#/`, by what they show.

    They are the prepared views of the studies of this checkout's data set, or where there is none
    yet, its runs.

    Args:
        root: The repository.
        store: Its store, open.
    """
    from pipeline.records.mirror.prepared_view import WORKFLOW, page_of, views_of

    split = find_split(root)
    found = store.client.get_experiment_by_name(split.dataset) if split is not None else None
    if found is None:
        return {"all experiments": f"experiments?{WORKFLOW}"}
    own = found.experiment_id
    views = {f"trials of {study}": page_of(own, key) for study, key in views_of(found.tags).items()}
    return views or {"all runs": f"experiments/{own}/runs?{WORKFLOW}"}


def check_port(port: int) -> None:
    """Refuses a port of `--port` where nothing can listen.

    Raises:
        ConfigError: If it is taken, or none.
    """
    try:
        with socket.socket() as probe:
            # As the server itself does: a port whose last owner has just ended is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"--port must be a free port. Received: --port {port}: {error}. "
            f"Choose another, such as --port {port % 60_000 + 1}."
        ) from None
