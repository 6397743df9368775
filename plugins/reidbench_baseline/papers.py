"""Where the pre-training methods and part-based heads come from, and where ours differ."""

from __future__ import annotations

from dataclasses import replace

from reidbench import Paper

from . import published

BOT = Paper(
    title="Bag of Tricks and A Strong Baseline for Deep Person Re-identification",
    venue="CVPR Workshops 2019",
    url="https://arxiv.org/abs/1903.07071",
    code="https://github.com/michuanhaohao/reid-strong-baseline",
    code_licence="MIT",
    deviations=(
        "the ReLU after the stem's batch norm is kept; the official ResNet leaves it out",
        "warm-up and milestones are fractions of the epochs, the paper's at 120 epochs",
    ),
    published=published.BOT,
)
MOCO = Paper(
    title="Improved Baselines with Momentum Contrastive Learning",
    venue="arXiv 2003.04297, 2020",
    url="https://arxiv.org/abs/2003.04297",
    code="https://github.com/facebookresearch/moco",
    code_licence="see its LICENSE file",
    deviations=(
        "on one device shuffle-BN is batch norm in `splits` parts, as in the official one-GPU demo",
        "the queue wraps around and takes any batch size, as in LUPerson's version",
        "crops are taken from pictures of the network's size (`crop_from: original`, beside `image_size`, cuts them "
        "from stored pictures, as the official code does), and blur is scaled with their height",
        "erasing draws aspects evenly, as LUPerson's; with erase_aspect: log on a log scale, as torchvision's",
        "batch norm is re-estimated on clean pool images before the backbone is kept (clean_batches: 0 leaves it)",
        "head_norm, which the paper lacks, lets small networks learn in few steps",
    ),
    published=published.MOCO,
)
BDB = Paper(
    title="Batch DropBlock Network for Person Re-identification and Beyond",
    venue="ICCV 2019",
    url="https://arxiv.org/abs/1811.07130",
    code="https://github.com/daizuozhuo/batch-dropblock-network",
    code_licence="MIT",
    deviations=(
        "an identity with fewer than 4 images is drawn from four copies of each, the official code draws with "
        "replacement",
        "passes: images is BoT's sampler, which exhausts each identity's images: 100 epochs have about these steps",
        "the cut square is a sixth of the height, 64 at 384",
        "scored with the shared evaluator; the official one cuts matches off at rank 50 and so reports too low an mAP",
    ),
    published=published.BDB,
)
MGN = Paper(
    title="Learning Discriminative Features with Multiple Granularities for Person Re-Identification",
    venue="ACM Multimedia 2018",
    url="https://arxiv.org/abs/1804.01438",
    code="https://github.com/seathiefwang/MGN-pytorch (a reproduction)",
    code_licence="none stated",
    deviations=(
        "pictures are resized bilinear; the script's bicubic is `resize: bicubic` beside `image_size`",
        "follows the reproduction: cross-entropy on the 256-d vectors, not on the 2048-d ones of the paper",
        "a last batch of a single identity, which has no triplet, is left out",
        "pictures are resized with the stage's filter, the script's with a bicubic one",
        "adaptive pooling, so that any input height works; 24 rows divide by 2 and 3, other heights overlap by a row",
        "on backbones whose third stage is one block, that block is shared and only the last stage is copied",
    ),
    published=published.MGN,
)

RESNET = Paper(
    title="Deep Residual Learning for Image Recognition",
    venue="CVPR 2016",
    url="https://arxiv.org/abs/1512.03385",
    code="https://github.com/pytorch/vision",
    code_licence="BSD-3-Clause",
    deviations=("last stride 1 as in Luo et al. 2019, 2 with last_stride: 2",),
)
RESNEXT = replace(
    RESNET,
    title="Aggregated Residual Transformations for Deep Neural Networks",
    venue="CVPR 2017",
    url="https://arxiv.org/abs/1611.05431",
    deviations=("last stride 1, 2 with last_stride: 2",),
)
SENET = Paper(
    title="Squeeze-and-Excitation Networks",
    venue="CVPR 2018",
    url="https://arxiv.org/abs/1709.01507",
    code="https://github.com/huggingface/pytorch-image-models",
    code_licence="Apache-2.0",
    deviations=("last stride 1, 2 with last_stride: 2",),
)
