"""Re-identification across modalities: separate early layers for each, after AGW's visible-infrared baseline."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, Paper, hookimpl

from .params import TwoStreamParams
from .presets import FEW, TWO_STREAM
from .published import AGW

PAPER = Paper(
    title="Deep Learning for Person Re-identification: A Survey and Outlook (AGW, its visible-infrared baseline)",
    venue="TPAMI 2021",
    url="https://arxiv.org/abs/2001.04193",
    code="https://github.com/mangye16/Cross-Modal-Re-ID-baseline",
    code_licence="MIT",
    deviations=(
        "AGW's non-local attention blocks are not implemented: the network is AGW's without them",
        "the weights of the triplet loss are the softmax that the paper prints; the official code adds 1e-6 to their "
        "sum, so that negatives beyond a distance of 14 lose their weight (triplet: weighted-code, as in `preset: "
        "paper`)",
        "an image is among its own positives, as in the official code",
        "persons who are not seen in every modality are excluded and noted; the official code assumes none",
        "the last epoch is kept, or one chosen on held-out images; the official code keeps the best on test images",
        "the official images are resized by Lanczos before training; here bilinear unless the step says otherwise",
        "the random channel exchange of Ye et al. (ICCV 2021) is not implemented; grey, a related augmentation, turns "
        "visible images grey",
        "the defaults are for small networks with random weights: Adam, one rate, label smoothing and erasing as in "
        "bot, average pooling",
    ),
    published=AGW,
)


@hookimpl
def reidbench_finetuners() -> Iterator[Component]:
    """Yield the fine-tuner of this plugin."""
    yield Component(
        "two-stream",
        "reidbench_crossmodal.finetune:finetune",
        TwoStreamParams,
        summary="AGW's visible-infrared baseline: a separate stem per modality, batches and triplets across modalities",
        requires=TwoStreamParams.required,
        protocol=TwoStreamParams.protocol,
        paper=PAPER,
        presets=TWO_STREAM,
        rehearsal=FEW,
        workload="reidbench_crossmodal.workload:workload",
    )
