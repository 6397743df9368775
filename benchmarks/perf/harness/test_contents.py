"""Hashing a data set of 100,000 files: full at first, later only a check of the files' times.

Compared with unavoidable work: reading the same files, os.stat of each, and decoding them. `python -m
benchmarks.perf.harness.test_contents` prints the table of `README.md`.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from reidbench.data import Dataset, fingerprint_file, read_market_folder
from reidbench.data.overlap import find_overlaps, image_numbers
from reidbench.data.pictures.images import decode_image
from reidbench_datasets import FolderParams
from reidbench_datasets.market import fingerprint

FILES = 100_000
PARTS = {"bounding_box_train": FILES // 4, "query": FILES // 4, "bounding_box_test": FILES // 2}
LARGE = 2 << 30  # bytes of a file that represents an archive
DECODED = 500


def write_set(root: Path) -> None:
    """Write JPEG files of 64 x 128 pixels and about 3.4 kB, each with unique bytes after the image."""
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (16, 8, 3), dtype=np.uint8)).resize((64, 128))
    grain = np.clip(np.asarray(coarse) + random.normal(0, 6, (128, 64, 3)), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(grain).save(stream, "JPEG", quality=85)
    for part, count in PARTS.items():
        (root / part).mkdir(parents=True)
        for number in range(count):
            name = f"{number % 1500 + 1:04d}_c{number % 6 + 1}s1_{number:06d}_00.jpg"
            (root / part / name).write_bytes(stream.getvalue() + f"{part}{number}".encode())
    time.sleep(2.5)  # until the files are old enough to be trusted


def measure(root: Path) -> dict[str, float]:
    """CPU seconds of each step in this process, with files in the page cache."""
    paths = [path for part in PARTS for path in sorted((root / part).iterdir())]
    found: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.process_time()
        answer = work()
        found[name] = time.process_time() - began
        return answer

    timed("os.stat of each file", lambda: [os.stat(path) for path in paths])  # noqa: PTH116
    timed("reading and hashing each file, plain", lambda: [hashlib.sha256(path.read_bytes()) for path in paths])
    first = timed("fingerprint, the first time", lambda: fingerprint(FolderParams(), root))
    assert timed("fingerprint, later", lambda: fingerprint(FolderParams(), root)) == first
    dataset: Dataset = timed("reading the names", lambda: read_market_folder(root))
    numbers = timed("numbering all pictures, the first time", lambda: image_numbers(dataset))
    timed("numbering and comparing all pictures, later", lambda: find_overlaps(dataset, image_numbers(dataset)))
    assert len(np.unique(np.concatenate(list(numbers.values())))) == FILES
    timed("decoding", lambda: [decode_image(path.read_bytes(), "x") for path in paths[:DECODED]])
    found["decoding"] *= FILES / DECODED
    return found


def commands(folder: Path) -> dict[str, float]:
    """Seconds of the command `reidbench plan` on the set, the first time and later."""
    file = folder / "m.yaml"
    file.write_text(
        f"image_size: [64, 32]\nseeds: [0]\ndata: {{m: {{use: market-folder, root: {folder / 'set'}}}}}\n"
        "tasks: {m: {source: m, target: m}}\nbackbone: resnet-tiny\nmethods: {bot: {finetune: bot}}\n"
    )
    command = [sys.executable, "-m", "reidbench", "plan", str(file), "--store", str(folder / "store")]
    environment = {**os.environ, "REIDBENCH_CACHE": str(folder / "another cache")}
    found = {}
    for name in ("reidbench plan, the first time", "reidbench plan, later"):
        began = time.monotonic()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        found[name] = time.monotonic() - began
    return found


def large_file(folder: Path) -> float:
    """GB per second for one large file, hashed through the index, in the page cache."""
    file = folder / "large.zip"
    block = os.urandom(1 << 20)
    with file.open("wb") as stream:
        for _ in range(LARGE >> 20):
            stream.write(block)
    began = time.monotonic()
    fingerprint_file(file)
    seconds = time.monotonic() - began
    file.unlink()
    return float(LARGE / 1e9 / seconds)


def test_hashing_100000_files(benchmark: Any, figure: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("REIDBENCH_CACHE", str(tmp_path / "cache"))
    write_set(tmp_path / "set")
    found = benchmark.pedantic(lambda: measure(tmp_path / "set"), rounds=1, iterations=1)
    benchmark.extra_info |= {name: round(seconds, 2) for name, seconds in found.items()}
    for ours, theirs, most in (
        ("fingerprint, the first time", "reading and hashing each file, plain", 4),
        ("fingerprint, later", "os.stat of each file", 8),
        ("numbering and comparing all pictures, later", "decoding", 0.2),
    ):
        figure(f"100,000 files: {ours} against {theirs}", found[ours] / found[theirs], "x", most=most)


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["REIDBENCH_CACHE"] = str(folder / "cache")
        write_set(folder / "set")
        print("| 100,000 files | CPU s |\n|---|---|")
        for step, seconds in measure(folder / "set").items():
            print(f"| {step} | {seconds:.2f} |")
        for step, seconds in commands(folder).items():
            print(f"| `{step.partition(',')[0]}`{step.partition('plan')[2]} (elapsed) | {seconds:.1f} |")
        size = sum(path.stat().st_size for path in (folder / "cache/.contents").iterdir())
        print(f"| size of the index, MB | {size / 1e6:.1f} |")
        print(f"| one file of 2 GiB, GB a second (elapsed) | {large_file(folder):.2f} |")


if __name__ == "__main__":
    main()
