"""Compute every network that ships with oneDNN and without it, and print one JSON line for each.

Run as a program by test_pointwise.py: a native library that writes past its buffers may end the process.
"""

from __future__ import annotations

import copy
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from reidbench.registry import plugins
from reidbench.training import Backbone, BackboneEmbedder, Encoder, Preprocess, ProjectionHead, StridedPointwise
from reidbench_agw.network import AgwEmbedder
from reidbench_arn.embedder import StageEmbedder, WholeEmbedder
from reidbench_arn.network import ArnNetwork, Decoder
from reidbench_arn.params import ArnParams
from reidbench_baseline.bdb import BdbEmbedder
from reidbench_baseline.mgn import MgnEmbedder
from reidbench_baseline.mgn_luperson import MgnLupersonEmbedder
from reidbench_competition.embedder import CompetitionEmbedder
from reidbench_gcl.contrast.identity import IdentityEncoder
from reidbench_gcl.generator.discriminator import Discriminator as GclDiscriminator
from reidbench_gcl.generator.params import GeneratorParams
from reidbench_gcl.generator.synthesis import Generator as GclGenerator
from reidbench_gcl.hmr.network import NetworkSpec, Regressor
from reidbench_hhl.adapt import Network as HhlNetwork
from reidbench_hhl.adapt import UnitEmbedder
from reidbench_hhl.networks import Discriminator as StarDiscriminator
from reidbench_hhl.networks import Generator as StarGenerator
from reidbench_hhl.params import HHLParams
from reidbench_pcb.network import PcbEmbedder
from reidbench_spgan.adapt import PartEmbedder
from reidbench_spgan.networks import Discriminator as PatchDiscriminator
from reidbench_spgan.networks import Generator as CycleGenerator
from reidbench_spgan.networks import SiameseNetwork
from reidbench_transreid_ssl.dino_head import DinoHead
from reidbench_transreid_ssl.dino_networks import Networks as DinoNetworks
from reidbench_transreid_ssl.embedder import TransReidEmbedder

SIZE = (64, 32)
SMALL = (32, 16)
ODD = (36, 20)  # maps of odd height and width
BATCH = 4
Forward = Callable[[nn.Module], torch.Tensor]


@dataclass
class Case:
    """A network, and how its answer (a tensor of any shape) comes from it."""

    name: str
    network: nn.Module
    forward: Forward


def images(size: tuple[int, int] = SMALL, channels: int = 3) -> torch.Tensor:
    """The same noise for every network."""
    return torch.randn(BATCH, channels, *size, generator=torch.Generator().manual_seed(1))


def joined(answer: Any) -> torch.Tensor:
    """All tensors of an answer as one vector."""
    if isinstance(answer, torch.Tensor):
        return answer.flatten()
    return torch.cat([joined(part) for part in answer if part is not None])


REGISTRY = plugins.load()
# Backbones that are many: models of theirs whose shortcuts have all kinds of strides.
BY_NAME: dict[str, list[dict[str, Any]]] = {
    "timm": [{"model": name, "pretrained": False} for name in ("test_resnet", "test_convnext", "test_vit")],
    "hf": [],  # transformers' networks are not ours, and timm's are these
    "torchreid": [],  # nor are torchreid's
    "folder": [],  # a folder holds one of the others
}
LARGER = {"swin-small", "swin-base", "clip-vit-base"}  # more blocks of the classes of swin-tiny and clip-vit-tiny


def backbone(name: str, size: tuple[int, int] = SMALL, **params: Any) -> Backbone:
    """A backbone as the harness builds it."""
    torch.manual_seed(0)
    component = REGISTRY.get("backbone", name)
    network: Backbone = component.load()(component.params(**params), size)
    network.spec = {"use": name, "params": params, "image_size": list(size)}
    return network


def smallest(name: str) -> dict[str, Any]:
    """The lowest legal width of a backbone, with the stem that it is for; or its other stride."""
    fields = REGISTRY.get("backbone", name).params.model_fields
    found: dict[str, Any] = {"last_stride": 2} if "last_stride" in fields else {}
    for field in ("width", "stem_width"):
        if field in fields:
            found[field] = next(limit.ge for limit in fields[field].metadata if hasattr(limit, "ge"))
    return found | ({"stem": "ics"} if "stem" in fields else {})


