"""Hosts and ports of the service."""

from __future__ import annotations

import socket

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")
pytest.importorskip("python_multipart")

from reidbench.errors import ReidbenchError
from reidbench.serving.server import address, bind, is_loopback


def test_loopback_is_this_machine_only() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.9.1", "localhost", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.0.2.7", "example.org", "")))  # noqa: S104


def test_a_port_in_use_is_one_sentence() -> None:
    with bind("127.0.0.1", 0) as bound:
        bound.listen()
        port = bound.getsockname()[1]
        assert address(bound, "127.0.0.1") == f"http://127.0.0.1:{port}/"
        with pytest.raises(
            ReidbenchError, match=rf"^--host 127\.0\.0\.1 --port {port}: Address already in use; use an"
        ):
            bind("127.0.0.1", port)
    for host, port in (("127.0.0.1", 1 << 17), ("no such host", 0), ("", 1 << 70), ("a" * 70 + ".b", 0)):
        with pytest.raises(ReidbenchError, match=r"^--host .*; use another host or port$"):
            bind(host, port)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_addresses_of_ipv6_are_in_brackets() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert address(bound, "::1") == f"http://[::1]:{bound.getsockname()[1]}/"
