"""Measure the cost of an embedder: parameters, multiply-adds, time, memory, and bytes per feature."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from .networks.embedder import Embedder, SplitEmbedder

BATCHES = (1, 64)  # images per timed forward pass
WARM_UP = 3  # forward passes before timing starts
RUNS = 30  # timed passes, whose median is reported; fewer of both if they take longer than SECONDS,
FEWEST = 3  # but at least this many, after one warm-up pass
SECONDS = 10.0
STATUS = Path("/proc/self/status")
WRITTEN = {"RssAnon", "VmSwap"}  # lines of it, in KiB
LOOK = 0.001  # seconds between samples of this process's memory
MIB = 2**20

Forward = Callable[[torch.Tensor], torch.Tensor]


def is_network(embedder: Embedder) -> bool:
    """Whether an embedder is a network on images, whose cost can be measured."""
    return type(embedder).forward not in (Embedder.forward, SplitEmbedder.forward)


@torch.no_grad()
def measure(
    embedder: Embedder,
    *,
    device: str = "cpu",
    flip: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, float]:
    """Measure an embedder, in float32 as `embed` does; return values by name. Leaves it in eval mode on the device.

    `params` counts all its parameters, and `macs` the multiply-adds of its convolutions and matrix products (including
    linear layers and attention) for one image, without additions, norms, activations and pooling. `bytes` is the size
    of one image's feature. `latency` is the median of `runs` forward passes of one image in milliseconds, `latency_low`
    and `latency_high` their quartiles; `latency64` etc. are for 64 images. Reading and resizing images is not timed.
    `memory` in MiB is the peak of the weights and a forward pass of 64 images: on a GPU the memory that torch
    allocates, on a CPU the weights plus the growth of the process. With `flip` everything is for the image and its
    mirror image, one after the other.
    """
    forward = partial(_features, embedder.eval(), flip=flip)
    one, many = (_images(embedder, count) for count in BATCHES)
    found: dict[str, float] = {"params": sum(tensor.numel() for tensor in embedder.parameters())}
    found["macs"] = multiply_adds(forward, one)  # on the CPU, where attention is counted
    progress(1, 4)
    embedder.to(device)
    one, many = one.to(device), many.to(device)
    found["memory"] = _memory(embedder, forward, many) / MIB
    progress(2, 4)
    feature = forward(one)
    found["bytes"] = feature.numel() * feature.element_size()
    for done, (images, suffix) in enumerate(((one, ""), (many, "64")), 3):
        times = 1000 * _seconds(forward, images)
        quartiles = np.percentile(times, (25, 50, 75)).tolist()
        names = (f"latency{suffix}{part}" for part in ("_low", "", "_high"))
        found |= {**dict(zip(names, quartiles, strict=True)), f"runs{suffix}": len(times)}
        progress(done, 4)
    return found


def multiply_adds(forward: Forward, images: torch.Tensor) -> int:
    """Multiply-adds of the convolutions and matrix products in a forward pass on the CPU."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the fast path is a single operation, unknown to the counter
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # attention as matrix products
            forward(images)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return int(counter.get_total_flops()) // 2


def _features(embedder: Embedder, images: torch.Tensor, *, flip: bool) -> torch.Tensor:
    """Features [B, D] in float32 as computed by `embed`, with all images of the first camera and modality."""
    zeros = torch.zeros(len(images), dtype=torch.long, device=images.device)
    given = (zeros, zeros) if embedder.modalities else (zeros,)
    features: torch.Tensor = embedder(images, *given).float()
    if flip:
        features = (features + embedder(images.flip(3), *given).float()) / 2
    return features


def _images(embedder: Embedder, count: int) -> torch.Tensor:
    """Noise [B, 3, H, W] of the embedder's training size, normalised like its images."""
    height, width = embedder.preprocess.size
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, height, width, 3), generator=generator, dtype=torch.uint8)
    return embedder.preprocess.normalise(pixels)


def _seconds(forward: Forward, images: torch.Tensor) -> np.ndarray:
    """Seconds of each timed forward pass."""
    _passes(forward, images, 1, WARM_UP)
    return np.array(_passes(forward, images, FEWEST, RUNS))


def _passes(forward: Forward, images: torch.Tensor, fewest: int, most: int) -> list[float]:
    """Seconds of `fewest` to `most` forward passes, as many as SECONDS allow."""
    times: list[float] = []
    while len(times) < most and (len(times) < fewest or sum(times) < SECONDS):
        _finish(images.device)
        began = time.perf_counter()
        forward(images)
        _finish(images.device)
        times.append(time.perf_counter() - began)
    return times


def _finish(device: torch.device) -> None:
    """Wait for the GPU to finish."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _memory(embedder: Embedder, forward: Forward, images: torch.Tensor) -> float:
    """Peak bytes of the weights and of the first forward pass of these images."""
    if images.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(images.device)
        forward(images)
        return float(torch.cuda.max_memory_allocated(images.device))
    with _growth() as grown:
        forward(images)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in embedder.state_dict().values())
    return float(weights + grown[0])


@contextmanager
def _growth() -> Iterator[list[int]]:
    """Yield a list that receives the largest growth of this process in bytes at the end of the block."""
    _return_free_memory()
    ended = threading.Event()
    before = _held()
    grown = [0]

    def look() -> None:
        while not ended.wait(LOOK):
            grown[0] = max(grown[0], _held() - before)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield grown
    finally:
        ended.set()
        watcher.join()
        grown[0] = max(grown[0], _held() - before)


def _return_free_memory() -> None:
    """Return freed memory from the C library to the system; reusing it would not show as growth."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):  # only glibc has it
        library.malloc_trim(0)


def _held() -> int:
    """Bytes of memory that this process has written to, in RAM or swapped out.

    On systems other than Linux, its resident memory, which also shrinks when the system reclaims unused pages.
    """
    text = STATUS.read_text() if STATUS.exists() else ""
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    if not lines.keys() >= WRITTEN:
        return int(psutil.Process().memory_info().rss)
    return sum(int(lines[name].split()[0]) * 1024 for name in WRITTEN)
