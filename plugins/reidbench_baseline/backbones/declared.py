"""Declarations of the networks of this folder."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, Paper, Params

from .params import MobileNetParams, OsNetParams, SeIbnParams

OSNET = Paper(
    title="Omni-Scale Feature Learning for Person Re-Identification",
    venue="ICCV 2019",
    url="https://arxiv.org/abs/1905.00953",
    code="https://github.com/KaiyangZhou/deep-person-reid",
    code_licence="MIT",
    deviations=("with its head, which gives the published feature, the map for other methods has a single cell",),
)
MOBILENET = Paper(
    title="MobileNetV2: Inverted Residuals and Linear Bottlenecks",
    venue="CVPR 2018",
    url="https://arxiv.org/abs/1801.04381",
    code="https://github.com/pytorch/vision",
    code_licence="BSD-3-Clause",
    deviations=("last stride 2 as on ImageNet; 1 with last_stride: 1",),
)
SE_IBN = Paper(
    title="Squeeze-and-Excitation Networks; with IBN-a of Two at Once (ECCV 2018)",
    venue="CVPR 2018",
    url="https://arxiv.org/abs/1709.01507",
    code="https://github.com/Qidian213/NAIC2019 (one of the competition entries that use it)",
    code_licence="none stated",
    deviations=(
        "last stride 1 as in those entries, 2 with last_stride: 2",
        "no biases in the excitation, as in those entries",
    ),
)
BN = frozenset({"bn"})
DECLARED: tuple[tuple[str, str, type[Params], str, frozenset[str], Paper], ...] = (
    ("se-resnet50-ibn-a", "se_ibn:se_resnet50_ibn_a", SeIbnParams, "SE-ResNet-50 with IBN-a", BN | {"stages"}, SE_IBN),
    (
        "se-resnet101-ibn-a",
        "se_ibn:se_resnet101_ibn_a",
        SeIbnParams,
        "SE-ResNet-101 with IBN-a",
        BN | {"stages"},
        SE_IBN,
    ),
    ("osnet-x1-0", "osnet:osnet_x1_0", OsNetParams, "OSNet of width 1: 2.2 million parameters", BN, OSNET),
    ("osnet-x0-25", "osnet:osnet_x0_25", OsNetParams, "OSNet of width 0.25: 0.2 million parameters", BN, OSNET),
    ("mobilenet-v2", "mobilenet:mobilenet_v2", MobileNetParams, "torchvision's MobileNetV2", BN, MOBILENET),
)


def backbones() -> Iterator[Component]:
    """Yield SE-ResNet with IBN-a of 50 and 101 layers, OSNet of two widths, and MobileNetV2."""
    for name, target, params, summary, capabilities, paper in DECLARED:
        yield Component(
            name,
            f"reidbench_baseline.backbones.{target}",
            params,
            summary=summary,
            capabilities=capabilities,
            traits=params.traits,  # type: ignore[attr-defined]
            protocol=params.supervision,  # type: ignore[attr-defined]
            paper=paper,
        )
