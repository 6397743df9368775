"""Time of the papers' full settings on an H200, on eight and on a cluster, from counted operations.

`python -m benchmarks.scale` prints the tables of scale.md. The operations of one training step are counted on the
networks of this repository (torch's flop counter on the `meta` device: nothing is computed, no memory is needed); the
assumptions are at the top of this file, each with its source. `python -m benchmarks.scale --measure` measures the
overhead of the harness on the current machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# ---------------------------------------------------------------------- assumptions
PEAK = 989e12  # operations per second, bf16, dense: NVIDIA's data sheet of the H200 SXM (1,979 with sparsity)
SHARES = (0.40, 0.30)  # of the peak that training is assumed to reach; not measured here
SCALING = 0.9  # of eight times the speed, assumed for eight devices
NODE, CLUSTER = 8, 64  # devices of a machine; a cluster of eight machines
CORES = (2, 4, 8, 16)  # cores that decode for one device

SIZE, TALL = (256, 128), (384, 128)
# Images per second on one core, JPEG of 64 x 128 pixels in batches of 64: decoded and resized, which is the CPU's whole
# work with a GPU; and also normalised, flipped, cropped and erased. `--measure` on a shared virtual machine (AMD EPYC,
# 2.6 GHz), 2026-11-28. benchmarks/perf/training/test_data.py shows the ratio to torchvision and PIL.
FEED = {
    ("Pillow", SIZE): (2_310, 1_630),
    ("Pillow", TALL): (2_000, 1_300),
    ("fast", SIZE): (10_400, 4_880),
    ("fast", TALL): (10_400, 3_570),
}

# Images: LUPerson and its 60 % list as counted in TransReID-SSL's README; the others as published.
LUPERSON, LUPERSON_60 = 4_180_243, 2_508_146
TRAIN = {"Market-1501": 12_936, "MSMT17": 32_621}
TEST = {"Market-1501": 3_368 + 19_732, "MSMT17": 11_659 + 82_161}
CAMERAS = {"Market-1501": 6, "MSMT17": 15}

# Overhead of the harness, CPU seconds: `--measure` on two cores of a shared virtual machine, 2026-11-21.
HARNESS = {
    "start of a worker that needs no torch": 0.51,
    "start of a worker with torch": 5.01,
    "publishing an artifact of 100 MB": 0.28,
    "reading it with its checksum": 0.06,
}

GIGA, HOUR = 1e9, 3600.0


# ---------------------------------------------------------------------- counting
def counted(run: Callable[[], Any]) -> float:
    """Operations (two per multiply-add) of everything that a function computes."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


