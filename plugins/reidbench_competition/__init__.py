"""A competition system: a long tail made even, strong augmentation, stripe and 2 x 2 branches, cosine triplets."""

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
        "patches are cut from unchanged pictures, by places that the pool keeps; OSNet's code keeps augmented pixels",
        "a pasted patch may be turned, as in torchreid (patch_rotate: 0 turns none)",
        "RMGL's formulas are not public: RP lets the last stage see one stripe at a time, ABP cuts the histogram of "
        "the rows of the channels' maxima at equal mass, for each image",
        "competition-joint searches once, goes on from the network that searched and begins its schedule again, which "
        "the source leaves open; `pseudo-label` with circular clustering trains on the target alone, by its own loss",
        "the margin's schedule, jitter and affine amounts, epochs and rates are not given by the source: parameters",
        "nor is the image size: `preset: paper` has that of DMT, a relative",
    ),
    published=Published.table(
        "README of finger-monkey/NAIC_reid_challenge",
        {"naic2019": "mAP cmc1"},
        {"RandomPatch with probability 0.1": "81.85 92.50", "RandomPatch with probability 0.5": "83.45 93.63"},
        note="means over four folds of a relative's own training data, which no component reads",
        beside=False,
    ),
)


@hookimpl
def reidbench_finetuners() -> Iterator[Component]:
    """The system's training."""
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
    """The system's use of unlabelled images."""
    yield Component(
        "competition-joint",
        "reidbench_competition.joint:adapt",
        JointParams,
        summary="the competition recipe on the labelled source and the target's pseudo labels together",
        requires=frozenset({"stages", "source", "start"}),
        paper=PAPER,
        presets=JOINT,
        rehearsal=FEW,
        workload="reidbench_competition.workload:joint",
    )
