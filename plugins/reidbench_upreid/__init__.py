"""UP-ReID (Yang et al., CVPR 2022): unsupervised pre-training for person re-identification."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, Paper, Published, hookimpl

from .params import UpReidParams
from .presets import PRESETS

PAPER = Paper(
    title="Unleashing Potential of Unsupervised Pre-Training with Intra-Identity Regularization "
    "for Person Re-Identification",
    venue="CVPR 2022",
    url="https://arxiv.org/abs/2112.00317",
    code="https://github.com/Frost-Yang-99/UP-ReID (a README only, no code and no weights)",
    code_licence="none stated",
    deviations=(
        "no code was released: implemented from the formulas; what they leave open is a parameter",
        "open in the formulas and chosen here: kernels, samples and weight of the MMD; one head for images and patches",
        "LUPerson, whose recipe the paper uses, pre-trains with a last stride of 2; set it on the step's network: "
        "`backbone: {use: resnet50, last_stride: 2}`; with a stride of 1 a step costs about 1.5 times as much",
        "epochs, key momentum, weight decay, schedule and projection are LUPerson's MoCo v2",
        "crops are taken from images of the network's size; `crop_from: original`, which `preset: paper` sets, "
        "takes them from stored images, as LUPerson does; erasing is LUPerson's (erase_aspect: log is "
        "torchvision's)",
        "shuffle-BN uses batch norm in `splits` parts of the batch, which several devices divide among them",
        "the MMD uses the whole batch, also on several devices",
        "batch norm is re-estimated on clean pool images before the backbone is stored (clean_batches: 0 disables it)",
        "held_out excludes images from training, for the monitor; `preset: paper` holds out none",
    ),
    published=Published.table(
        "paper, as cited by PLIP, Table 7",
        {"market1501": "mAP cmc1"},
        {"UP-ReID on LUPerson, then fine-tuned, ResNet-50": "91.1 97.1"},
        note="the fine-tuning method is not named there; the paper's own tables were not available",
    ),
)


@hookimpl
def reidbench_pretrainers() -> Iterator[Component]:
    """Return the pretrainer `up-reid`."""
    yield Component(
        "up-reid",
        "reidbench_upreid.pretrain:pretrain",
        UpReidParams,
        version=2,  # consistency from differences, in float32
        summary="UP-ReID: MoCo v2, consistency with the plain image, and contrast of body patches",
        traits=frozenset({"data-parallel"}),
        requires=frozenset({"bn"}),
        paper=PAPER,
        presets=PRESETS,
        rehearsal={"epochs": 1, "batch": 8, "splits": 2, "queue": 64, "monitor_every": 1, "clean_batches": 1},
        workload="reidbench.training.contrastive.workload:workload",
    )
