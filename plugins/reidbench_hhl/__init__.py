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
        "the learning rate decays to 0 over the second half; in the code that HHL used it stays within 0.1 % of its "
        "start (`preset: code`, decay_start 1)",
        "works at the stage's image size, as the code that HHL used does; the paper's 128x64 is `preset: paper`",
        "an optional identity term at the image's own camera; neither StarGAN nor HHL has one",
    ),
)
HHL = Paper(
    title="Generalizing A Person Retrieval Model Hetero- and Homogeneously",
    venue="ECCV 2018",
    url="https://openaccess.thecvf.com/content_ECCV_2018/html/Zhun_Zhong_Generalizing_A_Person_ECCV_2018_paper.html",
    code="https://github.com/zhunzhong07/HHL",
    code_licence="none stated",
    deviations=(
        "all layers are trained; the official optimiser omits the shared layer and the triplet branch "
        "(train_embedding: false)",
        "pseudo identities never coincide with source identities; the official random ones may",
        "the target starts its next pass when all its images were seen; in the official code, when either loader ends",
        "in L_D the anchors are the source's images, as the paper writes",
        "supervised sampling is not implemented: no method receives target identities",
        "published mAP is trapezoid AP, about 3 points below step AP at .3 to .5; evaluators compute step AP unless "
        "they set ap: trapezoid",
        "starts from the recipe's network; the official code starts from ImageNet weights in a ResNet-50 with last "
        "stride 2, without fine-tuning: `backbone: {use: resnet50, weights: IMAGENET1K_V1, last_stride: 2}` and no "
        "finetune step",
        "the feature has unit length, as in the official code, so that Euclidean distance, which the paper names, "
        "and cosine distance give the same ranking",
        "crops are taken from resized images, and test images are resized bilinearly; the official code's way is "
        "`crop_from: original` and `resize_test: bicubic`, set next to `image_size`, as in the presets",
    ),
    published=published.HHL,
)
CAMERAS = frozenset({"cameras"})
SEEDLESS = frozenset({"seedless"})
# For `reidbench check`: the paper's critic has six layers, too many for images of 64x32.
CHECK = {"stargan": {"critic_layers": 5}, "hhl": {"id_batch": 16, "style": {"use": "stargan", "critic_layers": 5}}}


@hookimpl
def reidbench_preparers() -> Iterator[Component]:
    """Return the preparers of camera styles: a target's images in the style of each of its cameras."""
    yield Component(
        "stargan",
        "reidbench_hhl.stargan:prepare",
        StarGanParams,
        summary="camera styles by a StarGAN trained on images and camera labels",
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
        summary="camera styles from a released folder",
        traits=SEEDLESS,
        requires=CAMERAS,
        protocol=CAMERAS,
    )
    yield Component(
        "oracle-style",
        "reidbench_hhl.preparers:oracle_style",
        OracleStyleParams,
        summary="true camera styles, rendered by the renderer of the images",
        traits=SEEDLESS,
        requires=CAMERAS | {"truth"},
        protocol=CAMERAS | {"truth"},
    )
    yield Component(
        "self-style",
        "reidbench_hhl.preparers:self_style",
        SelfStyleParams,
        summary="control: copies of the image itself as camera styles",
        traits=SelfStyleParams.traits,
        requires=SelfStyleParams.required,
        protocol=CAMERAS,
    )


@hookimpl
def reidbench_adapters() -> Iterator[Component]:
    """Return the adapter `hhl`."""
    yield Component(
        "hhl",
        "reidbench_hhl.adapt:adapt",
        HHLParams,
        summary="HHL: source classification, and triplets of source, target and target camera styles",
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
