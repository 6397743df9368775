"""Image files and readers (torchvision with Pillow, and ours) for `test_data.py` and `benchmarks.scale --measure`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image

from benchmarks.perf.rounds import rotated
from reidbench.data import Sample, Split
from reidbench.training import Augment, Preprocess
from reidbench.training.batches.feed import Feed
from reidbench.training.networks import torchvision_compat

PICTURES = 64  # a batch
SIZES = ((256, 128), (384, 128))
SMALL, LARGE = (128, 64), (384, 160)  # Market-1501's, and a size that shrinks on at least one side
Run = Callable[[], object]


def files(folder: Path, size: tuple[int, int]) -> Split:
    """JPEG files (height, width); those of `SMALL` have about 3.4 kB each, as Market-1501's."""
    random = np.random.default_rng(0)
    samples = []
    for number in range(PICTURES):
        coarse = random.integers(0, 256, (16, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC)
        grain = np.clip(np.asarray(picture) + random.normal(0, 6, (*size, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(grain).save(folder / f"{number}.jpg", quality=85)
        samples.append(Sample(f"{number}.jpg", 1, 0))
    return Split(folder, samples)


def peers(split: Split, size: tuple[int, int], train: bool) -> Run:
    """A batch by Pillow and torchvision.transforms, as in the field's code."""
    torchvision_compat.prepare()
    from torchvision import transforms

    normalise = [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    steps = [transforms.Resize(size)]
    if train:
        steps += [transforms.RandomHorizontalFlip(), transforms.Pad(10), transforms.RandomCrop(size), *normalise]
        steps += [transforms.RandomErasing(p=0.5, scale=(0.02, 0.4), ratio=(0.3, 3.3))]
    else:
        steps += normalise
    chain = transforms.Compose(steps)
    return lambda: torch.stack([chain(Image.open(split.root / path).convert("RGB")) for path in split.paths])


def ours(split: Split, size: tuple[int, int], train: bool, *, fast: bool = False, held: bool = False) -> Run:
    """The same batch by a `Feed`, from files or from decoded images in memory."""
    feed = Feed(split, Preprocess(size), Augment() if train else None, limit=None if held else 0, fast=fast)
    generator = torch.Generator().manual_seed(0)
    return lambda: feed.make(feed.plan(np.arange(PICTURES), generator))


def decoded(split: Split, size: tuple[int, int], *, fast: bool = False) -> Run:
    """The CPU's part if a device does the rest: decoding and resizing."""
    feed = Feed(split, Preprocess(size), limit=0, fast=fast)
    return lambda: [feed.read(index) for index in range(PICTURES)]


def rates(rounds: int = 7) -> dict[tuple[str, tuple[int, int]], tuple[float, float]]:
    """Images per second on one core, by (reader, size): decoded and resized; and also normalised and augmented."""
    with tempfile.TemporaryDirectory() as folder:
        split = files(Path(folder), SMALL)
        keys = [(way, size) for way in ("Pillow", "fast") for size in SIZES]
        runs = {f"{key}": decoded(split, key[1], fast=key[0] == "fast") for key in keys}
        runs |= {f"{key} whole": ours(split, key[1], train=True, fast=key[0] == "fast") for key in keys}
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            taken = {name: PICTURES / median(seconds) for name, seconds in rotated(runs, rounds).items()}
        finally:
            torch.set_num_threads(threads)
    return {key: (taken[f"{key}"], taken[f"{key} whole"]) for key in keys}