class Counts:
    """Operations per image, by network: forward alone, and forward with backward."""

    def __init__(self) -> None:
        import torch

        self.torch = torch
        with torch.device("meta"):
            self.networks = dict(_networks())

    def images(self, batch: int, size: tuple[int, int] = SIZE) -> Any:
        return self.torch.empty(batch, 3, *size, device="meta")

    def forward(self, name: str, size: tuple[int, int] = SIZE) -> float:
        """Without gradients, as for a key encoder, a teacher or an evaluation."""
        with self.torch.no_grad():
            return counted(lambda: self.networks[name](self.images(2, size))) / 2

    def step(self, name: str, size: tuple[int, int] = SIZE) -> float:
        """Forward and backward."""
        return counted(lambda: _sum(self.networks[name](self.images(2, size))).backward()) / 2

    # ------------------------------------------------------------------ whole methods, operations an image
    def moco(self, queues: int = 0) -> float:
        """Online view with gradients, key view without, logits against a queue of 65,536 x 128."""
        logits = 2 * 2.0 * 128 * 65_536  # forward, and backward to the query only
        return self.step("resnet50") + self.forward("resnet50") + logits * (queues + 1)

    def upreid(self) -> float:
        """Three image-units of each encoder: view, eight patches of 64 x 64, plain image; nine queues."""
        patches = 8 * (self.step("resnet50", (64, 64)) + self.forward("resnet50", (64, 64)))
        return 2 * (self.step("resnet50") + self.forward("resnet50")) + patches + 9 * 2 * 2.0 * 128 * 65_536

    def dino(self, name: str) -> float:
        """Student: two views of 256 x 128 and eight of 128 x 64; teacher: the two. A head of 65,536 for all of them."""
        head = self.networks["dino head"]
        vectors = self.torch.empty(20, 384, device="meta")
        heads = counted(lambda: head(vectors).sum().backward()) / 2
        with self.torch.no_grad():
            heads += counted(lambda: head(vectors[:4])) / 2
        return 2 * self.step(name) + 8 * self.step(name, (128, 64)) + 2 * self.forward(name) + heads

    def stargan(self, cameras: int, size: tuple[int, int] = SIZE) -> float:
        """A critic's step and a fifth of a generator's, per image: the losses of the plugin."""
        torch = self.torch
        from reidbench_hhl.networks import Discriminator, Generator

        with torch.device("meta"):
            generator, critic = Generator(cameras), Discriminator(size, cameras)
            images, labels = self.images(2, size), torch.zeros(2, dtype=torch.int64)

        def critic_step() -> None:
            with torch.no_grad():
                fakes = generator(images, labels)
            loss = _sum(critic(images)) + _sum(critic(fakes))
            # The gradient penalty: a gradient with respect to the images, through which the loss is backpropagated
            # again.
            points = self.images(2, size).requires_grad_() * 1.0
            (gradient,) = torch.autograd.grad(critic(points)[0].sum(), points, create_graph=True)
            (loss + gradient.norm()).backward()

        def generator_step() -> None:
            fakes = generator(images, labels)
            (_sum(critic(fakes)) + generator(fakes, labels).sum()).backward()

        return counted(critic_step) / 2 + counted(generator_step) / 2 / 5


def _networks() -> Iterator[tuple[str, Any]]:
    from reidbench_baseline.params import ResNetParams
    from reidbench_baseline.resnet import resnet50
    from reidbench_baseline.transformer_params import ViTParams
    from reidbench_baseline.vit import vit_base, vit_small
    from reidbench_transreid_ssl.dino_head import DinoHead

    yield "resnet50", resnet50(ResNetParams(weights=None, last_stride=2), SIZE)
    yield "resnet50, last stride 1", resnet50(ResNetParams(weights=None, last_stride=1), SIZE)
    yield "vit-small", vit_small(ViTParams(), SIZE)
    yield "vit-small, ICS", vit_small(ViTParams(stem="ics"), SIZE)
    yield "vit-base, ICS, 384 x 128", vit_base(ViTParams(stem="ics"), (384, 128))
    yield "dino head", DinoHead(384, 65_536, hidden=2048, bottleneck=256, norm_last_layer=True)


def _sum(answer: Any) -> Any:
    """Scalar to backpropagate from: the sum of all outputs of a network."""
    if hasattr(answer, "vector"):
        return answer.vector.sum()
    return sum(part.sum() for part in answer) if isinstance(answer, tuple) else answer.sum()


# ---------------------------------------------------------------------- workloads
@dataclass(frozen=True)
class Work:
    """One training of a paper. `operations` and decoded `images` are totals; `wide` ones use several devices."""

    name: str
    setting: str
    an_image: float
    operations: float
    images: float
    wide: bool = False
    size: tuple[int, int] = SIZE

    def hours(self, share: float, devices: int = 1) -> float:
        """Computing time only, at a share of the peak."""
        speed = devices * SCALING if devices > 1 else 1.0
        return self.operations / (share * PEAK * speed) / HOUR

    def decoding(self, rate: float, cores: int) -> float:
        """Hours of decoding only, for one device with `cores` cores, at `rate` images per second and core."""
        return self.images / (rate * cores) / HOUR

    def needed(self, share: float) -> float:
        """Images per second that keep one device busy."""
        return self.images / (self.hours(share) * HOUR)


