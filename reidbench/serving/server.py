"""Run the service on a port until Ctrl-C."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket

import uvicorn

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown

from .app import make
from .guard import Guard
from .service import Service

PATIENCE = 5  # seconds in which requests may end after Ctrl-C


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind(host: str, port: int) -> socket.socket:
    """Return a bound socket; port 0 selects a free one. Raises ReidbenchError if it cannot be bound."""
    with contextlib.ExitStack() as opened:
        try:
            family, _, _, _, found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
            bound = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((found[0], port, *found[2:]))
        except (OSError, OverflowError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise ReidbenchError(f"--host {shown(host)} --port {port}: {why}; use another host or port") from None
        opened.pop_all()
        return bound


def address(bound: socket.socket, host: str) -> str:
    """Return the address to open in a browser."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{bound.getsockname()[1]}/"


def server_of(service: Service, host: str) -> uvicorn.Server:
    """Return a server of the service, without logs of requests and without trust in headers of proxies."""
    for name in ("uvicorn", "python_multipart"):  # broken requests are answered, not logged
        logging.getLogger(name).setLevel(logging.ERROR)
    return uvicorn.Server(
        uvicorn.Config(
            Guard(make(service), host),
            http="h11",
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=PATIENCE,
        )
    )


def run(service: Service, host: str, bound: socket.socket) -> None:
    """Serve until Ctrl-C."""
    with bound, contextlib.closing(service), contextlib.suppress(KeyboardInterrupt):
        server_of(service, host).run(sockets=[bound])
