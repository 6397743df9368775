"""Resources for each file of benchmarks/papers, from counted operations: hours of an H200 and disk.

`python -m benchmarks.papers_needs` prints the table of papers/README.md, under the assumptions of `scale.py`, and
writes the line `# Needs` of each file. Steps and images follow from the files' own parameters on the published
counts; the operations per image are those of the stage's network at its size, times the passes of its method.
Embedding, clustering and heads are not counted, nor are the images that preparers write (camera styles: one image per
image and camera).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidbench.matrix import plan
from reidbench.matrix.kinds import OF_STAGE
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan, Stage
from reidbench.registry import plugins
from reidbench.registry.plugins import Registry
from reidbench.rehearsal.amounts import amounts_of
from reidbench.rehearsal.files import stand_in_files
from reidbench.rehearsal.scale import Line, Scale
from reidbench.rehearsal.standins import FILES, STORE, Cast, stand_in_data
from reidbench.stages.networks import build_backbone
from reidbench.store.artifacts import Store

from .scale import HOUR, PEAK, SHARES, Counts, counted

FOLDER = Path(__file__).parent / "papers"
# Passes of the network with and without gradient, per image that a training reads. MoCo's has a key encoder; UP-ReID's
# two have views, patches and plain images; DINO's student has two views and eight of a quarter each, its teacher the
# two; GCL's identity encoder has four images; MMT's two averages see the views of its two networks.
PASSES: Mapping[str, tuple[float, float]] = {
    "moco-v2": (1, 1),
    "up-reid": (3, 3),
    "dino": (2 + 8 / 4, 2),
    "gcl": (4, 0),
    "mmt": (1, 1),
}
GCL_BESIDE = 3 * 2 * 30_984e6  # operations per image of GCL's other networks, forward and backward: see `scale.py`


@dataclass(frozen=True)
class Need:
    """Resources of one file: trainings, hours of one device at each of `SHARES`, and bytes in the store."""

    name: str
    trainings: int
    hours: tuple[float, ...]
    disk: float
    unknown: int  # trainings with an unknown number of steps, since the data's count is unpublished

    @property
    def sentence(self) -> str:
        """The sentence in the file."""
        low, high = (f"{hours:,.0f}" if hours >= 10 else f"{hours:.1f}" for hours in self.hours)
        without = f", without {self.unknown} trainings of unknown length" if self.unknown else ""
        return f"Needs {low} to {high} hours of one H200 and {self.disk / 1e9:,.0f} GB of disk for all seeds{without}."


class Networks:
    """Operations and parameters of the stages' networks, each counted once, on the `meta` device."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.known: dict[str, tuple[float, float, int, int]] = {}
        self.beside: dict[str, float] = {}
        self.counts = Counts()

    def of(self, described: Mapping[str, Any], size: tuple[int, int]) -> tuple[float, float, int, int]:
        """Operations per image with and without gradient, parameters, and the feature's dimension."""
        key = repr((described, size))
        if key not in self.known:
            self.known[key] = self._counted({**described, "image_size": size})
        return self.known[key]

    def stargan(self, cameras: int, size: tuple[int, int]) -> float:
        """Operations per image of a camera StarGAN, both networks together."""
        key = f"stargan {cameras} {size}"
        if key not in self.beside:
            self.beside[key] = self.counts.stargan(cameras, size)
        return self.beside[key]

    def translation(self, stage: Stage) -> float:
        """Operations per image, of source or target, of a CycleGAN or SPGAN: all networks together."""
        key = f"{stage.use} {stage.params} {stage.image_size}"
        if key not in self.beside:
            params: Any = self.registry.get("preparer", stage.use).params(**stage.params)
            self.beside[key] = _translation_step(params, params.size or stage.image_size)
        return self.beside[key]

    def _counted(self, described: dict[str, Any]) -> tuple[float, float, int, int]:
        import torch

        fields = self.registry.get("backbone", described["use"]).params.model_fields
        random = {name: None for name in ("weights", "weights_file", "labels") if name in fields}
        with torch.device("meta"):
            network = build_backbone(self.registry, {**described, "params": {**described["params"], **random}})
            images = torch.empty(2, 3, *described["image_size"])
            step = counted(lambda: network(images).vector.sum().backward()) / 2
            with torch.no_grad():
                forward = counted(lambda: network(images)) / 2
        return step, forward, sum(one.numel() for one in network.parameters()), network.dim


