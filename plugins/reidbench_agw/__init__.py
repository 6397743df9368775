"""AGW: non-local attention, generalised-mean pooling and a weighted triplet loss on top of Bag of Tricks."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, Paper, hookimpl

from .params import AgwParams
from .presets import AGW, FEW
from .published import AGW as NUMBERS

PAPER = Paper(
    title="Deep Learning for Person Re-identification: A Survey and Outlook",
    venue="TPAMI 2021",
    url="https://arxiv.org/abs/2001.04193",
    code="https://github.com/mangye16/ReID-Survey",
    code_licence="MIT",
    deviations=(
        "the ReLU after the stem's batch norm is kept; the official ResNet has none",
        "the text of the paper was not available: recipe and blocks follow the official code and its configuration",
        "a non-local block has one inner channel, which is what the official code computes (reduc_ratio // "
        "reduc_ratio); inner: null has half of the channels, as in Wang et al. (CVPR 2018) and in the authors' code "
        "for two modalities",
        "a non-local block multiplies its three matrices in a cheaper order; with the same weights its output differs "
        "from the official block's by up to 3e-6 of its size (512 and 1024 channels), pooled vectors by nothing, the "
        "losses by 2e-7",
        "a stage with fewer layers than non_local says, as in resnet-tiny, has a block after each",
        "the weights of the triplet loss are the softmax that the paper prints; the official code adds 1e-6 to their "
        "sum (triplet: weighted-code, as in `preset: paper`), and an image is among its own positives, as there",
        "warm-up and milestones are fractions of the epochs; the official epochs result at 120",
        "the last epoch is kept, or one chosen on held-out images",
    ),
    published=NUMBERS,
)


@hookimpl
def reidbench_finetuners() -> Iterator[Component]:
    """Yield the fine-tuner of this plugin."""
    yield Component(
        "agw",
        "reidbench_agw.finetune:finetune",
        AgwParams,
        summary="AGW: non-local blocks, GeM pooling, weighted regularised triplet and centre loss around a BNNeck",
        traits=frozenset({"data-parallel"}),
        requires=frozenset({"stages"}),
        protocol=AgwParams.protocol,
        paper=PAPER,
        presets=AGW,
        rehearsal=FEW,
        workload="reidbench_agw.workload:workload",
    )