def backbones() -> Iterator[Case]:
    """Each backbone by default, and in channels-last layout also with every size as small as a matrix file may say."""
    for name, given in BY_NAME.items():
        for params in given:
            yield Case(f"{name} {params}", backbone(name, SIZE, **params), lambda n: joined(n(images(SIZE))))
    for name in REGISTRY.names("backbone"):
        if name in BY_NAME or name in LARGER:
            continue
        # Instance norm over a map of few positions would magnify rounding without bound.
        size = (128, 64) if "-ibn" in name else SMALL if name == "resnet-tiny" else SIZE
        pixels = images(size)
        yield Case(name, backbone(name, size), lambda n, x=pixels: joined(n(x)))
        last = pixels.contiguous(memory_format=torch.channels_last)
        for params in ({}, smallest(name)):
            network = backbone(name, size, **params).to(memory_format=torch.channels_last)
            yield Case(f"{name} {params} channels last", network, lambda n, x=last: joined(n(x)))
    for width in (5, 6, 7, 12, 15):
        yield Case(f"resnet-tiny width {width}", backbone("resnet-tiny", width=width), lambda n: joined(n(images(ODD))))


def embedders() -> Iterator[Case]:
    """Networks that fine-tuners and adapters train around a narrow backbone."""
    pixels, preprocess = images(SIZE), Preprocess(SIZE)

    def narrow() -> Backbone:
        return backbone("resnet-tiny", SIZE, width=4)

    def whole(network: nn.Module) -> torch.Tensor:
        return joined(network(pixels))

    mgn, bdb = MgnEmbedder(narrow(), preprocess, dim=8), BdbEmbedder(narrow(), preprocess, 8, 8, 0.3, 1.0)
    yield Case("mgn", mgn, whole)
    yield Case("mgn-luperson", MgnLupersonEmbedder(narrow(), preprocess, dim=8), whole)
    yield Case("bdb", bdb, whole)
    agw = AgwEmbedder(narrow(), preprocess)
    for module in agw.attention.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)  # a new block is the identity
    yield Case("agw", agw, whole)
    for refined in (False, True):
        pcb = PcbEmbedder(narrow(), preprocess, dim=8, refined=refined, feature="reduced")
        yield Case(f"pcb {refined=}", pcb, whole)
    for branches in ("global", "mgn", "rmgl", "grid"):
        yield Case(f"competition {branches}", CompetitionEmbedder(narrow(), preprocess, branches, 8), whole)
    yield Case("bnneck", BackboneEmbedder(narrow(), preprocess, True), whole)
    yield Case("gem", BackboneEmbedder(narrow(), preprocess, True, "gem"), whole)
    yield Case("spgan embedder", PartEmbedder(narrow(), preprocess, parts=4), whole)
    yield Case("hhl embedder", UnitEmbedder(narrow(), preprocess, False), whole)
    yield Case("projection", Encoder(narrow(), ProjectionHead(28, 8, norm=True)), whole)
    head = DinoHead(28, 16, hidden=32, bottleneck=8, norm_last_layer=True)
    yield Case("dino", DinoNetworks(narrow(), head, drop_path=0.0), lambda n: joined(n.student(pixels)))  # type: ignore[operator]
    hhl = HhlNetwork(narrow(), 5, HHLParams(style={"use": "self-style"}, width=16, embedding=8), torch.Generator())
    yield Case("hhl", hhl, lambda n: joined(n(pixels, pixels)))
    vit = backbone("vit-tiny", SIZE)
    jigsaw = TransReidEmbedder(vit, preprocess, jpm_groups=2, jpm_shift=1)
    yield Case("transreid", jigsaw, whole)


