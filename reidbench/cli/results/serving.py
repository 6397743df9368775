"""Serve the page of a run on the loopback interface, refreshed as results arrive."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from reidbench.errors import ReidbenchError

HOST = "127.0.0.1"
EVERY = 1.0  # seconds for which a state is cached
FRAME = Path(__file__).with_name("watch.html")
POLICY = (
    "default-src 'none'; style-src 'nonce-{0}'; script-src 'nonce-{0}'; connect-src 'self'; frame-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Source:
    """Cached state and page of a run, read again only if they may have changed.

    `state` returns JSON values with a `version`, and `page` the HTML of that version.
    """

    def __init__(self, state: Callable[[], dict[str, Any]], page: Callable[[], str]) -> None:
        self._state, self._page = state, page
        self._lock = threading.Lock()
        self._last: dict[str, Any] = {}
        self._at = float("-inf")
        self._text = ""
        self._version: str | None = None

    def state(self) -> dict[str, Any]:
        """Return the current state, or `{"error": sentence}`, for example while the matrix file is being edited."""
        with self._lock:
            return self._now()

    def page(self) -> str:
        """Return the page with all results so far."""
        with self._lock:
            state = self._now()
            if "error" in state:
                raise ReidbenchError(state["error"])
            if state["version"] != self._version:
                self._text, self._version = self._page(), state["version"]
            return self._text

    def _now(self) -> dict[str, Any]:
        if time.monotonic() - self._at >= EVERY:
            try:
                self._last = self._state()
            except ReidbenchError as error:
                self._last = {"error": str(error)}
            self._at = time.monotonic()
        return self._last


class Server(ThreadingHTTPServer):
    """A server on 127.0.0.1; port 0 selects a free port. Raises OSError if the port is in use."""

    daemon_threads = True

    def __init__(self, source: Source, port: int) -> None:
        super().__init__((HOST, port), _Handler)
        self.source = source
        self.hosts = {f"{name}:{self.server_port}" for name in (HOST, "localhost")}

    @property
    def address(self) -> str:
        """Address to open in a browser."""
        return f"http://{HOST}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        """Serve `/` (the frame), `/page` and `/state`. A foreign Host header, as in DNS rebinding, is rejected."""
        if self.headers.get("Host") not in self.server.hosts:
            self._answer(403, "text/plain", "Open this server by its own address.")
        elif self.path == "/":
            nonce = secrets.token_urlsafe(16)
            self._answer(200, "text/html", FRAME.read_text("utf-8").replace("@NONCE@", nonce), POLICY.format(nonce))
        elif self.path == "/state":
            self._answer(200, "application/json", json.dumps(_finite(self.server.source.state()), allow_nan=False))
        elif self.path == "/page":
            self._page()
        else:
            self._answer(404, "text/plain", "No such page.")

    def _page(self) -> None:
        try:
            self._answer(200, "text/html", self.server.source.page())
        except ReidbenchError as error:
            self._answer(503, "text/plain", str(error))

    def _answer(self, code: int, kind: str, text: str, policy: str | None = None) -> None:
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        if policy:
            self.send_header("Content-Security-Policy", policy)
        else:
            self.send_header("X-Frame-Options", "SAMEORIGIN")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Do not log requests."""


def _finite(value: Any) -> Any:
    """Return JSON values with None for nan and infinity, which JSON in a browser does not support."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not abs(value) < float("inf") else value