def pretrainings(counts: Counts) -> list[Work]:
    """On LUPerson. UP-ReID's epochs are unpublished: LUPerson's own 200 are assumed."""

    def work(name: str, setting: str, an_image: float, images: int, epochs: int) -> Work:
        return Work(name, setting, an_image, an_image * images * epochs, float(images * epochs), wide=True)

    small = counts.dino("vit-small")
    return [
        work("MoCo v2, ResNet-50", "LUPerson, 200 epochs, batch 2,560", counts.moco(), LUPERSON, 200),
        work("UP-ReID, ResNet-50", "LUPerson, 200 epochs (assumed), batch 800", counts.upreid(), LUPERSON, 200),
        work("DINO, ViT-S", "LUPerson, 100 epochs, batch 512", small, LUPERSON, 100),
        work("DINO, ViT-S, 60 % list", "the list of CFS, 100 epochs", small, LUPERSON_60, 100),
        work("DINO, ViT-S + ICS, 60 % list", "the same", counts.dino("vit-small, ICS"), LUPERSON_60, 100),
    ]


def selection(counts: Counts) -> list[Work]:
    """CFS: a source proxy, and a target proxy derived from it with labels, both over the whole pool."""
    together = sum(TRAIN.values())
    proxy, step = counts.dino("vit-small"), counts.step("vit-small")
    forward = counts.forward("vit-small")
    return [
        Work(
            "CFS: source proxy", "DINO, LUPerson, 20 epochs", proxy, proxy * LUPERSON * 20, LUPERSON * 20.0, wide=True
        ),
        Work("CFS: target proxy", "120 epochs on both sets", step, step * together * 120, together * 120.0),
        Work("CFS: scores", "two passes over LUPerson", forward, 2 * forward * LUPERSON, 2.0 * LUPERSON),
    ]


def trainings(counts: Counts, data: str) -> list[Work]:
    """Supervised trainings and adaptations on one data set."""
    images = TRAIN[data]

    def work(name: str, setting: str, an_image: float, seen: float, size: tuple[int, int] = SIZE) -> Work:
        return Work(f"{name}, {data}", setting, an_image, an_image * seen, seen, size=size)

    resnet, small, ics = "resnet50, last stride 1", "vit-small", "vit-small, ICS"
    base = counts.step("vit-base, ICS, 384 x 128", TALL)
    clusters = counts.step(ics) + images / (200 * 256) * counts.forward(ics)
    return [
        work("BoT, ResNet-50", "120 epochs, batch 64", counts.step(resnet), images * 120.0),
        work("supervised, ViT-S", "120 epochs, batch 64", counts.step(small), images * 120.0),
        work("supervised, ViT-S + ICS", "120 epochs, batch 64", counts.step(ics), images * 120.0),
        work("supervised, ViT-B + ICS, 384 x 128", "120 epochs, batch 64", base, images * 120.0, TALL),
        work("cluster contrast, ViT-S + ICS", "50 x 200 steps of 256", clusters, 50 * 200 * 256.0),
        _gcl(counts, data),
        *_hhl(counts, data),
    ]


def _gcl(counts: Counts, data: str) -> Work:
    """Stages 2 and 3 (40 and 20 epochs): four passes of the identity encoder, and 30,984 MMAC of all other networks.

    That number was measured on the networks at their published widths, forward, one image; backward counts twice.
    """
    an_image = 4 * counts.step("resnet50, last stride 1") + 3 * 2 * 30_984e6
    seen = 60.0 * TRAIN[data]
    return Work(f"GCL, {data}", "40 + 20 epochs, batch 16", an_image, an_image * seen, seen)


