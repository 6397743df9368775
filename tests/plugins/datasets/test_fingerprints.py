"""A fingerprint covers the content of all files that are read: other content of the same size changes it."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reidbench.components import load_attribute
from reidbench.data.fingerprints import index
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix

MSMT = {
    "list_train.txt": "0000/0000_045_12_0303morning_0006_2.jpg 0",
    "list_val.txt": "0000/0000_046_15_0303morning_0007_2.jpg 0",
    "list_query.txt": "0000/0000_000_03_0303morning_0001_0.jpg 0",
    "list_gallery.txt": "0000/0000_001_10_0303morning_0001_0.jpg 0",
}


def bitmap(shade: int, corner: int = 0) -> bytes:
    """Uncompressed, so that all images have one size; another `corner` changes the image."""
    stream = io.BytesIO()
    pixels = np.full((8, 4, 3), shade, dtype=np.uint8)
    pixels[0, 0] = corner
    Image.fromarray(pixels).save(stream, "BMP")
    return stream.getvalue()


def market(root: Path, darker: int = 0) -> Path:
    for part in ("bounding_box_train", "query", "bounding_box_test"):
        (root / part).mkdir(parents=True, exist_ok=True)
        for pid, camera in ((1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)):
            data = bitmap(80 * pid - darker, corner=len(part) + camera)
            (root / part / f"{pid:04d}_c{camera}s1_000000_00.bmp").write_bytes(data)
    return root


def msmt(root: Path) -> Path:
    for name, line in MSMT.items():
        file = root / ("train" if name in ("list_train.txt", "list_val.txt") else "test") / line.split()[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bitmap(len(name)))
        (root / name).write_text(line + "\n")
    return root


def manifest(root: Path) -> Path:
    market(root)
    lines = [f"./{path.relative_to(root)},{int(path.name[:4])},train" for path in sorted(root.rglob("*.bmp"))]
    (root / "m.csv").write_text("path,pid,split\n" + "\n".join(lines) + "\n")
    return root / "m.csv"


def pool(root: Path) -> Path:
    (root / "deep/er").mkdir(parents=True)
    for number, name in enumerate(("a.bmp", "deep/b.bmp", "deep/er/c.bmp")):
        (root / name).write_bytes(bitmap(number))
    return root


def linked(root: Path) -> Path:
    """A folder that is a link, as for images on another disk."""
    pool(root.parent / "disk")
    root.mkdir()
    (root / "pictures").symlink_to(root.parent / "disk")
    return root


def zipped(root: Path, darker: int = 0) -> Path:
    market(root / "m", darker)
    with zipfile.ZipFile(root / "m.zip", "w") as packed:  # stored, not compressed
        for path in sorted((root / "m").rglob("*.bmp")):
            packed.write(path, path.relative_to(root))
    return root / "m.zip"


def tarred(root: Path, darker: int = 0) -> Path:
    market(root / "m", darker)
    with tarfile.open(root / "m.tar", "w") as packed:
        packed.add(root / "m", "m")
    return root / "m.tar"


def lmdb(root: Path) -> Path:
    module = pytest.importorskip("lmdb")
    root.mkdir(parents=True)
    with module.open(str(root), map_size=1 << 22) as store, store.begin(write=True) as transaction:
        for number in range(3):
            transaction.put(str(number).encode(), bitmap(number))
    return root


CASES = [
    ("market-folder", market, "set/query/*.bmp"),
    ("market-folder", zipped, "set/m.zip"),
    ("market-folder", tarred, "set/m.tar"),
    ("msmt17-v1", msmt, "set/list_*.txt"),
    ("msmt17-v1", msmt, "set/*/0000/*.jpg"),
    ("csv-manifest", manifest, "set/m.csv"),
    ("csv-manifest", manifest, "set/*/*.bmp"),
    ("image-folder", pool, "set/**/*.bmp"),
    ("image-folder", linked, "disk/deep/*.bmp"),
    ("image-folder", lmdb, "set/data.mdb"),
]


@pytest.mark.parametrize(("name", "build", "pattern"), CASES)
def test_a_byte_changed(
    name: str,
    build: Callable[[Path], Path],
    pattern: str,
    registry: plugins.Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(index, "RACY", -(10**15))  # all files written here count as old: only ctime differs
    root = build(tmp_path / "data" / "set")
    component = registry.get("dataset", name)
    fingerprint: Callable[..., str] = load_attribute(component.fingerprint)
    files = sorted((tmp_path / "data").glob(pattern))
    found = {fingerprint(component.params(), root)}
    for count, file in enumerate((files[0], files[-1]), start=2):
        before, data = file.stat(), bytearray(file.read_bytes())
        at = data.rfind(b"0") if file.suffix in (".txt", ".csv") else len(data) * 2 // 3 + count
        data[at] ^= 1  # "0" becomes "1"
        file.write_bytes(data)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        found.add(fingerprint(component.params(), root))
        assert fingerprint(component.params(), root) in found
        assert len(found) == count


@pytest.mark.parametrize("build", [zipped, tarred])
def test_a_replaced_archive_is_unpacked_again(
    build: Callable[..., Path], registry: plugins.Registry, tmp_path: Path
) -> None:
    """Another archive of the same name, size and time."""
    component = registry.get("dataset", "market-folder")
    root = build(tmp_path / "set")
    times, shades = root.stat(), []
    for darker in (0, 5):
        build(tmp_path / "set", darker)
        os.utime(root, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert root.stat().st_size == times.st_size
        dataset = component.load()(component.params(), root, tmp_path / "cache")
        shades.append(int(dataset.query.image(0)[1, 1, 0]))
    assert shades[0] == shades[1] + 5


def test_a_picture_changed_after_a_run_is_run_again(tmp_path: Path) -> None:
    """A bitmap of the same size and time; the table must not show the number of the old one."""
    market(tmp_path / "set")
    text = (
        f"image_size: [16, 8]\nseeds: [0]\ndata: {{m: {{use: market-folder, root: {tmp_path / 'set'}}}}}\n"
        "tasks: {m: {source: m, target: m}}\nbackbone: {use: resnet-tiny, width: 4}\n"
        "methods: {hist: {finetune: colour-histogram}}\n"
    )
    before = run_matrix(text, tmp_path).results[0]
    assert before.metrics["cmc1"] == 1.0
    for pid, shade in ((1, 240), (2, 80), (3, 160)):
        for corner, file in enumerate((tmp_path / "set/bounding_box_test").glob(f"000{pid}_*"), start=50):
            times = file.stat()
            file.write_bytes(bitmap(shade, corner))
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    registry = plugins.load()
    the_plan = plan.expand(reader.read(tmp_path / "matrix.yaml", registry))
    there = {stage.kind for key, stage in the_plan.stages.items() if Store(tmp_path / "store").has(key)}
    assert there == {"finetune"}  # which looks at no picture
    after = run_matrix(text, tmp_path).results[0]
    assert after.metrics["cmc1"] == 0.0
