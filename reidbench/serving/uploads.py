"""The image of a multipart request, read into memory within limits; nothing is written to a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from .limits import Limits, Refused

PART = "picture"
FORM = "multipart/form-data"
DRAINED = 4  # times the limit: a larger body is not read to its end, so its sender may miss the answer
CLOSE = {"Connection": "close"}


async def read_body(request: Request, limits: Limits, keep: Callable[[int], None]) -> bytes:
    """Return the body. Raises Refused if it is too large (413) or too slow (408), or if its sender disconnects (400).

    `keep` is called with the size of each part before that is kept in memory. The rest of a body that is too large is
    read and dropped, since most senders read no answer before they have sent everything.
    """
    size, kept = 0, bytearray()
    too_large = int(request.headers.get("content-length", 0)) > limits.upload
    try:
        async with asyncio.timeout(limits.seconds):
            async for chunk in request.stream():
                size += len(chunk)
                too_large = too_large or size > limits.upload
                if not too_large:
                    keep(len(chunk))
                    kept += chunk
                elif size > DRAINED * limits.upload:
                    break
    except TimeoutError:
        raise Refused(408, f"the upload did not arrive within {limits.seconds:g} seconds", CLOSE) from None
    except ClientDisconnect:
        raise Refused(400, "the upload ends early") from None
    if too_large:
        raise Refused(413, f"the upload has more than {limits.upload} bytes; send a smaller image", CLOSE)
    return bytes(kept)


def picture_in(content_type: str, body: bytes) -> bytes:
    """Return the bytes of the part `picture`.

    Raises Refused for another kind of body (415), a broken one (400), and a missing, repeated or other part (422).
    """
    kind, options = parse_options_header(content_type)
    if kind != FORM.encode():
        raise Refused(415, f"the body must be {FORM}, with the image as its part `{PART}`")
    if not options.get(b"boundary"):
        raise Refused(400, f"the header Content-Type names no boundary of {FORM}")
    parts = _Parts()
    try:
        parser = MultipartParser(options[b"boundary"], parts.callbacks())
        parser.write(body)
    except FormParserError:
        raise Refused(400, f"the body is not valid {FORM}") from None
    if not parts.ended:
        raise Refused(400, f"the body is not complete {FORM}: it ends before its last boundary")
    if parts.picture is None:
        raise Refused(422, f"the form has no part `{PART}`; send the image as this part")
    return bytes(parts.picture)


class _Parts:
    """Callbacks of the parser. File names and all other headers of a part are ignored."""

    def __init__(self) -> None:
        self.picture: bytearray | None = None
        self.ended = False
        self._header, self._value, self._disposition = bytearray(), bytearray(), b""

    def callbacks(self) -> dict[str, object]:
        names = "part_begin", "header_field", "header_value", "header_end", "headers_finished", "part_data", "end"
        return {f"on_{name}": getattr(self, f"_{name}") for name in names}

    def _part_begin(self) -> None:
        self._disposition = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") != PART.encode():
            raise Refused(422, f"the form has a part other than `{PART}`; send only the image, and `k` in the address")
        if self.picture is not None:
            raise Refused(422, f"the form has several parts `{PART}`; send one image")
        self.picture = bytearray()

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self.picture is not None:
            self.picture += data[start:end]

    def _end(self) -> None:
        self.ended = True
