"""Ray clusters: starting and joining them, their resources, and checks of their nodes."""

from __future__ import annotations

import importlib
import ipaddress
import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reidbench.errors import ReidbenchError
from reidbench.execution.executors import nodes
from reidbench.registry import plugins

ANSWER = 20.0 + nodes.ANSWER  # seconds for a Ray worker to start and its node to answer
REACH = 10.0  # seconds for a cluster's head to accept a connection
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"  # the first frame of both sides of HTTP/2 (RFC 9113, 3.4), here empty
STARTS = 2  # attempts to start a local Ray: it gives up after 30 s, too early on a loaded machine
OBJECT_STORE = 100 * 2**20  # bytes; stages exchange artifacts through the store, and only messages through Ray
LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # "0", the default of those systems, makes nodes use 127.0.0.1


@dataclass(frozen=True)
class Room:
    """Resources of the live nodes."""

    names: Mapping[str, str]  # node ID -> printed name
    slots: int = 1  # number of stages with the benchmark's threads that all nodes can hold
    cpus: int = 1  # of the largest node
    gpus: int = 0  # of the node with the most


def on_loopback(address: str | None) -> bool:
    """Return whether a Ray uses this machine only: one to start (None), or one with its head at 127.0.0.1 or ::1."""
    if address is None:
        return True
    try:
        return ipaddress.ip_address(address.rpartition(":")[0].strip("[]")).is_loopback
    except ValueError:  # a name, or auto
        return False


def library(*, loopback: bool) -> Any:
    """Import Ray; with `loopback`, its local nodes are not reachable from other machines.

    Raises ReidbenchError if it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # leave GPUs visible, without a warning
    before = os.environ.get(LOOPBACK)
    if loopback:
        os.environ[LOOPBACK] = "0"  # read when Ray is imported
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError:
        raise ReidbenchError("--executor ray needs Ray: run pip install 'reidbench[ray]'") from None
    finally:
        if before is None:
            os.environ.pop(LOOPBACK, None)
        else:
            os.environ[LOOPBACK] = before


def _hush(silent: bool) -> None:
    """Keep Ray's messages about lost workers off standard output, which is for the table; they are in Ray's logs."""
    inside: Any = importlib.import_module("ray._private.worker")
    inside._worker_logs_enabled = not silent  # `log_to_driver` does not affect these messages


def leave(ray: Any) -> None:
    """End the Ray that was started here, or leave the cluster that was joined."""
    ray.shutdown()
    _hush(False)


def start_local(ray: Any, cpus: int) -> None:
    """Start a Ray on this machine, reachable only from it. Raises ReidbenchError."""
    for left in range(STARTS - 1, -1, -1):
        _hush(True)
        try:
            ray.init(
                address="local",  # otherwise Ray might join an existing cluster of this machine
                num_cpus=cpus,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
            break
        except Exception as error:  # Ray raises many types, including bare exceptions
            leave(ray)
            if not left:
                raise ReidbenchError(f"Ray cannot be started: {_first_line(error)}") from None
    for node in ray.nodes():
        if not ipaddress.ip_address(node["NodeManagerAddress"]).is_loopback:
            leave(ray)
            raise ReidbenchError(
                "Ray was imported before its executor was created: it would listen beyond this machine"
            )


def join(ray: Any, address: str) -> None:
    """Join the cluster with its head at HOST:PORT; `auto` is the cluster of this machine. Raises ReidbenchError."""
    if address != "auto":
        host, _, port = address.rpartition(":")
        if not port.isdigit() or not host or "/" in host:
            raise ReidbenchError(f"--address {address!r} must be HOST:PORT of the cluster's head, or auto")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=REACH) as connection:
                _greet(connection)
        except (OSError, OverflowError) as error:
            raise ReidbenchError(f"no Ray cluster answers at {address}: {_first_line(error)}") from None
    _hush(True)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises many types, including bare exceptions
        leave(ray)
        text = f"the Ray cluster at {address} cannot be joined from this machine: {_first_line(error)}"
        raise ReidbenchError(text) from None


def _greet(connection: socket.socket) -> None:
    """Raise OSError unless a server speaks HTTP/2, like Ray's head: with other servers Ray waits for minutes."""
    if os.environ.get("RAY_USE_TLS", "0") != "0":
        return  # it uses TLS
    connection.settimeout(REACH)
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS)
    answer = b""
    while len(answer) < len(SETTINGS):
        part = connection.recv(len(SETTINGS) - len(answer))
        if not part:
            break
        answer += part
    if answer[3:4] != SETTINGS[3:4]:  # a frame: its length in three bytes, then its type
        raise OSError("the server at that address is not the head of a cluster")


def look_around(ray: Any, threads: int) -> Room:
    """Return the nodes of the cluster, and the number of stages with this number of threads that they can hold."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    cpus = [int(node["Resources"].get("CPU", 0)) for node in alive]
    largest = max([1, *cpus])
    names = {
        node["NodeID"]: f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']}, {node['NodeID'][:8]})"
        for node in alive
    }
    gpus = max([0, *(int(node["Resources"].get("GPU", 0)) for node in alive)])
    return Room(names, sum(count // min(threads, largest) for count in cpus), largest, gpus)


def check_nodes(ray: Any, room: Room, expected: nodes.Expected) -> None:
    """Compare every node with this one. Raises ReidbenchError that lists the nodes and their differences."""
    strategy = importlib.import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
    task = ray.remote(num_cpus=0, max_calls=1)(look)
    answers = {
        node: task.options(scheduling_strategy=strategy(node, soft=False)).remote(expected) for node in room.names
    }
    wrong = []
    for node, answer in answers.items():
        try:
            found = ray.get(answer, timeout=ANSWER)
        except ray.exceptions.RayError as error:
            found = [f"it cannot report its environment: {plugins.one_line(str(error) or type(error).__name__)}"]
        if found:
            wrong.append(unfit(room.names[node], found))
    if wrong:
        raise ReidbenchError(f"nothing was run: {'; '.join(wrong)}")


def look(expected: nodes.Expected) -> list[str]:
    """Return, on a node, why it is not usable; empty if it is."""
    nodes.adopt(expected)
    return nodes.problems(expected, this_node())


def this_node() -> str:
    """Return, on a node, its ID."""
    import ray

    return str(ray.get_runtime_context().get_node_id())


def unfit(node: str, found: list[str]) -> str:
    """Return a message about a node and why it is not usable."""
    return f"node {node} is not usable: {', '.join(found)}"


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return plugins.printable(lines[0] if lines else type(error).__name__)