def _translation_step(params: Any, size: tuple[int, int]) -> float:
    """Operations per image of a step; without the Siamese network's dropout."""
    import torch

    from reidbench_spgan.networks import Discriminator, Generator, SiameseNetwork

    with torch.device("meta"):
        generators = [Generator(params.channels, params.blocks) for _ in range(2)]
        judges: list[torch.nn.Module] = [
            Discriminator(size, params.critic_channels, params.critic_layers) for _ in range(2)
        ]
        siamese = []
        if hasattr(params, "siamese_channels"):
            siamese = [
                SiameseNetwork(size, params.siamese_channels, params.siamese_layers, 0.0, torch.Generator("cpu"))
            ]
        images = torch.empty(2, 3, *size)

    def step() -> None:
        fakes = [generator(images) for generator in generators]
        for network in (*judges, *siamese):
            network.requires_grad_(False)
        loss = sum(judge(fake).sum() for judge, fake in zip(judges, fakes, strict=True))
        loss += sum(network(one).sum() for network in siamese for one in (*fakes, images, images))
        for generator, fake in zip(generators, reversed(fakes), strict=True):
            loss += generator(fake).sum()
            loss += generator(images).sum() if params.identity_weight > 0 else 0
        loss.backward()
        for network in (*judges, *siamese):
            network.requires_grad_(True)
        detached = [images, *(fake.detach() for fake in fakes)]
        loss = sum(judge(one).sum() for judge in judges for one in detached[:2])
        (loss + sum(network(one).sum() for network in siamese for one in (*detached, images))).backward()

    return counted(step) / (2 * len(images))


def need(file: Path, registry: Registry, networks: Networks) -> Need:
    """Resources of one file."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        cast = Cast(reader.read(file, registry, must_exist=False))
        stand_in_data(cast, folder)
        stand_in_files(cast, registry, folder / FILES)
        full = plan.expand(cast.benchmark)
        scale = Scale(full, full, Store(folder / STORE), registry, ())
        lines = scale.lines()
        disk = sum(_bytes(full, key, scale, networks) for key in full.stages)
        operations = sum(_operations(line, scale, networks) for line in lines)
    hours = tuple(operations / (share * PEAK) / HOUR for share in SHARES)
    unknown = sum(line.stages for line in lines if line.workload is None)
    return Need(file.name, sum(line.stages for line in lines), hours, disk, unknown)


def _operations(line: Line, scale: Scale, networks: Networks) -> float:
    if line.workload is None or line.stage is None:
        return 0.0
    return _an_image(line.stage, scale, networks) * line.workload.total * line.stages


def _an_image(stage: Stage, scale: Scale, networks: Networks) -> float:
    if stage.use == "stargan":
        cameras = amounts_of(stage, scale.lists, ())["split"].cameras
        assert cameras is not None  # the counts of all sets with cameras include them
        height, width = stage.params["size"] or stage.image_size
        return networks.stargan(cameras, (height, width))
    if stage.use in ("cyclegan", "spgan") and stage.kind == "prepare":
        return networks.translation(stage)
    step, forward = networks.of(stage.backbone, stage.image_size)[:2] if stage.backbone else (0.0, 0.0)
    train, look = PASSES.get(stage.use, (1, 0))
    return train * step + look * forward + (GCL_BESIDE if stage.use == "gcl" else 0.0)


def _bytes(full: Plan, key: str, scale: Scale, networks: Networks) -> float:
    """Bytes of a stage's network or features, as 32-bit numbers. Heads are comparatively small."""
    stage = full.stages[key]
    if OF_STAGE[stage.kind].leaves and stage.backbone:
        return networks.of(stage.backbone, stage.image_size)[2] * 4
    if stage.kind != "embed":
        return 0
    parent = full.stages[stage.parents[0][1]]
    images = scale.test_images(stage)
    return images * networks.of(parent.backbone, stage.image_size)[3] * 4 if parent.backbone and images else 0


def table(needs: Sequence[Need]) -> str:
    """Markdown table, one line per file."""
    lines = ["| file | trainings | hours of one H200 | disk, GB |", "|---|---|---|---|"]
    for one in needs:
        low, high = (f"{hours:,.1f}" for hours in one.hours)
        more = f", and {one.unknown} trainings of unknown length" if one.unknown else ""
        lines.append(f"| {one.name} | {one.trainings} | {low} - {high}{more} | {one.disk / 1e9:,.1f} |")
    return "\n".join(lines) + "\n"


def write_sentence(file: Path, sentence: str) -> None:
    """Write the sentence into the comment at the top of a file, replacing an older one."""
    text = file.read_text()
    old = re.search(r"^# Needs .*\n", text, re.MULTILINE)
    new = f"# {sentence}\n"
    file.write_text(
        text.replace(old[0], new, 1) if old else re.sub(r"^title:", f"{new}title:", text, count=1, flags=re.M)
    )


def main() -> None:
    """Print the table, and write each file's sentence into it."""
    registry = plugins.load()
    networks = Networks(registry)
    needs = []
    for file in sorted(FOLDER.glob("*.yaml")):
        needs.append(need(file, registry, networks))
        write_sentence(file, needs[-1].sentence)
    print(table(needs), end="")


if __name__ == "__main__":
    main()
