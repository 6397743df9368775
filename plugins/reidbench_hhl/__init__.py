"""HHL (Zhong et al., ECCV 2018): camera styles of the target as positives, the source as negatives."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, Paper, hookimpl

from . import presets, published
from .params import CamStyleFolderParams, HHLParams, OracleStyleParams, SelfStyleParams, StarGanParams

STARGAN = Paper(
    title="StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation",
    venue="CVPR 2018",
    url="https://arxiv.org/abs/1711.09020",
    code="https://github.com/yunjey/stargan",
    code_licence="MIT",
    deviations=(
        "the rate really falls to 0 over the second half; in the code that HHL used it stays within 0.1 % of its start "
        "(`preset: code`, decay_start 1)",
        "it works at the step's image size, as the code that HHL used; the paper's 128x64 is `preset: paper`",
        "an identity term at the image's own camera is an option; neither StarGAN nor HHL has one",
    ),
)
HHL = Paper(
    title="Generalizing A Person Retrieval Model Hetero- and Homogeneously",
    venue="ECCV 2018",
    url="https://openaccess.thecvf.com/content_ECCV_2018/html/Zhun_Zhong_Generalizing_A_Person_ECCV_2018_paper.html",
    code="https://github.com/zhunzhong07/HHL",
    code_licence="none stated",
    deviations=(
        "all layers are trained; the official optimiser leaves out the shared layer and the triplet branch "
        "(train_embedding: false)",
        "pseudo identities never meet source identities; the official random ones may",
        "the target starts its next pass when it was seen whole; officially at each end of either loader",
        "in L_D the anchors are the source's images, as the paper writes it",
        "supervised sampling is not offered: no method is given target identities",
        "published mAP is trapezoid AP, about 3 points below step AP at .3 to .5; evaluators measure step AP unless "
        "they say ap: trapezoid",
        "the start is the recipe's: officially ImageNet weights in a ResNet-50 with last stride 2 and no fine-tuning "
        "before, so `backbone: {use: resnet50, weights: IMAGENET1K_V1, last_stride: 2}` and no finetune step",
        "the feature has unit length, as in the official code, so that Euclidean distance, which the paper names, and "
        "cosine distance rank alike",
        "crops are cut from resized pictures and test pictures are resized bilinearly; the official code's way is "
        "`crop_from: original` and `resize_test: bicubic`, beside `image_size`, as in the presets",
    ),
    published=published.HHL,
)
CAMERAS = frozenset({"cameras"})
SEEDLESS = frozenset({"seedless"})
# How `reidbench check` tries them: the paper's critic of six layers halves a picture of 64x32 to nothing.
CHECK = {"stargan": {"critic_layers": 5}, "hhl": {"id_batch": 16, "style": {"use": "stargan", "critic_layers": 5}}}


@hookimpl
def reidbench_preparers() -> Iterator[Component]:
    """Where a target's images in the style of its cameras come from."""
    yield Component(
        "stargan",
        "reidbench_hhl.stargan:prepare",
        StarGanParams,
        summary="camera styles by a StarGAN trained on the images and camera labels",
        requires=CAMERAS,
        protocol=CAMERAS,
        paper=STARGAN,
        presets=presets.STARGAN,
        rehearsal={"batch": 2, "steps": 2, "critic_steps": 1, "save_every": 1, "sheet": 2},
        workload="reidbench_hhl.workload:stargan",
    )
    yield Component(
        "camstyle-folder",
        "reidbench_hhl.preparers:camstyle_folder",
        CamStyleFolderParams,
        summary="camera styles from a folder that somebody released",
        traits=SEEDLESS,
        requires=CAMERAS,
        protocol=CAMERAS,
    )
    yield Component(
        "oracle-style",
        "reidbench_hhl.preparers:oracle_style",
        OracleStyleParams,
        summary="camera styles as the renderer of the images makes them, from the truth",
        traits=SEEDLESS,
        requires=CAMERAS | {"truth"},
        protocol=CAMERAS | {"truth"},
    )
    yield Component(
        "self-style",
        "reidbench_hhl.preparers:self_style",
        SelfStyleParams,
        summary="copies of the image itself in place of camera styles: the control",
        traits=SelfStyleParams.traits,
        requires=SelfStyleParams.required,
        protocol=CAMERAS,
    )


@hookimpl
def reidbench_adapters() -> Iterator[Component]:
    """The adapter of this plugin."""
    yield Component(
        "hhl",
        "reidbench_hhl.adapt:adapt",
        HHLParams,
        summary="HHL: source classification and triplets of source, target and its camera styles",
        requires=frozenset({"source"}),
        paper=HHL,
        presets=presets.HHL,
        rehearsal={
            "epochs": 1,
            "id_batch": 8,
            "identities": 2,
            "images": 2,
            "target_images": 2,
            "clusters": None,
            "probe": 2,
        },
        workload="reidbench_hhl.workload:hhl",
    )
