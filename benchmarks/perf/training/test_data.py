"""Loading images into batches, and large folders, on one core.

Other projects' pipeline (Pillow and torchvision.transforms) and ours read the same files in the same run, in rotation,
so that load on the machine slows both; figures are medians of ratios.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.perf.rounds import ratio, rotated
from benchmarks.perf.training import pictures_measure
from benchmarks.perf.training.pictures_measure import LARGE, SIZES, SMALL, ours, peers
from reidbench.data import Split, read_market_folder
from reidbench.training import ViewAugment
from reidbench_baseline.params import MocoParams
from reidbench_datasets.market import MARKET1501

ROUNDS = 7
MANY = 500_000
HAS_FAST = all(importlib.util.find_spec(name) for name in ("cv2", "simplejpeg"))
KINDS = {"small": SMALL, "large": LARGE}
# Relative to torchvision + PIL's images per second. When shrinking, `fast` blurs first, as Pillow does.
PILLOW_GOAL, FAST_GOAL = 0.9, 2.5


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Split]:
    """Files like Market-1501's (64 x 128), and larger ones (160 x 384)."""
    return {kind: pictures_measure.files(tmp_path_factory.mktemp(kind), size) for kind, size in KINDS.items()}


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("kind", list(KINDS))
def test_pictures(
    benchmark: Any, figure: Callable[..., None], splits: dict[str, Split], kind: str, size: tuple[int, int], train: bool
) -> None:
    """Flip, pad and crop, erase and normalise in training; otherwise resize and normalise."""
    split = splits[kind]
    runs = {"theirs": peers(split, size, train), "Pillow": ours(split, size, train)}
    if HAS_FAST:
        runs["fast"] = ours(split, size, train, fast=True)
    runs["in memory"] = ours(split, size, train, held=True)
    taken = rotated(runs, ROUNDS)
    benchmark.pedantic(runs["Pillow"], rounds=1)
    what = f"{size[0]}x{size[1]}, {'train' if train else 'eval'}, {kind} files"
    for name, least in (("Pillow", PILLOW_GOAL), ("fast", FAST_GOAL), ("in memory", FAST_GOAL)):
        if name in runs:
            faster = ratio(taken, "theirs", name)
            figure(f"pictures a second, {name} / torchvision + PIL: {what}", faster, "x", least=least)


def test_views(benchmark: Any, figure: Callable[..., None]) -> None:
    """CPU time for one MoCo view of decoded images: crop, jitter, grey, blur, flip, normalise, erase."""
    view, generator = ViewAugment(MocoParams(batch=32)), torch.Generator().manual_seed(0)
    images = torch.rand(32, 3, 256, 128, generator=generator)
    seconds = min(rotated({"view": lambda: view(images, generator)}, 3)["view"])
    benchmark.pedantic(lambda: view(images, generator), rounds=1)
    figure("views a second of one core, MoCo v2 at 256x128", len(images) / seconds, "images/s")


READ = """
import sys, tracemalloc
from pathlib import Path
from reidbench.data import read_market_folder
from reidbench_datasets.market import MARKET1501
tracemalloc.start()
dataset = read_market_folder(Path(sys.argv[1]), rule=MARKET1501)
print(len(dataset.gallery), *tracemalloc.get_traced_memory())
"""


def test_half_a_million_files(benchmark: Any, figure: Callable[..., None], tmp_path: Path) -> None:
    """Names are read, and no file is opened: seconds, and a few hundred bytes per file at the peak."""
    for folder, count in (("bounding_box_train", 1000), ("query", 1000), ("bounding_box_test", MANY)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            name = f"{number % 1500 + 1:04d}_c{number % 6 + 1}s1_{number:06d}_00.jpg"
            (tmp_path / folder / name).touch()
    done = subprocess.run([sys.executable, "-c", READ, str(tmp_path)], capture_output=True, text=True, check=True)
    images, held, peak = map(int, done.stdout.split())
    dataset = benchmark.pedantic(lambda: read_market_folder(tmp_path, rule=MARKET1501), rounds=3)
    assert len(dataset.gallery) == images == MANY
    figure("reading a folder of 500,000 files", benchmark.stats["median"], "s", most=15)
    figure("reading a folder of 500,000 files: held", held / MANY, "bytes a file", most=200)
    figure("reading a folder of 500,000 files: peak", peak / MANY, "bytes a file", most=500)
