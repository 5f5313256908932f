"""kill -9 of single Ray workers, raylets, drivers and client servers during searches: what is lost.

On real clusters. Each search is a process of its own, which is killed from here.

- worker: processes that run a trial, at random moments.
- raylet: that of the driver's own cluster, and those of further machines of a shared one.
- driver: on a cluster of its own and on a shared one, and started again each time.
- client: the process that serves a driver which is connected through ray://.

Run: python -m benchmarks.ray_kills [--what all|worker|raylet|driver|client] [--kills 30] [--seed 1]
"""

import argparse
import contextlib
import os
import platform
import random
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.ray_search import IDENTITY, Search


def below(process: psutil.Process, name: str) -> Iterator[psutil.Process]:
    """The processes below one whose command line begins with a name."""
    try:
        children = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return
    for child in children:
        try:
            line = child.cmdline()
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if line and (line[0].startswith(name) or line[0].endswith(f"/{name}")):
            yield child


def kill_workers(search: Search, kills: int, draw: random.Random) -> None:
    """Kills processes that run a trial."""
    driver = search.start()
    while not search.is_over and search.kills < kills:
        time.sleep(draw.uniform(0.2, 1.2))
        workers = list(below(driver, f"ray::{IDENTITY[:12]}"))
        if workers:
            draw.choice(workers).kill()
            search.kills += 1


def kill_own_raylet(search: Search, kills: int, draw: random.Random) -> None:
    """Kills the raylet of the driver's own cluster, which the driver then starts again."""
    driver = search.start()
    wait_for(search, at_least=3)
    while not search.is_over and search.kills < kills:
        for raylet in list(below(driver, "raylet")):
            raylet.kill()
            search.kills += 1
        wait_for(search, at_least=search.finished() + draw.randint(3, 6))


def kill_machines(search: Search, kills: int, draw: random.Random) -> None:
    """Kills the raylet of the second of two machines, and starts a third one in its place."""
    with shared_cluster() as cluster:
        search.address = cluster.address
        second = cluster.add_node(num_cpus=1)
        search.start()
        for _ in range(kills):
            wait_for(search, at_least=search.finished() + draw.randint(3, 6))
            raylet = second.all_processes["raylet"][0].process
            raylet.kill()
            # Its workers take a zombie for alive.
            raylet.wait()
            search.kills += 1
            second = cluster.add_node(num_cpus=1)
        search.process.wait(timeout=300)


def kill_drivers(search: Search, kills: int, draw: random.Random) -> None:
    """Kills the driver and starts it again."""
    for _ in range(kills):
        before = search.finished()
        driver = search.start()
        wait_for(search, at_least=before + draw.randint(2, 6))
        time.sleep(draw.uniform(0.0, 0.5))
        finished = search.finished()
        driver.kill()
        search.process.wait()
        search.kills += 1
        search.forgotten += max(0, finished - search.finished())
    search.start()


def kill_drivers_of_a_shared_cluster(search: Search, kills: int, draw: random.Random) -> None:
    """Kills the driver while the cluster lives; its tasks must end with it."""
    with shared_cluster() as cluster:
        search.address = cluster.address
        cluster.add_node(num_cpus=1)
        kill_drivers(search, kills, draw)
        search.process.wait(timeout=300)
        tasks = list(below(psutil.Process(), f"ray::{IDENTITY[:12]}"))
        print(f"  tasks of dead drivers still running: {len(tasks)}")


def kill_client_servers(search: Search, kills: int, draw: random.Random) -> None:
    """Kills the server of a driver that came through ray://, which then connects again."""
    port = free_port()
    with shared_cluster(ray_client_server_port=port) as cluster:
        cluster.add_node(num_cpus=1)
        search.address = f"ray://127.0.0.1:{port}"
        until_answers(port)
        search.start()
        while not search.is_over and search.kills < kills:
            wait_for(search, at_least=search.finished() + draw.randint(3, 6))
            for server in list(below(psutil.Process(), sys.executable)):
                if "--mode=specific-server" in server.cmdline():
                    server.kill()
                    search.kills += 1
        search.process.wait(timeout=300)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until_answers(port: int) -> None:
    """Waits until somebody listens on a port of this machine."""
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.5)


def wait_for(search: Search, *, at_least: int) -> None:
    """Waits until so many trials are finished, or the search is over."""
    deadline = time.monotonic() + 120
    while search.finished() < at_least and not search.is_over and time.monotonic() < deadline:
        time.sleep(0.2)


@contextlib.contextmanager
def shared_cluster(**options: Any) -> Iterator[Any]:
    """A cluster of this process, whose machines are raylets; the first has one CPU."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False, **options}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster
    finally:
        cluster.shutdown()


Kill = Callable[[Search, int, random.Random], None]


def plan(what: str, kills: int) -> Iterator[tuple[str, Kill, int, int]]:
    """Yields what is killed, how, how often, and in a search of how many trials."""
    if what in ("all", "worker"):
        searches = (60, 40, 40, 20)
        for number, trials in enumerate(searches):
            share = kills * (number + 1) // len(searches) - kills * number // len(searches)
            yield "worker", kill_workers, share, trials
    if what in ("all", "raylet"):
        yield "raylet of the driver's own cluster", kill_own_raylet, 2, 30
        yield "raylet of a second machine", kill_machines, 3, 40
    if what in ("all", "driver"):
        yield "driver with a cluster of its own", kill_drivers, 3, 30
        yield "driver on a shared cluster", kill_drivers_of_a_shared_cluster, 3, 30
    if what in ("all", "client"):
        yield "server of a client", kill_client_servers, 2, 30


def main() -> None:
    """Prints a line per search."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    choices = ("all", "worker", "raylet", "driver", "client")
    parser.add_argument("--what", choices=choices, default="all")
    parser.add_argument("--kills", type=int, default=30, help="of workers, in all their searches")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)
    print(f"seed {args.seed}; {os.cpu_count()} cores, {platform.machine()}, 2 trials at a time")
    draw = random.Random(args.seed)
    for number, (name, kill, kills, trials) in enumerate(plan(args.what, args.kills)):
        with tempfile.TemporaryDirectory() as folder:
            search = Search(Path(folder), trials, seed=args.seed * 1000 + number)
            start = time.monotonic()
            kill(search, kills, draw)
            said = search.verdict()
            print(f"kill -9 of a {name}: {said} ({time.monotonic() - start:.0f} s)", flush=True)
            if "WRONG" in said:
                print((Path(folder) / "log").read_text())


if __name__ == "__main__":
    main()