def _hhl(counts: Counts, data: str) -> list[Work]:
    """Camera styles of the target, then 60 epochs over the other set in steps of 128 + 64 + 16 (1 + C) images."""
    cameras = CAMERAS[data]
    other = next(images for name, images in TRAIN.items() if name != data)
    gan, step = counts.stargan(cameras), counts.step("resnet50")
    seen, styled = 220_000 * 16.0, (128 + 64 + 16 * (1 + cameras)) * 60.0 * (other // 128)
    return [
        Work(f"camera StarGAN, {data}", "220,000 steps of 16", gan, gan * seen, seen),
        Work(f"HHL to {data}", "60 epochs of the source", step, step * styled, styled),
    ]


# ---------------------------------------------------------------------- tables
def table_of_work(works: Sequence[Work]) -> str:
    """Markdown: counted operations, hours at both shares, and the required speed of the loader."""
    lines = [
        "| training | setting | GFLOP an image | EFLOP | one H200, hours | eight, hours | images/s one needs | cores |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for work in works:
        one = _range(work.hours(SHARES[0]), work.hours(SHARES[1]))
        eight = _range(*(work.hours(share, NODE) for share in SHARES)) if work.wide else "-"
        needed = work.needed(SHARES[0])
        cores = "{:.1f} ({:.1f})".format(*(needed / FEED[way, work.size][0] for way in ("Pillow", "fast")))
        figures = f"{work.an_image / GIGA:.1f} | {work.operations / 1e18:,.3g} | {one} | {eight}"
        lines.append(f"| {work.name} | {work.setting} | {figures} | {needed:,.0f} | {cores} |")
    return "\n".join(lines)


def _range(low: float, high: float) -> str:
    return f"{_hours(low)} - {_hours(high)}"


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.1f}" if hours >= 1 else f"{hours:.2f}"


@dataclass(frozen=True)
class Matrix:
    """All stages of the matrix below: pre-trainings once, everything after them with three seeds."""

    wide: tuple[Work, ...]
    narrow: tuple[tuple[Work, int], ...]  # with how often each is trained
    embeds: int
    tests: float  # operations of all embeddings

    @property
    def stages(self) -> int:
        """Stages that start a worker with torch; as many evaluations as embeddings start one without."""
        return len(self.wide) + sum(times for _, times in self.narrow) + self.embeds

    def hours(self, share: float, devices: int) -> float:
        """Minimum wall hours on `devices` devices: no device is idle and no chain is longer."""
        wide = sum(work.hours(share) for work in self.wide) / (devices * (SCALING if devices > 1 else 1.0))
        narrow = sum(work.hours(share) * times for work, times in self.narrow) + self.tests / (share * PEAK) / HOUR
        return max(wide + narrow / devices, self.chain(share, devices))

    def chain(self, share: float, devices: int) -> float:
        """Longest chain: source proxy, target proxy, scores, DINO on the selected images, one fine-tuning.

        A pre-training uses at most one machine.
        """
        named = {work.name: work for work in (*self.wide, *(work for work, _ in self.narrow))}
        node = min(devices, NODE)
        cfs = [named["CFS: source proxy"].hours(share, node), named["CFS: target proxy"].hours(share)]
        cfs += [named["CFS: scores"].hours(share), named["DINO, ViT-S + ICS, 60 % list"].hours(share, node)]
        after = max(work.hours(share) for work, _ in self.narrow if not work.name.startswith(("CFS", "camera")))
        alone = max(work.hours(share, node) for work in self.wide)
        return max(sum(cfs), alone) + after


SEEDS = 3


def matrix(counts: Counts) -> Matrix:
    """The whole matrix: BoT from three initialisations, transformers, cluster contrast, GCL and HHL, on both sets."""
    cfs = selection(counts)
    narrow = [(work, 1) for work in cfs if not work.wide]
    embeds, tests = 0, 0.0
    for data in TRAIN:
        for work in trainings(counts, data):
            starts = 3 if work.name.startswith("BoT") else 1  # ImageNet, MoCo v2, UP-ReID
            narrow.append((work, starts * (1 if work.name.startswith("camera") else SEEDS)))
            if not work.name.startswith("camera"):
                embeds += starts * SEEDS
                tests += starts * SEEDS * TEST[data] * counts.forward("resnet50, last stride 1")
    wide = [*pretrainings(counts), *(work for work in cfs if work.wide)]
    return Matrix(tuple(wide), tuple(narrow), embeds, tests)


def table_of_matrix(whole: Matrix) -> str:
    """Markdown: computing hours by number of devices, and the overhead of the harness."""
    start = HARNESS["start of a worker with torch"]
    light = HARNESS["start of a worker that needs no torch"]
    store = HARNESS["publishing an artifact of 100 MB"] + 2 * HARNESS["reading it with its checksum"]
    added = whole.stages * (start + store) + whole.embeds * (light + store)
    lines = [
        "| devices | computing, hours | the longest chain, hours | the harness adds, hours |",
        "|---|---|---|---|",
    ]
    for devices in (1, NODE, CLUSTER):
        hours = [whole.hours(share, devices) for share in SHARES]
        chain = [whole.chain(share, devices) for share in SHARES]
        lines.append(f"| {devices} | {_range(*hours)} | {_range(*chain)} | {added / devices / HOUR:.2f} |")
    lines.append("")
    lines.append(f"{whole.stages + whole.embeds} stages; {added:,.0f} CPU seconds of the harness in all.")
    return "\n".join(lines)


def table_of_loading(works: Sequence[Work]) -> str:
    """Markdown: hours on one device by decoding cores; batches are read ahead, so the larger value counts."""
    lines = [
        f"| training | computing, hours | {' | '.join(f'{cores} cores' for cores in CORES)} |",
        f"|{'---|' * (2 + len(CORES))}",
    ]
    for work in works:
        hours = work.hours(SHARES[0])
        bound = [_hours(max(hours, work.decoding(FEED["Pillow", work.size][0], cores))) for cores in CORES]
        lines.append(f"| {work.name} | {_hours(hours)} | {' | '.join(bound)} |")
    return "\n".join(lines)


def table_of_feeding(works: Sequence[Work]) -> str:
    """Markdown: images per second of a core, and cores that keep one device busy with each size's first training."""
    lines = [
        "| pictures | decoded, images/s a core | augmented too | training | images/s one device needs "
        "| cores with a GPU | cores that augment too |",
        f"|{'---|' * 7}",
    ]
    for (way, size), rates in FEED.items():
        work = next(work for work in works if work.size == size)
        needed = work.needed(SHARES[0])
        given = " | ".join(f"{rate:,}" for rate in rates)
        cores = " | ".join(f"{needed / rate:.1f}" for rate in rates)
        lines.append(f"| {way}, {size[0]} x {size[1]} | {given} | {work.name} | {needed:,.0f} | {cores} |")
    return "\n".join(lines)


def tables() -> str:
    """All tables of scale.md."""
    counts = Counts()
    wide = pretrainings(counts)
    parts = {
        "Pre-training": table_of_work([*wide, *selection(counts)]),
        "Training on MSMT17": table_of_work(trainings(counts, "MSMT17")),
        "Training on Market-1501": table_of_work(trainings(counts, "Market-1501")),
        "Feeding": table_of_feeding(trainings(counts, "MSMT17")),
        "Decoding with Pillow": table_of_loading(wide),
        "The whole matrix": table_of_matrix(matrix(counts)),
    }
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in parts.items()) + "\n"


