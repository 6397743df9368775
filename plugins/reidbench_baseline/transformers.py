"""Declarations of the transformer backbones and ResNet-50 with IBN."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, Paper

from .transformer_params import IbnParams, SwinParams, ViTParams, ViTTinyParams

STEMS = (
    "stem: ics and conv are the stem of Luo et al. (arXiv 2111.12084), github.com/damo-cv/TransReID-SSL (MIT), and "
    "the same with batch norm only"
)
VIT = Paper(
    title="An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
    venue="ICLR 2021",
    url="https://arxiv.org/abs/2010.11929",
    code="https://github.com/huggingface/pytorch-image-models",
    code_licence="Apache-2.0",
    deviations=(STEMS, "positions at another image size: DINO's bicubic interpolation, not timm's antialiased one"),
)
SWIN = Paper(
    title="Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
    venue="ICCV 2021",
    url="https://arxiv.org/abs/2103.14030",
    code="https://github.com/microsoft/Swin-Transformer",
    code_licence="MIT",
    deviations=(
        STEMS,
        "small maps are padded to a window, and the official code shrinks the window; both drop its shift",
    ),
)
IBN_NET = Paper(
    title="Two at Once: Enhancing Learning and Generalization Capacities via IBN-Net",
    venue="ECCV 2018",
    url="https://arxiv.org/abs/1807.09441",
    code="https://github.com/XingangPan/IBN-Net",
    code_licence="MIT",
    deviations=("last stride 1 as in Luo et al. 2019, 2 with last_stride: 2",),
)


def backbones() -> Iterator[Component]:
    """Yield vit-tiny, vit-small, vit-base, swin-tiny and resnet50-ibn."""
    vits: tuple[tuple[str, type[ViTParams], str], ...] = (
        ("tiny", ViTTinyParams, "ViT of 48 dimensions and 3 blocks for 64x32 on a CPU"),
        ("small", ViTParams, "ViT-S/16: 384 dimensions, 12 blocks, 6 heads"),
        ("base", ViTParams, "ViT-B/16: 768 dimensions, 12 blocks, 12 heads"),
    )
    for size, params, summary in vits:
        yield Component(
            f"vit-{size}",
            f"reidbench_baseline.vit:vit_{size}",
            params,
            summary=summary,
            capabilities=params.capabilities,
            paper=VIT,
        )
    yield Component(
        "swin-tiny",
        "reidbench_baseline.swin:swin_tiny",
        SwinParams,
        version=2,
        summary="Swin-T: 768 dimensions, windows of 7 patches",
        capabilities=SwinParams.capabilities,
        paper=SWIN,
    )
    yield Component(
        "resnet50-ibn",
        "reidbench_baseline.ibn:resnet50_ibn",
        IbnParams,
        version=2,
        summary="ResNet-50 with instance norm on half of the channels of stages 1 to 3 (IBN-a), or IBN-b",
        capabilities=frozenset({"stages", "bn"}),
        traits=IbnParams.traits,
        protocol=IbnParams.supervision,
        paper=IBN_NET,
    )
