"""ARN (Li et al., CVPR Workshops 2018): shared and private codes, one decoder, for a target without labels."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, Paper, Published, hookimpl

from .params import PAPER_FORM, ArnParams

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
        "the defaults are a reading that trains; `preset: paper` is the form that the paper prints, at 224x224",
        "encoders are residual stages; the paper's convolutions of 7x7, 1x1 and 1x1 have 856 million weights with the "
        "decoder's (encoder: fcn, split: whole)",
        "the decoder rebuilds the map from the sum of code maps, not from pooled codes (codes: pooled)",
        "the reconstruction loss is a mean over images and C x H x W, not a sum (reconstruction: sum)",
        "the difference loss is cos^2 of centred codes with weight 1, not 1500 times the raw Frobenius norm "
        "(difference: raw)",
        "what is rebuilt is detached: E_I could else shrink its map to zero (detach: false)",
        "E_C ends in a BNNeck, of which the paper says nothing (neck: false)",
        "no epochs of E_I alone at the start (warmup_epochs; the paper gives no number, the preset has 3)",
        "where the fully convolutional layers have batch norm and ReLU is not printed: here behind each of them",
        "the contrastive loss is Hadsell's, a mean over pairs: as printed it has no norm; margin 2 in root mean "
        "squared differences, since the paper gives none",
        "the classification loss is a mean over images; it is printed as a sum",
        "identity batches, without which the contrastive loss sees no positive pair",
        "momentum, weight decay, epochs and batches are not in the paper: the draft's 0.9 and 5e-4, and ours",
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
        presets={"paper": PAPER_FORM},
    )
