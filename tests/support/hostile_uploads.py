"""Hostile requests to a search service, drawn from a seed: raw bytes to send, and nothing that a person would."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tests.support.services import encoded, form_of, noise

PATHS = (
    "../../../../etc/passwd", "/etc/passwd", "..\\..\\windows\\win.ini", "%2e%2e%2f%2e%2e%2fetc/passwd",
    "file:///etc/passwd", "x.png\0.txt", "\u202egnp.exe", "\U0001f47e" * 40, "x" * 4000, "", ".", "CON", "|id",
    "$(touch hacked)", "a\r\nX: y",
)  # fmt: skip
GOOD = encoded(noise(1))
Drawn = np.random.Generator


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    """A PNG that claims a size, by its specification."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def pick(random: Drawn, among: tuple[str, ...]) -> str:
    return among[int(random.integers(len(among)))]


def post(body: bytes, kind: str, length: int | None = None, path: str = "/search", host: str = "127.0.0.1") -> bytes:
    """A request as it is sent; `length` replaces the true length of the body."""
    size = len(body) if length is None else length
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n"
    return head.encode("utf-8", "replace") + b"Connection: close\r\n\r\n" + body


def truncated(random: Drawn) -> bytes:
    form = encoded(noise(2), str(random.choice(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])))
    return post(*form_of(form[: int(random.integers(1, len(form) - 20))]))


def flipped(random: Drawn) -> bytes:
    """A picture with some bytes replaced."""
    data = np.frombuffer(encoded(noise(3), str(random.choice(["PNG", "JPEG", "GIF", "WEBP", "TIFF"]))), np.uint8).copy()
    data[random.integers(len(data), size=5)] = random.integers(256, size=5)
    return post(*form_of(data.tobytes()))


def bomb(random: Drawn) -> bytes:
    """Few bytes that claim, or decompress to, very many pixels."""
    width, height = (int(2 ** random.uniform(13, 31)) for _ in range(2))
    return post(*form_of(png(width, height, bytes(int(random.integers(1 << 20))))))


def other_kind(random: Drawn) -> bytes:
    texts = (
        b"",
        b"%PDF-1.4\n",
        b"<svg onload='x'/>",
        b"PK\3\4" + bytes(99),
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"GIF89a",
        bytes(999),
    )
    return post(
        *form_of(texts[int(random.integers(len(texts)))], kind=pick(random, ("text/html", "image/png", "x", "")))
    )


def named(random: Drawn) -> bytes:
    """A true picture under a hostile name, or as a hostile part."""
    name = "picture" if random.integers(2) else pick(random, PATHS)
    return post(*form_of(GOOD, name=name, file=pick(random, PATHS)))


def addressed(random: Drawn) -> bytes:
    """Paths and hosts that are none of the server's."""
    path = pick(random, PATHS[:5]).replace("\\", "/")
    place = pick(random, ("/gallery/", "/", "/search/", "/search?k=", "/about/", "//", "/gallery/0/"))
    host = pick(random, ("127.0.0.1", "evil.example", "127.0.0.1, evil.example", "[::", "a b"))
    if random.integers(2):
        return f"GET {place}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    return post(*form_of(GOOD), path=f"{place}{path}", host=host)


def fuzzed(random: Drawn) -> bytes:
    """A request with bytes replaced anywhere, also in its head."""
    data = np.frombuffer(post(*form_of(GOOD)), np.uint8).copy()
    places = random.integers(int(random.choice([150, 400, len(data)])), size=int(random.integers(1, 9)))
    data[places] = random.integers(256, size=len(places))
    return data.tobytes()


def misdeclared(random: Drawn) -> bytes:
    """Lengths and kinds that the body does not have, and broken forms."""
    body, kind = form_of(GOOD)
    kinds = (
        kind,
        kind[:-5],
        "multipart/form-data",
        "image/png",
        "multipart/form-data; boundary=" + "x" * 500,
        "\u2603",
    )
    length = int(random.choice([len(body), len(body) - 50, len(body) + 50, 0, 1 << 50]))
    return post(body[int(random.integers(99)) :] if random.integers(2) else body, pick(random, kinds), length)


def noisy(random: Drawn) -> bytes:
    """Random bytes, as a request or as a form."""
    data = random.bytes(int(random.integers(1, 5000)))
    return data if random.integers(2) else post(data, "multipart/form-data; boundary=x")


def many_parts(random: Drawn) -> bytes:
    body = b"--x\r\n" + b'Content-Disposition: form-data; name="picture"\r\n' * int(random.integers(1, 300))
    return post(body + b"\r\n" + (GOOD + b"\r\n--x\r\n") * int(random.integers(300)), "multipart/form-data; boundary=x")


def large(random: Drawn) -> bytes:
    """More bytes than may be uploaded, in one part."""
    return post(*form_of(bytes((1 << 20) + int(random.integers(1 << 18)))))


COMPLETE: tuple[Callable[[Drawn], bytes], ...] = (
    truncated, flipped, bomb, other_kind, named, addressed, many_parts, large,
)  # fmt: skip
INCOMPLETE: tuple[Callable[[Drawn], bytes], ...] = (fuzzed, misdeclared, noisy)


@dataclass(frozen=True)
class Hostile:
    """A request as it is sent. A server may wait for the rest of an incomplete one; all others have an answer."""

    data: bytes
    complete: bool


def hostile(count: int, seed: int) -> Iterator[Hostile]:
    """Requests of all kinds in turn."""
    random = np.random.default_rng(seed)
    for number in range(count):
        kind = (*COMPLETE, *INCOMPLETE)[number % 11]
        yield Hostile(kind(random), kind in COMPLETE)
