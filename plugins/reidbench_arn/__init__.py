"""ARN (Li et al., CVPR Workshops 2018): shared and private codes with one decoder, for an unlabelled target."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, Paper, Preset, Published, hookimpl

from .params import PAPER_FORM, ArnParams

# A few steps with a small batch, for `reidbench rehearse`. From random weights the printed form diverges within these
# steps at its own rates; a rehearsal checks only folders, sizes and memory.
RATES = dict.fromkeys(("lr_image", "lr_code", "lr_classifier"), 1e-12)
FEW = {"epochs": 1, "iterations": 2, "identities": 2, "images": 2, "target_images": 4, "warmup_epochs": 0, **RATES}
ROW = "ARN, ResNet-50"
NOTE = (
    "no known reproduction; often quoted with the two directions exchanged: the paper reports 33.4/60.2 (mAP/R1) with "
    "Duke as the target"
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
        "the defaults are a variant that trains; `preset: paper` is the printed form, at 224x224",
        "encoders are residual stages; the paper's convolutions of 7x7, 1x1 and 1x1 have 856 million weights including "
        "the decoder's (encoder: fcn, split: whole)",
        "the decoder reconstructs the map from the sum of code maps, not from pooled codes (codes: pooled)",
        "the reconstruction loss is a mean over images and C x H x W, not a sum (reconstruction: sum)",
        "the difference loss is cos^2 of centred codes with weight 1, not 1500 times the raw Frobenius norm "
        "(difference: raw)",
        "the reconstruction target is detached; otherwise E_I could shrink its map to zero (detach: false)",
        "E_C ends in a BNNeck, which the paper does not mention (neck: false)",
        "no initial epochs that train E_I alone (warmup_epochs; the paper gives no number, the preset uses 3)",
        "every fully convolutional layer has batch norm and ReLU; the paper does not print where they are",
        "the contrastive loss is Hadsell's, a mean over pairs; the printed formula has no norm. The margin is 2 in "
        "root mean squared differences, since the paper gives none",
        "the classification loss is a mean over images; the paper prints a sum",
        "batches are sampled by identity, since the contrastive loss needs positive pairs",
        "the paper does not state momentum, weight decay, epochs or batch sizes: momentum 0.9 and weight decay 5e-4 "
        "are the draft's, the rest are ours",
        "training starts from the recipe's fine-tuned network, as in the draft, also for L_rec alone: the paper's "
        "result for that row is what a plain source model reaches",
        "the draft's MMD loss, which is not in the paper, is not implemented",
        "X is 2048 x 7 x 7 in the paper: `preset: paper` sets 224x224, the last stride of 2 must be set on the network "
        "(`backbone: {use: resnet50, last_stride: 2}`)",
    ),
    published=PUBLISHED,
)


@hookimpl
def reidbench_adapters() -> Iterator[Component]:
    """Return the adapter `arn`."""
    yield Component(
        "arn",
        "reidbench_arn.adapt:adapt",
        ArnParams,
        version=2,
        summary="ARN: shared and private codes of source and target, tied by reconstruction",
        requires=frozenset({"stages", "source"}),
        paper=PAPER,
        presets={
            "paper": Preset(
                'equations, weights and learning rates of the paper; 3 epochs for its "first few"',
                image_size=(224, 224),
                **PAPER_FORM,
            )
        },
        rehearsal=FEW,
        workload="reidbench_arn.workload:workload",
    )