def pairs() -> Iterator[Case]:
    """The networks of arn, gcl, its regressor, StarGAN and SPGAN, at their narrowest."""
    pixels, preprocess = images(SIZE), Preprocess(SIZE)
    narrow = [backbone("resnet-tiny", SIZE, width=4) for _ in range(3)]
    paper = WholeEmbedder(narrow[2], preprocess, 32, True, (2, 2))
    encoders: list[tuple[str, Any, dict[str, Any]]] = [
        ("last-stage", StageEmbedder(narrow[0], preprocess, True), {"split": "last-stage"}),
        ("whole", WholeEmbedder(narrow[1], preprocess, 2, True), {"split": "whole", "dim": 2}),
        ("paper", paper, {"split": "whole", "dim": 32, "encoder": "fcn", "codes": "pooled", "difference": "frobenius"}),
    ]
    for name, embedder, params in encoders:
        arn = ArnNetwork(embedder, 2, ArnParams(dropout=0.0, **params), 0)
        labels = torch.tensor([0, 0, 1, 1])
        yield Case(f"arn {name}", arn, lambda n, y=labels: joined([n(pixels, y, pixels).loss]))
    yield Case("arn decoder", Decoder(2, (4, 2), (3, 64, 32)), lambda n: joined(n(images((4, 2), 2))))
    generator = GeneratorParams(dim=1, mlp=2, critic_dim=1, dilations=(1, 2, 3), critic_scales=2)
    code, maps = torch.randn(BATCH, 16, generator=torch.Generator().manual_seed(2)), images(SIZE, 1)
    yield Case("gcl generator", GclGenerator(generator, 16, SIZE), lambda n: joined(n(structure=maps, feat=code)))
    yield Case("gcl discriminator", GclDiscriminator(generator), lambda n: joined(n(pixels)))
    identity = IdentityEncoder(BackboneEmbedder(backbone("resnet-tiny", SIZE, width=4), preprocess, False))
    yield Case("gcl identity", identity, lambda n: joined(n(pixels)))
    for width in (2, 3, 16):
        spec = NetworkSpec(preprocess, width=width, hidden=8, dropout=0.0)
        yield Case(f"hmr width {width}", Regressor(spec), lambda n: joined(n(pixels)))
    cameras = torch.tensor([0, 1, 0, 1])
    styles, critic = StarGenerator(2, 2, 1), StarDiscriminator(SIZE, 2, 2, 3)
    for layout in (torch.contiguous_format, torch.channels_last):
        one, other = copy.deepcopy(styles).to(memory_format=layout), copy.deepcopy(critic).to(memory_format=layout)
        seen = pixels.contiguous(memory_format=layout)
        yield Case(f"stargan generator {layout}", one, lambda n, x=seen: joined(n(x, cameras)))
        yield Case(f"stargan discriminator {layout}", other, lambda n, x=seen: joined(n(x)))
    siamese = SiameseNetwork(SIZE, 2, None, 0.0, torch.Generator())
    translators = {"generator": CycleGenerator(2, 1), "discriminator": PatchDiscriminator(SIZE, 2), "siamese": siamese}
    for name, network in translators.items():
        yield Case(f"spgan {name}", network, lambda n: joined(n(pixels)))
    for channels in range(1, 17):
        strided = StridedPointwise(channels, 8, 2).to(memory_format=torch.channels_last)
        seen = images((17, 9), channels).contiguous(memory_format=torch.channels_last)
        yield Case(f"strided 1x1 of {channels}", strided, lambda n, x=seen: joined(n(x)))


def smooth(network: nn.Module) -> None:
    """Put a smooth function for each ReLU: near its kink, rounding decides whether a gradient passes at all."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.GELU())


def computed(case: Case, *, onednn: bool) -> dict[str, torch.Tensor]:
    """The answer and the gradient of every parameter, of a random sum of the answer."""
    case.network.zero_grad()
    with torch.backends.mkldnn.flags(enabled=onednn):
        torch.manual_seed(3)  # patches are shuffled by the global generator
        answer = case.forward(case.network)
        weights = torch.randn(answer.shape, generator=torch.Generator().manual_seed(4))
        (answer * weights).sum().backward()  # type: ignore[no-untyped-call]
    found = {name: p.grad.clone() for name, p in case.network.named_parameters() if p.grad is not None}
    return {"answer": answer.detach().clone(), **found}


def worst(case: Case) -> tuple[float, str, int]:
    """The largest difference relative to a tensor's norm, whose it is, and of how many tensors.

    A bias before a norm has no gradient but rounding: norms below 1e-3 of the largest count as that.
    """
    case.network.eval()  # batch norm over a batch of four would magnify rounding without bound
    smooth(case.network)
    plain, fast = computed(case, onednn=False), computed(case, onednn=True)
    scale = max(float(tensor.norm()) for tensor in plain.values())
    found = {
        name: float((fast[name] - tensor).norm()) / max(float(tensor.norm()), 1e-3 * scale)
        for name, tensor in plain.items()
    }
    name = max(found, key=lambda key: found[key])
    return found[name], name, len(found)


def exposed(network: nn.Module) -> list[str]:
    """Plain strided 1x1 convolutions of few channels: what some processors compute wrong."""
    return [
        name
        for name, module in network.named_modules()
        if type(module) is nn.Conv2d
        and module.kernel_size == (1, 1)
        and max(module.stride) > 1
        and module.in_channels < 16
    ]


def main() -> None:
    torch.set_num_threads(1)
    seen = set()
    for case in itertools.chain(backbones(), embedders(), pairs()):
        error, name, tensors = worst(case)
        seen |= {type(module).__name__ for module in case.network.modules()}
        facts = {"error": error, "tensor": name, "tensors": tensors, "exposed": exposed(case.network)}
        print(json.dumps({"network": case.name, **facts}), flush=True)
    print(json.dumps({"classes": sorted(seen)}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
