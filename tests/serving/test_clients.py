"""Many clients at once, and hostile ones: no answer is lost or changed, and nothing is left behind or read outside."""

from __future__ import annotations

import concurrent.futures
import contextlib
import re
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.hostile_uploads import Hostile, hostile
from tests.support.services import Command, ask, search

CLIENTS = 50


def test_parallel_clients_get_the_answers_of_single_ones(served: Command, figure: Callable[[str], None]) -> None:
    """All upload at the same time, twice each; each answer has the same bytes as when it is asked for alone."""
    pictures = [path.read_bytes() for path in served.queries]
    alone = [search(served.port, picture, 7).body for picture in pictures]
    assert len(set(alone)) > len(pictures) // 2  # they do differ
    numbers = [number % len(pictures) for number in range(2 * CLIENTS)]
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda number: search(served.port, pictures[number], 7), numbers))
    assert Counter(answer.status for answer in answers) == {200: len(numbers)}
    assert [answer.body for answer in answers] == [alone[number] for number in numbers]
    figure(f"search service: {len(numbers)} searches by {CLIENTS} clients at once, equal to those asked for alone")


def snapshot(folder: Path) -> dict[str, int]:
    """Every file below a folder with its time of change."""
    return {path.relative_to(folder).as_posix(): path.lstat().st_mtime_ns for path in folder.rglob("*")}


def sent(port: int, request: Hostile) -> bytes:
    """Send a request and return the answer; for an incomplete one it may be empty, after a while."""
    found = b""
    patience = 120 if request.complete else 2
    with (
        socket.create_connection(("127.0.0.1", port), timeout=patience) as connection,
        contextlib.nullcontext() if request.complete else contextlib.suppress(OSError),
    ):
        connection.sendall(request.data)
        while part := connection.recv(1 << 16):
            found += part
    assert found or not request.complete, request.data[:500]
    return found


def attack(served: Command, count: int, seed: int) -> Counter[str]:
    """Send hostile requests from many clients; the statuses of the answers."""
    pictures = [path.read_bytes() for path in served.queries[:3]]
    before = [search(served.port, picture).body for picture in pictures]
    files, open_before, content = served.open_files(), served.descriptors(), snapshot(served.folder)
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda request: sent(served.port, request), hostile(count, seed)))
    assert served.process.poll() is None
    assert [search(served.port, picture).body for picture in pictures] == before
    end = time.monotonic() + 60
    while served.descriptors() > open_before and time.monotonic() < end:  # connections end after their clients
        time.sleep(0.1)
    assert served.descriptors() <= open_before
    assert served.open_files() == files
    assert snapshot(served.folder) == content  # neither temporary files nor any other
    for answer in answers:
        assert b"root:" not in answer  # /etc/passwd
        assert b"Traceback" not in answer
        assert not re.search(rb"\A(?!HTTP/1\.1 )", answer) or answer == b""
    return Counter(
        re.sub(r"\AHTTP/1\.1 ([0-9]+) .*", r"\1", answer[:30].decode("latin-1"), flags=re.S) for answer in answers
    )


@pytest.mark.slow
def test_hostile_uploads_change_nothing(served: Command, figure: Callable[[str], None]) -> None:
    statuses = attack(served, 110, 0)
    assert statuses["500"] == 0
    assert {"200", "400", "403", "404", "413", "415", "422"} <= statuses.keys()
    figure(f"search service: hostile requests by status: {dict(sorted(statuses.items()))}")


@pytest.mark.long
def test_a_thousand_hostile_uploads_change_nothing(served: Command, figure: Callable[[str], None]) -> None:
    statuses = attack(served, 1000, 1)
    assert statuses["500"] == 0
    assert ask(served.port, "GET", "/about").status == 200
    figure(f"search service: 1,000 hostile requests by status: {dict(sorted(statuses.items()))}")
