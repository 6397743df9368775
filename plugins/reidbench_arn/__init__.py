"""ARN (Li et al., CVPR Workshops 2018): shared and private codes, one decoder, for a target without labels."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, Paper, hookimpl

from .params import ArnParams

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
    published={
        "DukeMTMC-reID -> Market-1501 R1/mAP": "70.3/39.4 (not reproduced by anybody that we know of)",
        "Market-1501 -> DukeMTMC-reID R1/mAP": "60.2/33.4 (not reproduced by anybody that we know of)",
    },
)


@hookimpl
def reidbench_adapters() -> Iterator[Component]:
    """The adapter of this plugin."""
    yield Component(
        "arn",
        "reidbench_arn.adapt:adapt",
        ArnParams,
        summary="ARN: codes that source and target share beside private ones, held together by reconstruction",
        requires=frozenset({"stages", "source"}),
        paper=PAPER,
    )
