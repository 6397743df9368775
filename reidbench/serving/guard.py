"""Rejects requests of foreign pages, and adds security headers to every answer."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
Program = Callable[[Message, Receive, Send], Awaitable[None]]

POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """An ASGI program in front of another one.

    A page of another site can send requests to this machine. With DNS rebinding it also reads the answers, under its
    own name as the host: accepted hosts are therefore addresses, `localhost`, and `name`, the host that was asked for.
    Without rebinding its requests have a foreign Origin.
    """

    def __init__(self, program: Program, name: str) -> None:
        self.program = program
        self.names = {"localhost", name.lower()}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with 403."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                more = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *(one for one in more if one[0] not in given)]
            await send(message)

        if scope["type"] == "http" and (fault := self.fault(scope["headers"])):
            await _forbid(fault, sending)
        else:
            await self.program(scope, receive, sending)

    def fault(self, headers: list[tuple[bytes, bytes]]) -> str:
        """Return why a request with these headers is rejected, or an empty string."""
        found = {name: value.decode("latin-1") for name, value in headers}
        host = found.get(b"host", "")
        if not self._is_own(host):
            return "the host of this request is not this server; open the server by its own address"
        origin = found.get(b"origin")
        if origin is not None and origin.partition("://")[2] != host:
            return "this request comes from a page of another site"
        return ""

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name in self.names:
                return True
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


async def _forbid(sentence: str, send: Send) -> None:
    body = json.dumps({"error": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
