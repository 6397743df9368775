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
    deviations=(
        STEMS,
        "positions at another image size: DINO's bicubic interpolation, not timm's antialiased one",
        "part_tokens: 3 is PASS's network (Zhu et al., ECCV 2022, github.com/CASIA-IVA-Lab/PASS-reID, Apache-2.0): its "
        "tokens and their fusion, with one BNNeck; the code's default has one per token; with equal weights the "
        "vectors differ by at most 8e-7",
    ),
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
        "semantic: 0.2 is SOLIDER's network (Chen et al., CVPR 2023, github.com/tinyvision/SOLIDER-REID, MIT), "
        "whose windows shift at any size and whose maps are padded before the shift; a network of 16 channels "
        "with equal weights gives the official code's vectors at 384x128 up to 7e-7 of values up to 2.5",
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
    """Yield vit-tiny, vit-small, vit-base, swin-tiny, swin-small, swin-base and resnet50-ibn."""
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
    for size, version, summary in (
        ("tiny", 2, "Swin-T: 768 dimensions, windows of 7 patches"),
        ("small", 1, "Swin-S: 768 dimensions, as Swin-T with 18 blocks in the third stage"),
        ("base", 1, "Swin-B: 1024 dimensions, as Swin-S with a third more channels"),
    ):
        yield Component(
            f"swin-{size}",
            f"reidbench_baseline.swin:swin_{size}",
            SwinParams,
            version=version,
            summary=summary,
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
