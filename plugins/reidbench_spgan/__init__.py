"""SPGAN (Deng et al., CVPR 2018) and CycleGAN: training on source images translated to the target's style."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reidbench import Component, Paper, hookimpl

from . import presets, published
from .params import CycleGanParams, SpganParams, SpganTrainingParams, TranslatedFolderParams

NETWORKS = (
    "maps are padded as in CycleGAN's own code, by 1 pixel on both sides; TensorFlow pads strided 3x3 convolutions at "
    "the end only, and keeps the size of unstrided 4x4 ones",
    "outputs and gradients of generator and discriminator equal those of OpenUnReID's CycleGAN to the last bit of "
    "float64, with the same weights and norms that scale by 1",
    "norms scale and shift, as in SPGAN's code; those of CycleGAN's code only normalise",
    "weights start from N(0, 0.02), those of norms from N(1, 0.02), as in CycleGAN; SPGAN's code draws them by "
    "Glorot's rule",
    "works at the stage's image size; the official code's 256x256 is `preset: code`",
    "JPEG files of quality 95 without chroma subsampling; the official code saves Pillow's default of 75",
)
CYCLEGAN = Paper(
    title="Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
    venue="ICCV 2017",
    url="https://arxiv.org/abs/1703.10593",
    code="https://github.com/junyanz/pytorch-CycleGAN-and-pix2pix",
    code_licence="BSD",
    deviations=(
        "epochs, constant learning rate and identity loss are those of SPGAN's official code; CycleGAN trains 200 "
        "epochs with a rate that falls to 0 over the second half (decay_start: 0.5); its identity loss is optional",
        *NETWORKS,
    ),
)
TITLE = (
    "Image-Image Domain Adaptation with Preserved Self-Similarity and Domain-Dissimilarity for Person Re-identification"
)
REFERENCE: dict[str, Any] = {
    "title": TITLE,
    "venue": "CVPR 2018",
    "url": "https://arxiv.org/abs/1711.07027",
    "code": "https://github.com/Simon4Yan/Learning-via-Translation",
    "code_licence": "MIT",
}
ABSTRACT = "the paper's text was not available: settings and numbers come from the official code and from citations"
SPGAN = Paper(
    **REFERENCE,
    deviations=(
        ABSTRACT,
        "negative pairs are a translation and an image of its new domain, as the abstract says; those of the official "
        "code are source and target images, without effect on the generators (negatives: real). The later eSPGAN code "
        "uses both",
        "the similarity loss is the mean of two positive and two negative pairs, as in train_spgan.py; "
        "train_spgan_demo.py divides the same sum by 3, which is a weight of 2.67",
        "the Siamese network has 4 layers, or as many as the image size allows; the eSPGAN code has 3 at 256x128. Its "
        "outputs and gradients it equals to the last bit of float64; the loss differs by 1e-6 of its size, by the "
        "constants added to distances",
        *NETWORKS,
    ),
)
TRAINING = Paper(
    **REFERENCE,
    deviations=(
        ABSTRACT,
        "the first convolution is trained; in the official Caffe files it keeps ImageNet's weights",
        "bias and weights of the classifier have the same learning rate and weight decay; in the official files the "
        "weights decay twice as fast, and the bias learns twice as fast and does not decay",
        "images are normalised as the network's weights require; the official code subtracts a mean colour",
        "local max pooling (`parts`) joins the maxima of equal horizontal parts of the last map; the released code has "
        "no such pooling, and the number of parts of the published rows could not be checked",
        "published mAP is trapezoid AP; evaluators compute step AP unless they set ap: trapezoid",
        "starts from the recipe's network; the published rows start from ImageNet: `backbone: {use: resnet50, weights: "
        "IMAGENET1K_V1, last_stride: 2}` and no finetune step",
    ),
    published=published.SPGAN,
)
TRANSLATES = frozenset({"translates"})
# For `reidbench check`: small networks for a few steps.
SMALL = {"channels": 4, "blocks": 1, "critic_channels": 4, "batch": 2, "save_every": 1}
CHECK = {
    "cyclegan": SMALL,
    "preparer spgan": {**SMALL, "siamese_channels": 4},
    "adapter spgan": {"translation": {"use": "spgan", **SMALL, "siamese_channels": 4}},
}
# A few steps, for `reidbench rehearse`.
FEW = {"steps": 2, "save_every": 1, "sheet": 2}


@hookimpl
def reidbench_preparers() -> Iterator[Component]:
    """Return the preparers of translated images: a source's images in the style of the target."""
    yield Component(
        "cyclegan",
        "reidbench_spgan.translate:cyclegan",
        CycleGanParams,
        summary="images translated to the target's style by a CycleGAN trained on both sets without labels",
        traits=TRANSLATES,
        paper=CYCLEGAN,
        presets=presets.CYCLEGAN,
        rehearsal=FEW,
        workload="reidbench_spgan.workload:translation",
    )
    yield Component(
        "spgan",
        "reidbench_spgan.translate:spgan",
        SpganParams,
        summary="images translated to the target's style by SPGAN: CycleGAN and the loss of a Siamese network",
        traits=TRANSLATES,
        paper=SPGAN,
        presets=presets.SPGAN,
        rehearsal=FEW,
        workload="reidbench_spgan.workload:translation",
    )
    yield Component(
        "translated-folder",
        "reidbench_spgan.preparers:translated_folder",
        TranslatedFolderParams,
        summary="translated images from a released folder",
        traits=TRANSLATES | {"seedless"},
    )


@hookimpl
def reidbench_adapters() -> Iterator[Component]:
    """Return the adapter `spgan`."""
    yield Component(
        "spgan",
        "reidbench_spgan.adapt:adapt",
        SpganTrainingParams,
        summary="SPGAN: identity classification of source images translated to the target's style",
        requires=frozenset({"source"}),
        paper=TRAINING,
        presets=presets.TRAINING,
        rehearsal={"epochs": 1, "batch": 8},
        workload="reidbench_spgan.workload:training",
    )