# ---------------------------------------------------------------------- overhead of the harness
def measure() -> dict[str, float]:
    """CPU seconds of a worker's start (imports and plugins), and of writing and reading an artifact."""
    light = "import reidbench.stages.run; from reidbench import plugins; plugins.load()"
    heavy = f"{light}; import reidbench.training, lightning_fabric, reidbench_baseline.vit"
    found = {
        "start of a worker that needs no torch": _child_seconds(light),
        "start of a worker with torch": _child_seconds(heavy),
    }
    from reidbench.store.artifacts import Store

    with tempfile.TemporaryDirectory() as place:
        store, data = Store(Path(place)), os.urandom(100_000_000)
        began = time.process_time()
        with store.publishing("k") as (folder, manifest):
            manifest |= {"metrics": {}}
            (folder / "embedder.safetensors").write_bytes(data)
        found["publishing an artifact of 100 MB"] = time.process_time() - began
        began = time.process_time()
        store.read("k")
        found["reading it with its checksum"] = time.process_time() - began
    return found


def _child_seconds(code: str, rounds: int = 3) -> float:
    """CPU seconds of a fresh interpreter, the minimum of several rounds."""
    best = float("inf")
    for _ in range(rounds):
        before = os.times()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)
        after = os.times()
        best = min(best, after.children_user + after.children_system - before.children_user - before.children_system)
    return best


if __name__ == "__main__":
    if "--measure" in sys.argv:
        print("\n".join(f"{name}: {value:.2f} CPU s" for name, value in measure().items()))
        from benchmarks.perf.training.pictures_measure import rates

        for (way, size), found in rates().items():
            print(f"{way}, {size}: {found[0]:,.0f} images/s a core decoded, {found[1]:,.0f} augmented too")
    else:
        print(tables(), end="")
