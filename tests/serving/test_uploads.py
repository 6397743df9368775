"""The part `picture` of a form, as bytes; anything else is refused with a status and one sentence."""

from __future__ import annotations

import pytest

pytest.importorskip("python_multipart")
pytest.importorskip("starlette")

from reidbench.serving.limits import Limits, Refused, Room
from reidbench.serving.uploads import picture_in

KIND = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="picture"; filename="../../etc/passwd"\r\n\r\n%s\r\n'
END = b"--b--\r\n"


def test_a_picture_is_taken_as_it_is() -> None:
    """Also with a boundary inside, as RFC 2046 permits it within a line."""
    for data in (b"", b"x", b"\r\n", b"a --b-- b", bytes(range(256)) * 99):
        assert picture_in(KIND, PART % data + END) == data
    assert picture_in('Multipart/Form-Data; charset=utf-8; boundary="b"', PART % b"x" + END) == b"x"


@pytest.mark.parametrize(
    ("status", "words", "kind", "body"),
    [
        (415, "the body must be multipart/form-data", "", PART % b"x" + END),
        (415, "the body must be multipart/form-data", "image/png", b"x"),
        (415, "the body must be multipart/form-data", "multipart/mixed; boundary=b", PART % b"x" + END),
        (400, "names no boundary", "multipart/form-data", PART % b"x" + END),
        (400, "names no boundary", "multipart/form-data; boundary=", PART % b"x" + END),
        (400, "is not valid", "multipart/form-data; boundary=other", PART % b"x" + END),
        (400, "is not valid", f"multipart/form-data; boundary={'b' * 999}", PART % b"x" + END),
        (400, "is not valid", KIND, b"nothing of the kind"),
        (400, "is not valid", KIND, PART.replace(b": form", b" form") % b"x" + END),
        (400, "ends before its last boundary", KIND, b""),
        (400, "ends before its last boundary", KIND, PART % b"x"),
        (422, "has no part `picture`", KIND, END),
        (422, "has a part other than `picture`", KIND, PART.replace(b'"picture"', b'"k"') % b"5" + END),
        (422, "has a part other than `picture`", KIND, b"--b\r\nX: y\r\n\r\nx\r\n" + END),
        (422, "has several parts `picture`", KIND, PART % b"x" + PART % b"y" + END),
    ],
)
def test_another_body_is_refused(status: int, words: str, kind: str, body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        picture_in(kind, body)
    assert caught.value.status == status
    assert words in caught.value.sentence


def test_a_room_is_left_after_an_error_too() -> None:
    room = Room(Limits(waiting=1).waiting)
    with pytest.raises(ValueError, match="x"), room.entered():
        raise ValueError("x")
    with room.entered(), pytest.raises(Refused, match="1 requests are already waiting") as caught, room.entered():
        pass
    assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "1"})
    with room.entered():
        assert room.inside == 1
