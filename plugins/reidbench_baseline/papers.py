"""Papers of the pre-training methods and part-based heads, with the deviations of these implementations."""

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
        "the ReLU after the stem's batch norm is kept; the official ResNet has none",
        "warm-up and milestones are fractions of the epochs; the paper's values result at 120 epochs",
        "head: arcface (Deng et al., CVPR 2019) is insightface's formula and equals its code to the last bit, with a "
        "finite gradient at cosines of +-1 (there not a number); fast-reid's ArcSoftmax agrees to 3e-7 up to the angle "
        "pi - m, beyond which its logit rises with the angle; the easy margin of insightface is not offered",
        "head: cosface (Wang et al., CVPR 2018) equals fast-reid's CosSoftmax to the last bit, head: circle (Sun et "
        "al., CVPR 2020, eq. 6) its CircleSoftmax to 7e-7 in loss and gradients",
        "heads follow the neck, and label smoothing is BoT's, also in their presets; the papers have neither",
        "circle_weight adds the circle loss of pairs (Sun et al., eq. 6), for each image, on the feature before the "
        "neck; it equals fast-reid's pairwise_circleloss to 8e-7 in loss and gradient",
        "memory (XBM, Wang et al., CVPR 2020, code under CC BY-NC 4.0) adds the loss with the memory to BoT's losses, "
        "in place of a loss of pairs in the batch; it has features after the neck and starts after a fraction of the "
        "epochs",
        "the memory's contrastive loss equals the official code to 3e-7 until the queue is full, when the code first "
        "overwrites the newest images; memory_loss: triplet leaves out the image itself, the code instead the first "
        "places of the queue, so that it equals the code to 1e-7 for the first batch and differs by up to 70 % later",
    ),
    published=published.BOT,
)
DISTILL = Paper(
    title="FastReID: A Pytorch Toolbox for General Instance Re-identification",
    venue="ACM Multimedia 2023",
    url="https://arxiv.org/abs/2006.02631",
    code="https://github.com/JDAI-CV/fast-reid (projects/FastDistill)",
    code_licence="Apache-2.0",
    deviations=(
        "the student is BoT with its augmentation and steps of the rate; fast-reid's is SBS, with non-local blocks, "
        "AutoAugment, a cosine schedule, a part frozen at first, and triplets after the neck",
        "the loss equals fast-reid's jsdiv_loss to 2e-6 in value and gradient: the mean of both Kullback-Leibler "
        "divergences, which it calls a Jensen-Shannon divergence; logits have the head's scale and no margin, as there",
        "the teacher's batch norm uses the statistics of the batch, as in fast-reid, whose teacher stays in training "
        "mode",
        "one teacher; fast-reid averages over several, and offers the student's moving average as one",
        "the feature distillation of the overhaul (DistillerOverhaul) is not implemented",
        "all seeds of the student share one teacher, trained with `prepare_seed`, as in fast-reid",
    ),
    published=published.DISTILL,
)
MOCO = Paper(
    title="Improved Baselines with Momentum Contrastive Learning",
    venue="arXiv 2003.04297, 2020",
    url="https://arxiv.org/abs/2003.04297",
    code="https://github.com/facebookresearch/moco",
    code_licence="see its LICENSE file",
    deviations=(
        "MoCo and LUPerson pre-train with a last stride of 2, which the step's own network sets: `backbone: {use: "
        "resnet50, last_stride: 2}`; with fine-tuning's stride of 1 a step costs about 1.5 times as much",
        "on one device shuffle-BN is batch norm in `splits` parts, as in the official one-GPU demo",
        "the queue wraps around and accepts any batch size, as in LUPerson's version",
        "crops are taken from images of the network's size (`crop_from: original`, as in the presets, crops stored "
        "images, as the official code does), and blur is scaled with their height",
        "erasing draws aspects uniformly, as LUPerson does; with erase_aspect: log on a log scale, as torchvision does",
        "batch norm is re-estimated on clean pool images before the backbone is kept (clean_batches: 0 skips this)",
        "head_norm, which the paper lacks, lets small networks learn in few steps",
        "held_out excludes images from training, for the monitor; the presets hold out none",
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
        "an identity with fewer than 4 images is drawn from four copies of each; the official code draws with "
        "replacement",
        "passes: images is BoT's sampler, which uses up each identity's images: 100 epochs have about as many steps",
        "the cut square is a sixth of the height, 64 at 384",
        "lr changes one epoch later than in the official code, which counts epochs from 1 there",
        "images have the size that the matrix file sets unless the step says 384x128, as the preset does",
        "features are not normalised; `evaluate: euclidean` compares them as the official code does",
        "scored with the shared evaluator; the official one ignores matches beyond rank 50 and so reports a lower mAP",
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
        "follows the reproduction: cross-entropy on the 256-d vectors, with a bias; the paper's on the 2048-d global "
        "ones, without a bias, is classify: pooled (`preset: paper`)",
        "the paper does not define an epoch; here it has each identity once, as in the reproductions",
        "a last batch of a single identity, which has no triplet, is dropped",
        "images have the size and filter that the matrix file sets unless the step says 384x128 and bicubic, as "
        "`preset: code` does",
        "adaptive pooling, so any input height works; 24 rows divide by 2 and 3, other heights overlap by a row",
        "on backbones whose third stage is one block, that block is shared and only the last stage is copied",
    ),
    published=published.MGN,
)

MGN_LUPERSON = Paper(
    title="Unsupervised Pre-training for Person Re-identification",
    venue="CVPR 2021",
    url="https://arxiv.org/abs/2012.03753",
    code="https://github.com/DengpanFu/LUPerson (fast-reid/, a fork of fast-reid's MGN)",
    code_licence="Apache-2.0",
    deviations=(
        "an epoch begins a new pass of the identity sampler; the official code continues the current pass",
        "the heads train alone for whole epochs; the official code unfreezes the rest a step later",
        "batch norm sees the whole batch; the official training has a quarter of it on each of four devices",
        "pixel statistics are those of the weights file, LUPerson's to four digits; the fork's differ in the fifth",
        "images are resized with a bilinear filter unless the step says `resize: bicubic`, as the presets do",
        "stripes by adaptive pooling, so any height works; 24 rows divide by 2 and 3",
        "stages are split as in mgn: a third stage of one block is shared and only the last stage is copied",
    ),
    published=published.MGN_LUPERSON,
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
