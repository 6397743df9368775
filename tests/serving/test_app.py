"""The service in a thread: its answers, its limits, and whom it answers."""

from __future__ import annotations

import concurrent.futures
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("python_multipart")
pytest.importorskip("faiss")

from tests.support.services import Answer, ask, encoded, form_of, mean_colours, noise, search, service_of, serving


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images; read only."""
    folder = tmp_path_factory.mktemp("gallery")
    for number in range(12):
        (folder / f"{number:02}.png").write_bytes(encoded(noise(number)))
    (folder / "<b>&.png").write_bytes(encoded(noise(99)))
    return folder


@pytest.fixture(scope="module")
def port(gallery: Path) -> Iterator[int]:
    with serving(service_of(gallery, upload=1 << 20, pixels=10_000, results=20)) as found:
        yield found


def refused(answer: Answer, status: int, words: str) -> None:
    """The answer is one sentence as JSON."""
    assert (answer.status, list(answer.json)) == (status, ["error"]), answer.body
    assert words in answer.json["error"]
    assert "\n" not in answer.json["error"]
    assert answer.headers["Content-Type"] == "application/json"


def reach(holds: Callable[[], bool]) -> None:
    """Wait until the server has come to a state."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


# ---------------------------------------------------------------------- search
def test_an_answer_is_the_ranking_by_numpy(port: int, gallery: Path) -> None:
    names = sorted(path.name for path in gallery.iterdir())
    features = np.stack([mean_colours(noise(99 if "<" in name else int(name[:2]))) for name in names]).astype(float)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    feature = mean_colours(noise(7)).astype(float)
    distances = 1 - features @ feature / np.linalg.norm(feature)
    answer = search(port, encoded(noise(7)), 20)
    assert answer.status == 200
    matches = answer.json["matches"]
    assert [match["rank"] for match in matches] == [*range(1, 14)]  # all thirteen: fewer than 20
    order = np.argsort(distances, kind="stable")
    assert [match["name"] for match in matches] == [names[number] for number in order]
    np.testing.assert_allclose([match["distance"] for match in matches], distances[order], atol=1e-6)
    assert matches[0]["name"] == "07.png"
    for match in matches:
        copy = ask(port, "GET", match["url"])
        assert match["url"] == f"/gallery/{match['id']}"
        assert (copy.status, copy.headers["Content-Type"], copy.body[:3]) == (200, "image/jpeg", b"\xff\xd8\xff")


def test_the_usual_number_of_images_is_ten(port: int) -> None:
    body, kind = form_of(encoded(noise(3)))
    assert len(ask(port, "POST", "/search", body, {"Content-Type": kind}).json["matches"]) == 10
    assert len(search(port, encoded(noise(3)), 1).json["matches"]) == 1


@pytest.mark.parametrize("k", ["0", "21", "-1", "x", "", "1e3", "9" * 5000, "5;", "None"])
def test_another_number_of_images_is_refused(port: int, k: str) -> None:
    refused(search(port, encoded(noise(3)), k), 422, "k: ")


def test_the_name_of_a_file_is_not_used(port: int) -> None:
    first = search(port, encoded(noise(3)))
    for name in ("../../etc/passwd", "/etc/passwd", "C:\\x", "%2e%2e%2f", "a\u202eb\u2603.png", "x" * 3000, ""):
        assert search(port, encoded(noise(3)), file=name, kind="text/html").body == first.body


# ---------------------------------------------------------------------- limits
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the image: cannot be decoded: it is empty (0 bytes)"),
        (b"GIF89a", "the image: cannot be decoded"),
        (b"<svg/>", "its 6 bytes are not in a supported format"),
        (encoded(noise(0))[:300], "the image: cannot be decoded"),
        (encoded(np.zeros((101, 100, 3), np.uint8)), "100 x 101 pixels exceed the limit of 10000"),
    ],
)
def test_a_picture_that_cannot_be_used(port: int, data: bytes, words: str) -> None:
    refused(search(port, data), 422, words)


