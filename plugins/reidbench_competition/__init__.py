"""A competition system: balanced identities, strong augmentation, stripe and 2 x 2 branches, cosine triplets."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, Paper, Published, hookimpl

from .params import CompetitionParams, JointParams
from .presets import COMPETITION, FEW, JOINT

PAPER = Paper(
    title="A competition system; its parts: OSNet (RandomPatch), RMGL (RSA, RP, ABP), MGN, DMT",
    venue="ICCV 2019; arXiv 2008.13450; ACM MM 2018; NAIC challenges",
    url="https://arxiv.org/abs/2008.13450",
    code="no code of the system was published; public relatives: heshuting555/NAIC_Person_ReID_DMT",
    code_licence="none",
    deviations=(
        "patches are cut from unchanged images, at places that the pool stores; OSNet's code stores augmented pixels",
        "a pasted patch may be rotated, as in torchreid (patch_rotate: 0 disables rotation)",
        "RMGL's formulas are not public: RP shows the last stage one stripe at a time, ABP cuts the histogram of "
        "the rows of the channels' maxima into equal mass, for each image",
        "competition-joint searches once, continues from the network that searched and restarts its schedule, which "
        "the source leaves open; `pseudo-label` with circular clustering trains on the target alone, with its own loss",
        "margin schedule, jitter and affine amounts, epochs and rates, which the source does not give, are parameters",
        "the source gives no image size either: `preset: paper` has that of DMT, a relative",
    ),
    published=Published.table(
        "README of finger-monkey/NAIC_reid_challenge",
        {"naic2019": "mAP cmc1"},
        {"RandomPatch with probability 0.1": "81.85 92.50", "RandomPatch with probability 0.5": "83.45 93.63"},
        note="means over four folds of a relative's training data, which no component reads",
        beside=False,
    ),
)


@hookimpl
def reidbench_finetuners() -> Iterator[Component]:
    """Yield the system's fine-tuner."""
    yield Component(
        "competition",
        "reidbench_competition.finetune:finetune",
        CompetitionParams,
        summary="competition recipe: cosine triplet, resampling, RandomPatch, RSA; global, MGN, RMGL or 2 x 2 branches",
        requires=frozenset({"stages"}),
        protocol=CompetitionParams.protocol,
        paper=PAPER,
        presets=COMPETITION,
        rehearsal=FEW,
        workload="reidbench_competition.workload:competition",
    )


@hookimpl
def reidbench_adapters() -> Iterator[Component]:
    """Yield the system's training on unlabelled images."""
    yield Component(
        "competition-joint",
        "reidbench_competition.joint:adapt",
        JointParams,
        summary="the competition recipe, trained on the labelled source and the target's pseudo labels together",
        requires=frozenset({"stages", "source", "start"}),
        paper=PAPER,
        presets=JOINT,
        rehearsal=FEW,
        workload="reidbench_competition.workload:joint",
    )
