"""ARN (Li et al., CVPR Workshops 2018): shared and private codes, one decoder, for a target without labels."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, Paper, Published, hookimpl

from .params import ArnParams

ROW = "ARN, ResNet-50"
NOTE = (
    "nobody that we know of has reproduced it; often quoted with the two directions exchanged: the paper has 33.4/60.2 "
    "(mAP/R1) with Duke as the target"
)
PUBLISHED = (
    *Published.table(
        "ablation tables of the paper: with and without supervision, with and without private encoders",
        dict.fromkeys(("dukemtmc-reid->market1501", "market1501->dukemtmc-reid"), "mAP cmc1"),
        {
            f"{ROW}, L_rec alone, E_I frozen": "20.3 44.5 18.4 31.2",
            f"{ROW}, private encoders, without L_class and L_ctrs": "23.7 52.2 19.6 36.7",
            f"{ROW}, L_class, L_ctrs and L_rec, without private encoders": "28.7 60.5 26.8 48.4",
            f"{ROW}, all losses": "39.4 70.3 33.4 60.2",
        },
        note=NOTE,
    ),
    *Published.table(
        "paper, as cited by JVTC, Table 2",
        dict.fromkeys(("dukemtmc-reid->market1501", "market1501->dukemtmc-reid"), "mAP cmc1 cmc5 cmc10 cmc20"),
        {f"{ROW}, all losses": "39.4 70.3 80.4 86.3 93.6 33.4 60.2 73.9 79.5 82.5"},
        note=NOTE,
    ),
)
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
    published=PUBLISHED,
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