def test_an_upload_of_too_many_bytes(port: int) -> None:
    refused(search(port, bytes(1 << 20)), 413, "the upload has more than 1048576 bytes; send a smaller image")
    body, kind = form_of(bytes(1 << 20))
    chunks = [body[start : start + 50_000] for start in range(0, len(body), 50_000)]  # of unknown length
    answer = ask(port, "POST", "/search", iter(chunks), {"Content-Type": kind}, encode_chunked=True)
    refused(answer, 413, "the upload has more than 1048576 bytes")


def test_a_declared_length_alone_is_enough(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        head = f"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {1 << 40}\r\n\r\n".encode()
        connection.sendall(head)
        with contextlib.suppress(OSError):  # closed by the server, which reads four times its limit
            for _ in range(100):
                connection.sendall(bytes(1 << 16))
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413 ")


def test_bodies_that_are_no_form(port: int) -> None:
    refused(ask(port, "POST", "/search", b"x", {"Content-Type": "image/png"}), 415, "must be multipart/form-data")
    refused(ask(port, "POST", "/search", b"x"), 415, "must be multipart/form-data")
    body, kind = form_of(encoded(noise(0)))
    refused(ask(port, "POST", "/search", body[:-30], {"Content-Type": kind}), 400, "ends before its last boundary")


def test_a_slow_upload_ends(gallery: Path) -> None:
    with (
        serving(service_of(gallery, seconds=0.2)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=60) as connection,
    ):
        connection.sendall(b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc")
        answer = connection.recv(1 << 16)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"the upload did not arrive within 0.2 seconds" in answer + connection.recv(1 << 16)
        assert search(port, encoded(noise(0))).status == 200


def test_more_requests_than_may_wait_are_told_to_try_again(gallery: Path) -> None:
    """Two searches wait in the network; the third is refused at once, and the first two are answered."""
    service = service_of(gallery, waiting=2)
    free = threading.Event()
    service._embed = lambda pixels: free.wait(60) and mean_colours(pixels)
    data = encoded(noise(0))
    with serving(service) as port, concurrent.futures.ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(search, port, data) for _ in range(2)]
        reach(lambda: service.searches.inside == 2)
        answer = search(port, data)
        refused(answer, 503, "2 requests are already waiting; try again")
        assert answer.headers["Retry-After"] == "1"
        assert ask(port, "GET", "/about").status == 200  # the event loop does not wait
        free.set()
        assert [one.result().status for one in waiting] == [200, 200]
        assert search(port, data).status == 200


def test_stalled_uploads_keep_nobody_out(gallery: Path) -> None:
    """Twice as many as requests may wait; each holds only the bytes that it has sent."""
    data = encoded(noise(0))
    service = service_of(gallery, waiting=3)
    with serving(service) as port, contextlib.ExitStack() as stalled:
        for _ in range(6):
            one = stalled.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            one.sendall(b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\nabc")
        reach(lambda: service.uploads.held == 6 * 3)
        assert search(port, data).status == 200
        stalled.close()
        reach(lambda: service.uploads.held == 0)


def test_uploads_that_would_fill_the_memory_are_told_to_try_again(gallery: Path) -> None:
    """Two uploads of nearly the largest size stall; a third one of that size is refused, and a small one is not."""
    service = service_of(gallery, upload=1 << 20, waiting=2)
    head = f"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: {1 << 20}\r\n\r\n".encode()
    with serving(service) as port, contextlib.ExitStack() as stalled:
        for _ in range(2):
            one = stalled.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            one.sendall(head + bytes(1_000_000))
        reach(lambda: service.uploads.held == 2_000_000)
        answer = search(port, bytes(1_000_000))
        refused(answer, 503, "too many uploads arrive at the same time; try again")
        assert answer.headers["Retry-After"] == "1"
        assert search(port, encoded(noise(0))).status == 200
        stalled.close()
        reach(lambda: service.uploads.held == 0)
        refused(search(port, bytes(1_000_000)), 422, "the image: cannot be decoded")


def test_a_failure_is_one_sentence_too(gallery: Path) -> None:
    """It is a bug: uvicorn prints its traceback for the operator, and the client sees none of it."""
    service = service_of(gallery)

    def fail(pixels: np.ndarray) -> np.ndarray:
        raise RuntimeError("a secret")

    service._embed = fail
    with serving(service) as port:
        refused(search(port, encoded(noise(0))), 500, "the server failed; its terminal shows the reason")


# ---------------------------------------------------------------------- who is answered
@pytest.mark.parametrize("path", ["/", "/about", "/openapi.json", "/gallery/0"])
def test_foreign_hosts_and_pages_are_refused(port: int, path: str) -> None:
    for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example", "[::", ""):
        refused(ask(port, "GET", path, headers={"Host": host}), 403, "the host of this request is not this server")
    for origin in ("http://evil.example", "null", f"http://localhost:{port + 1}", "file://"):
        headers = {"Host": f"localhost:{port}", "Origin": origin}
        refused(ask(port, "GET", path, headers=headers), 403, "this request comes from a page of another site")
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", "[::1]:9", "192.0.2.7"):
        answer = ask(port, "GET", path, headers={"Host": host, "Origin": f"http://{host}"})
        assert answer.status == 200
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_every_answer_forbids_what_a_page_does_not_need(port: int) -> None:
    page = ask(port, "GET", "/")
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    nonces = {one.headers["Content-Security-Policy"] for one in (page, ask(port, "GET", "/"))}
    assert len(nonces) == 2
    for text in (b"http:", b"https:", b"//", b"@NONCE@"):
        assert text not in page.body.replace(b"// ", b""), text
    for answer in (page, ask(port, "GET", "/about"), ask(port, "GET", "/none"), ask(port, "GET", "/gallery/0")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Server"] is None


@pytest.mark.parametrize(
    "path",
    [
        "/gallery/00.png", "/gallery/../00.png", "/gallery/..%2f..%2fetc%2fpasswd", "/gallery/%2e%2e/", "/gallery//etc",
        "/../../etc/passwd", "/static/../etc/passwd", "/gallery/-1", "/gallery/13", "/gallery/1e1", "/gallery/0x1",
        "/gallery/" + "9" * 4000, "/gallery/%00", "/docs", "/redoc", "/gallery", "/search/", "/gallery/0%00.png",
    ],
)  # fmt: skip
def test_there_are_no_other_pages(port: int, path: str) -> None:
    answer = ask(port, "GET", path)
    assert answer.status in (404, 422)
    assert list(answer.json) == ["error"]


def test_other_methods_are_refused(port: int) -> None:
    for method, path in (("GET", "/search"), ("POST", "/about"), ("PUT", "/gallery/0"), ("DELETE", "/gallery/0")):
        answer = ask(port, method, path)
        refused(answer, 405, "this address has no such method; see /openapi.json")
        assert answer.headers["Allow"]


def test_a_picture_that_left_the_gallery(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(encoded(noise(len(name))))
    with serving(service_of(tmp_path)) as port:
        (tmp_path / "a.png").unlink()
        refused(ask(port, "GET", "/gallery/0"), 404, "image 0 is no longer in the gallery; restart the server")
        refused(ask(port, "GET", "/gallery/2"), 404, "no image with this number; the last one is 1")
        assert len(search(port, encoded(noise(5))).json["matches"]) == 2


def test_the_document_describes_the_interface(port: int) -> None:
    document: Any = ask(port, "GET", "/openapi.json").json
    assert sorted(document["paths"]) == ["/about", "/gallery/{number}", "/search"]
    operation = document["paths"]["/search"]["post"]
    assert sorted(operation["responses"]) == ["200", "400", "403", "408", "413", "415", "422", "503"]
    (k,) = operation["parameters"]
    assert (k["name"], k["schema"]["minimum"], k["schema"]["maximum"], k["schema"]["default"]) == ("k", 1, 20, 10)
    assert list(operation["requestBody"]["content"]) == ["multipart/form-data"]
