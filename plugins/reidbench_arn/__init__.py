"""ARN (Li et al., CVPR Workshops 2018): shared and private codes, one decoder, for a target without labels."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, Paper, Published, hookimpl

from .params import ArnParams

TABLE = "ablation table of the paper"
NOTE = (
    "nobody that we know of has reproduced it; often quoted with the two directions exchanged: the paper has 60.2/33.4 "
    "(R1/mAP) with Duke as the target"
)
# Losses of a row; mAP and rank 1 from Duke to Market, then from Market to Duke.
ROWS = (
    ("L_rec alone, E_I frozen", (0.203, 0.445), (0.184, 0.312)),
    ("private encoders, without L_class and L_ctrs", (0.237, 0.522), (0.196, 0.367)),
    ("L_class, L_ctrs and L_rec, without private encoders", (0.287, 0.605), (0.268, 0.484)),
    ("all losses", (0.394, 0.703), (0.334, 0.602)),
)


def _published() -> Iterator[Published]:
    for row, to_market, to_duke in ROWS:
        for task, (mean_ap, rank1) in (
            ("dukemtmc-reid->market1501", to_market),
            ("market1501->dukemtmc-reid", to_duke),
        ):
            yield from Published.line(task, f"ARN, ResNet-50, {row}", TABLE, note=NOTE, mAP=mean_ap, cmc1=rank1)


PAPER = Paper(
    title="Adaptation and Re-Identification Network: An Unsupervised Deep Transfer Learning Approach to Person "
    "Re-Identification",
    venue="CVPR Workshops 2018",
    url="https://arxiv.org/abs/1804.09347",
    code="https://github.com/yujheli/ARN (the authors' draft, which is not the paper)",
    code_licence="MIT",
    deviations=(
        "encoders are residual stages: the paper's 7x7 convolutions have 856 million weights in all",
        "the decoder rebuilds the map from the sum of code maps, not from pooled codes",
        "the contrastive loss is Hadsell's: as printed it has no norm; margin 2 in root mean squared differences",
        "the reconstruction loss is a mean over C x H x W, the difference loss cos^2 of centred codes by default",
        "what is rebuilt is detached: E_I could else shrink its map to zero",
        "identity batches, without which the contrastive loss sees no positive pair",
        "learning starts from the recipe's fine-tuned network, as the draft does",
    ),
    published=tuple(_published()),
)


@hookimpl
def reidbench_adapters() -> Iterator[Component]:
    """The adapter of this plugin."""
    yield Component(
        "arn",
        "reidbench_arn.adapt:adapt",
        ArnParams,
        version=2,
        summary="ARN: codes that source and target share beside private ones, held together by reconstruction",
        requires=frozenset({"stages", "source"}),
        paper=PAPER,
    )
