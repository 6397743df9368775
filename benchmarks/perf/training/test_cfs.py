"""Selection from as many images as LUPerson has: time and memory of ordering, writing a list and joining one."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from reidbench.data import HiddenSplit
from reidbench_cfs import ranking
from reidbench_cfs.lists import read_list

MANY = 4_180_243
Numbers = tuple[NDArray[np.float32], NDArray[np.uint64]]


@pytest.fixture(scope="module")
def numbers() -> Numbers:
    """Scores near 1, like cosines of two similar networks, with some ties; and content hashes."""
    rng = np.random.default_rng(0)
    scores = (1 - rng.beta(1.5, 30, MANY)).astype(np.float32).round(6)
    return scores, rng.integers(2**64, size=MANY, dtype=np.uint64)


def name(index: int) -> str:
    """A file name like LUPerson's."""
    return f"{index % 97:02d}_{index % 11:02d}_{index % 9999:04d}_{index:08d}.jpg"


def test_select(benchmark: Any, figure: Any, numbers: Numbers) -> None:
    scores, content = numbers
    selection = benchmark.pedantic(lambda: ranking.select(scores, 0.6, tie_break=content), rounds=3)
    figure("CFS: ordering 4.2 million scores", benchmark.stats["median"], "s elapsed")
    assert len(selection.indices) == 2_508_146
    cut = np.partition(scores, MANY - 2_508_146)[MANY - 2_508_146]  # the last score that is kept
    assert scores[selection.indices].min() == cut
    assert (scores > cut).sum() == (scores[selection.indices] > cut).sum()


def test_write_and_read_our_list(benchmark: Any, figure: Any, numbers: Numbers, tmp_path: Path) -> None:
    scores, content = numbers
    selection = ranking.select(scores, 0.5, tie_break=content)
    benchmark.pedantic(lambda: ranking.write_list(tmp_path, selection, content), rounds=1)
    ids = np.array(read_list(tmp_path / "list.csv", "id"), dtype=np.int64)
    assert sorted(ids[:2_090_122].tolist()) == selection.indices.tolist()
    assert (np.diff(scores[ids]) <= 0).all()
    files = [file for file in (tmp_path / "list.csv", tmp_path / "list.parquet") if file.exists()]
    for file in files:
        figure(f"CFS: size of {file.name}", file.stat().st_size / 2**20, "MiB")
    figure("CFS: writing half of 4.2 million images to a list", benchmark.stats["median"], "s elapsed")


def test_join_a_released_list(benchmark: Any, figure: Any, tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(MANY)
    (tmp_path / "CFS_list.pkl").write_bytes(pickle.dumps([name(index) for index in order.tolist()]))
    pool = HiddenSplit(tmp_path, [f"images/{name(i)}" for i in range(MANY)], np.full(MANY, -1), ("",) * MANY)
    names = read_list(tmp_path / "CFS_list.pkl", "name")
    found = benchmark.pedantic(lambda: pool.match(names, "name"), rounds=1)
    figure("CFS: joining a released list of 4.2 million names", benchmark.stats["median"], "s elapsed")
    assert np.array_equal(found, order)


MEASURE = """
import sys
import numpy as np
from pathlib import Path
from reidbench_cfs import ranking
try:
    import pyarrow.parquet
except ImportError:
    pass
def peak():
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024
count = int(sys.argv[1])
first = np.zeros(9999, np.float32), np.zeros(9999, np.uint64)
ranking.write_list(Path(sys.argv[2]), ranking.select(first[0], 0.5, tie_break=first[1]), first[1])
rng = np.random.default_rng(0)
scores, content = rng.random(count, np.float32), rng.integers(2**64, size=count, dtype=np.uint64)
print(peak())
selection = ranking.select(scores, 0.5, tie_break=content)
print(peak())
ranking.write_list(Path(sys.argv[2]), selection, content)
print(peak())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_of_selecting_and_writing(benchmark: Any, figure: Any, tmp_path: Path) -> None:
    """Memory besides scores and hashes (12 bytes per image): less than 64 bytes per image, including rows of text."""
    command = [sys.executable, "-c", MEASURE, str(MANY), str(tmp_path)]
    done = benchmark.pedantic(
        lambda: subprocess.run(command, capture_output=True, text=True, check=True), rounds=1, iterations=1
    )
    before, selected, written = map(int, done.stdout.split())
    figure("CFS: memory of selecting 4.2 million images", (selected - before) / MANY, "bytes an image")
    figure("CFS: memory of selecting and writing", (written - before) / MANY, "bytes an image", most=64)
