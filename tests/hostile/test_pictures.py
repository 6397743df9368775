"""Files among the pictures that are none, or more than a picture: a sentence with the file's name, or pixels."""

from __future__ import annotations

import io
import os
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reidbench.data import Split, load_pixels, read_image
from reidbench.data.pictures.images import decode_image
from reidbench.errors import DataError
from reidbench.testing import run_matrix, write_market_folder


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG by its specification: colour 0 is grey, 2 RGB; every row begins with a filter byte."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 16, 3), dtype=np.uint8))
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(owned) (w) file closefile\nshowpage\n"
REFUSED = {
    "nothing": (b"", "it is empty (0 bytes)"),
    "text": (b"hello\n", "its 6 bytes are not in a supported format (JPEG"),
    "bomb": (png(50_000, 50_000, 8, 2, b""), "pixels"),
    "bomb by a little": (png(10_000, 10_000, 8, 2, b""), "pixels"),
    "bomb in one line": (png(2_000_000_000, 1, 8, 0, b""), "pixels"),
    "flat": (png(0, 10, 8, 2, b""), ""),
    "cut jpeg": (encoded(PHOTO, "JPEG")[:-100], "truncated"),
    "cut png": (encoded(PHOTO, "PNG")[:400], ""),
    "cut gif": (encoded(PHOTO, "GIF")[:300], ""),
    "cut webp": (encoded(PHOTO, "WEBP")[:100], ""),
    "cut tiff": (encoded(PHOTO, "TIFF")[:600], ""),
    "cut bmp": (encoded(PHOTO, "BMP")[:600], ""),
    "floats": (encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"), "its pixels are floats"),
    "32 bits": (encoded(Image.fromarray(np.full((4, 4), 70_000, np.int32)), "TIFF"), "more than 16 bits"),
    "a program for a printer": (EPS, "not in a supported format (JPEG"),  # which Pillow would have Ghostscript run
    "a page": (b"%PDF-1.4\n", "not in a supported format (JPEG"),
    "a drawing": (
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
        "not in a supported format (JPEG",
    ),
    "an archive": (b"PK\3\4" + bytes(100), "not in a supported format (JPEG"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_no_picture(name: str, tmp_path: Path) -> None:
    data, words = REFUSED[name]
    file = tmp_path / "0001_c1s1_000001_00.jpg"
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"0001_c1s1_000001_00\.jpg: cannot be decoded: .") as caught:
        read_image(file)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()
    assert "0x" not in str(caught.value)  # an address: the same failure must have the same words


def grey16(*values: int) -> bytes:
    return png(len(values), 1, 16, 0, b"\0" + struct.pack(f">{len(values)}H", *values))


def test_sixteen_bits_become_their_upper_eight() -> None:
    """Pillow's own conversion gives 255 for all but the first: nearly every such picture would be white."""
    expected = [[0, 1, 128, 255]]
    assert decode_image(grey16(0, 256, 32_768, 65_535), "x")[..., 1].tolist() == expected
    as_tiff = encoded(Image.fromarray(np.array([[0, 256, 32_768, 65_535]], np.uint16)), "TIFF")
    assert decode_image(as_tiff, "x")[..., 2].tolist() == expected
    colours = png(2, 1, 16, 2, b"\0" + struct.pack(">6H", 0, 32_768, 65_535, 255, 256, 512))
    assert decode_image(colours, "x").tolist() == [[[0, 128, 255], [0, 1, 2]]]


def test_cmyk_transparency_palettes_and_frames() -> None:
    red = decode_image(encoded(Image.new("CMYK", (4, 2), (0, 255, 255, 0)), "JPEG"), "x")
    assert red.shape == (2, 4, 3)
    assert abs(red.astype(int) - [255, 0, 0]).max() <= 3  # JPEG
    clear = Image.new("RGBA", (4, 2), (10, 20, 30, 0))
    assert decode_image(encoded(clear, "PNG"), "x")[0, 0].tolist() == [10, 20, 30]
    frames = [Image.new("P", (4, 2), colour) for colour in (0, 1)]
    for frame in frames:
        frame.putpalette([0, 0, 255, 255, 255, 0])
    for form in ("GIF", "PNG", "WEBP", "TIFF"):
        moving = encoded(frames[0].convert("RGB"), form, save_all=True, append_images=[frames[1].convert("RGB")])
        assert decode_image(moving, form)[0, 0].tolist() == pytest.approx([0, 0, 255], abs=3)  # the first frame
    one_bit = encoded(Image.fromarray(np.array([[True, False]])), "PNG")
    assert decode_image(one_bit, "x")[..., 0].tolist() == [[255, 0]]


def test_no_size_is_believed_in_threads_either() -> None:
    """A filter for warnings, set and unset by several threads at once, is soon the wrong one."""
    good, bomb = encoded(PHOTO, "PNG"), png(10_000, 10_000, 8, 2, b"")
    wrong: list[str] = []

    def work() -> None:
        for _ in range(30):
            if decode_image(good, "good").shape != (32, 16, 3):
                wrong.append("good")
            try:
                decode_image(bomb, "bomb")
                wrong.append("bomb")
            except DataError:
                pass

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


# ------------------------------------------------------------------ what is not a regular file
def test_pipes_devices_folders_and_links(tmp_path: Path) -> None:
    """Reading a pipe would wait for ever, reading the link to a device until the memory is full."""
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "gone.png").symlink_to("nowhere")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "passwd.png").symlink_to("/etc/passwd")
    with (tmp_path / "huge.png").open("wb") as stream:
        stream.truncate(1 << 40)
    names = ["pipe", "zero", "loop", "gone", "folder", "passwd", "huge", "never", "a\0b", "x" * 4000]
    for name in names:
        with pytest.raises(DataError, match=r"cannot be decoded|no such image") as caught:
            read_image(tmp_path / f"{name}.png")
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 700
        assert "root:" not in str(caught.value)  # nothing of a link's target is printed


def test_the_first_bad_picture_of_many_is_named(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"{number}.png").write_bytes(encoded(PHOTO, "PNG") if number != 5 else b"\x1b[2J")
    split = Split.of_columns(tmp_path, [f"{number}.png" for number in range(8)], [1] * 8, [0] * 8)
    for workers in (0, 3):
        with pytest.raises(DataError, match=r"5\.png: cannot be decoded"):
            load_pixels(split, (32, 16), workers=workers)


MATRIX = """
image_size: [32, 16]
data: {{good: {{use: market-folder, root: {good}}}, bad: {{use: market-folder, root: {bad}}}}}
tasks: {{good: {{source: good, target: good}}, bad: {{source: bad, target: bad}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{colours: {{finetune: colour-histogram}}}}
"""


@pytest.mark.parametrize("name", ["nothing", "bomb", "cut jpeg", "a program for a printer"])
def test_inside_a_run_it_costs_one_row(name: str, market: Path, tmp_path: Path) -> None:
    bad = write_market_folder(tmp_path / "bad")
    victim = min((bad / "query").iterdir())
    victim.write_bytes(REFUSED[name][0])
    board = run_matrix(MATRIX.format(good=market, bad=bad), tmp_path)
    rows = {result.row.task: result for result in board.results}
    assert rows["good"].status == "ok"
    assert rows["bad"].status in ("failed", "blocked")
    assert f"{victim.name}: cannot be decoded" in rows["bad"].error
    assert rows["bad"].error.isprintable()
