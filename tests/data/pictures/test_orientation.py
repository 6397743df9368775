"""Images are oriented as in a viewer, by every decoder."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reidbench.data.pictures.images import decode_image
from reidbench.data.pictures.orientation import in_exif, jpeg_orientation, upright

RED, GREEN, BLUE, WHITE = [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]
SHOWN = np.array([[RED, GREEN], [BLUE, WHITE]], np.uint8).repeat(16, 0).repeat(8, 1)  # 32 x 16: portrait
# EXIF 2.32, tag 274: on which sides of the shown picture the first row and the first column of the file are.
SIDES = {1: "top left", 2: "top right", 3: "bottom right", 4: "bottom left", 5: "left top", 6: "right top",
         7: "right bottom", 8: "left bottom"}  # fmt: skip
Decoder = Callable[[bytes, str], np.ndarray]


def stored(turn: int) -> np.ndarray:
    """Pixels that a camera stores for SHOWN, from the side of the first row and the side of the first column."""
    row, column = SIDES[turn].split()
    picture = SHOWN.swapaxes(0, 1) if row in ("left", "right") else SHOWN
    picture = picture[::-1] if row in ("bottom", "right") else picture
    return picture[:, ::-1] if column in ("bottom", "right") else picture


def exif(turn: int, order: str = ">", kind: int = 3) -> bytes:
    """An EXIF block by the specification: another tag, then the orientation."""
    value = struct.pack(f"{order}{'HH' if kind == 3 else 'I'}", *((turn, 0) if kind == 3 else (turn,)))
    rows = struct.pack(f"{order}HHIHH", 0x0103, 3, 1, 6, 0) + struct.pack(f"{order}HHI", 0x0112, kind, 1) + value
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(f"{order}I", 8)
    return b"Exif\0\0" + head + struct.pack(f"{order}H", 2) + rows + bytes(4)


def jpeg(pixels: np.ndarray, block: bytes | None) -> bytes:
    return with_app1(encoded(pixels, "JPEG", quality=100, subsampling=0), block)


def with_app1(data: bytes, block: bytes | None) -> bytes:
    return data if block is None else data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]


def png(pixels: np.ndarray, block: bytes, place: str = "before") -> bytes:
    data, content = encoded(pixels, "PNG"), block.removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(content)) + b"eXIf" + content + struct.pack(">I", zlib.crc32(b"eXIf" + content))
    at = 33 if place == "before" else len(data) - 12  # after the header, or before the end
    return data[:at] + chunk + data[at:]


def encoded(pixels: np.ndarray, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, form, **options)
    return stream.getvalue()


def files(turn: int) -> dict[str, bytes]:
    pixels = stored(turn)
    return {
        "JPEG": jpeg(pixels, exif(turn)),
        "JPEG, little endian": jpeg(pixels, exif(turn, "<")),
        "JPEG, as a long": jpeg(pixels, exif(turn, kind=4)),
        "PNG": png(pixels, exif(turn)),
        "PNG, at the end": png(pixels, exif(turn), "after"),
        "TIFF": encoded(pixels, "TIFF", tiffinfo={274: turn}),
        "TIFF, packed": encoded(pixels, "TIFF", tiffinfo={274: turn}, compression="tiff_lzw"),
        "WebP": encoded(pixels, "WEBP", lossless=True, exif=exif(turn)),
    }


@pytest.fixture(params=["Pillow", "fast"])
def decode(request: pytest.FixtureRequest) -> Decoder:
    """Both ways from bytes to pixels."""
    if request.param == "Pillow":
        return decode_image
    pytest.importorskip("cv2")
    pytest.importorskip("simplejpeg")
    from reidbench.training.batches.fast import decode

    return decode


@pytest.mark.parametrize("turn", SIDES)
def test_all_eight_in_all_formats(turn: int, decode: Decoder) -> None:
    for name, data in files(turn).items():
        pixels = decode(data, name)
        assert pixels.shape == SHOWN.shape, name
        assert np.abs(pixels.astype(int) - SHOWN).max() <= 4, name  # JPEG
        assert pixels.flags.c_contiguous


def test_sixteen_bits_are_turned_too(decode: Decoder) -> None:
    grey = (SHOWN[..., 0].astype(np.uint16) << 8) | 7
    stream = io.BytesIO()
    Image.fromarray(np.rot90(grey)).save(stream, "TIFF", tiffinfo={274: 6})
    assert (decode(stream.getvalue(), "x")[..., 1] == SHOWN[..., 0]).all()


GOOD = exif(6)
DAMAGED = {
    "empty": b"Exif\0\0",
    "no directory": GOOD[:14],
    "cut in the tag": GOOD[:32],
    "directory elsewhere": GOOD[:10] + b"\xff\xff\xff\xff" + GOOD[14:],
    "another header": GOOD.replace(b"MM", b"XX"),
    "no orientation": GOOD.replace(b"\x01\x12", b"\x01\x0f"),
    "zero": exif(0),
    "nine": exif(9),
    "text": b"Exif\0\0" + b"hello" * 9,
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's, of parts that are not read here
@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_block_counts_as_none(name: str, decode: Decoder) -> None:
    block = DAMAGED[name]
    for data in (jpeg(SHOWN, block), png(SHOWN, block), encoded(SHOWN, "WEBP", lossless=True, exif=block)):
        assert np.abs(decode(data, name).astype(int) - SHOWN).max() <= 4


def test_any_bytes_give_an_orientation() -> None:
    random = np.random.default_rng(0)
    for size in range(300):
        assert 1 <= in_exif(random.bytes(size)) <= 8
        assert 1 <= in_exif(GOOD[: random.integers(1, len(GOOD))] + random.bytes(size)) <= 8


def test_a_jpeg_without_exif_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("the header was read")

    data = jpeg(SHOWN, None)
    monkeypatch.setattr(Image, "open", opened)
    assert jpeg_orientation(data) == 1
    with pytest.raises(AssertionError):
        jpeg_orientation(jpeg(SHOWN, GOOD))


def test_turning_twice_is_not_turning() -> None:
    for turn, back in ((2, 2), (3, 3), (4, 4), (5, 5), (6, 8), (7, 7), (8, 6)):
        assert np.array_equal(upright(upright(SHOWN, turn), back), SHOWN)


INKS = np.random.default_rng(1).integers(0, 256, (4, 4, 4), dtype=np.uint8).repeat(8, 0).repeat(8, 1)


@pytest.mark.parametrize("kind", ["CMYK", "YCCK", "CMYK without Adobe's mark", "grey", "RGB", "progressive"])
def test_the_fast_way_gives_pillows_pixels(kind: str) -> None:
    """simplejpeg takes stored inks as they are, and Adobe's are inverted: white would be black."""
    pytest.importorskip("cv2")
    pytest.importorskip("simplejpeg")
    from reidbench.training.batches.fast import decode

    stream = io.BytesIO()
    if "C" in kind[:4]:
        Image.fromarray(INKS, "CMYK").save(stream, "JPEG")
    elif kind == "grey":
        Image.fromarray(INKS[..., 0]).save(stream, "JPEG")
    else:
        Image.fromarray(INKS[..., :3]).save(stream, "JPEG", keep_rgb=kind == "RGB", progressive=kind == "progressive")
    data = stream.getvalue()
    if kind.startswith(("YCCK", "CMYK w")):
        at = data.index(b"Adobe")
        data = data[: at + 11] + b"\2" + data[at + 12 :] if kind == "YCCK" else data.replace(b"Adobe", b"Other")
    assert np.abs(decode(data, kind).astype(int) - decode_image(data, kind)).max() <= 1


def test_other_kinds_of_pixels_are_left_to_pillow(decode: Decoder) -> None:
    palette = Image.fromarray(np.array([[0, 1]], np.uint8))
    palette.putpalette([200, 10, 20, 30, 40, 250])
    stream = io.BytesIO()
    palette.save(stream, "PNG", transparency=0)
    assert decode(stream.getvalue(), "x").tolist() == [[[200, 10, 20], [30, 40, 250]]]
    stream = io.BytesIO()
    Image.fromarray(np.array([[[77, 0], [9, 255]]], np.uint8)).save(stream, "PNG")  # grey and alpha
    assert decode(stream.getvalue(), "x")[..., 0].tolist() == [[77, 9]]
    stream = io.BytesIO()
    frames = [Image.new("RGB", (4, 2), colour) for colour in ((0, 0, 255), (255, 0, 0))]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    assert decode(stream.getvalue(), "x")[0, 0].tolist() == [0, 0, 255]
