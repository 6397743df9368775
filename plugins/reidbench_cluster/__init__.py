"""Learning on an unlabelled target by clustering: adabn, pseudo-label, spcl, cluster-contrast."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, Paper, Published, hookimpl

from .params import AdaBNParams, ClusterContrastParams, PseudoLabelParams, SpCLParams

SOURCE_FREE = frozenset({"source-free"})
CC_ROW, CC_SOURCE = "Cluster Contrast with DBSCAN, ResNet-50 from ImageNet, 256x128, no source", "official README"
BEST = "best round on test data"
PACKED = f"{BEST}; which training list the authors' packed copy holds is not stated"
SPCL_ROW = "SpCL, ResNet-50 from ImageNet, 256x128"
SPCL_README = "paper and official README"
SPCL_DUKE = "paper before DukeMTMC-reID was taken out of it"


def _of_spcl() -> Iterator[Published]:
    for task, source, mean_ap, rank1 in (
        ("market1501", SPCL_README, 0.731, 0.881),
        ("dukemtmc-reid", SPCL_DUKE, 0.653, 0.812),
        ("msmt17-v1(train=trainval)", SPCL_README, 0.191, 0.423),
        ("dukemtmc-reid->market1501", SPCL_DUKE, 0.767, 0.903),
        ("market1501->dukemtmc-reid", SPCL_DUKE, 0.688, 0.829),
    ):
        row = f"{SPCL_ROW}, {'source and target' if '->' in task else 'no source'}"
        yield from Published.line(task, row, source, "step", mAP=mean_ap, cmc1=rank1)


@hookimpl
def reidbench_adapters() -> Iterator[Component]:
    """Methods of this plugin; all start from the recipe's backbone weights or fine-tuned embedder."""
    yield Component(
        "adabn",
        "reidbench_cluster.adabn:adapt",
        AdaBNParams,
        traits=SOURCE_FREE,
        summary="batch-norm statistics re-estimated on the target; nothing is trained",
        requires=frozenset({"bn"}),
        paper=Paper(
            title="Revisiting Batch Normalization For Practical Domain Adaptation",
            venue="arXiv 2016",
            url="https://arxiv.org/abs/1603.04779",
        ),
    )
    yield Component(
        "pseudo-label",
        "reidbench_cluster.pseudo_label:adapt",
        PseudoLabelParams,
        traits=SOURCE_FREE,
        summary="the plain loop: cluster, relabel, fine-tune, repeat",
    )
    yield Component(
        "cluster-contrast",
        "reidbench_cluster.cluster_contrast:adapt",
        ClusterContrastParams,
        traits=SOURCE_FREE,
        summary="one memory row per cluster, updated by the mean or the hardest of its images in the batch",
        paper=Paper(
            title="Cluster Contrast for Unsupervised Person Re-Identification",
            venue="ACCV 2022",
            url="https://arxiv.org/abs/2103.11568",
            code="https://github.com/alibaba/cluster-contrast-reid",
            code_licence="MIT",
            deviations=(
                "pictures are resized bilinear; the official code's bicubic is `resize: bicubic` beside `image_size`",
                "plain identity batches instead of camera-aware ones: no camera ids are used",
                "the last round counts; the official runs report the best round on test data",
            ),
            published=(
                *Published.line("market1501", CC_ROW, CC_SOURCE, "step", BEST, mAP=0.821, cmc1=0.923),
                *Published.line("dukemtmc-reid", CC_ROW, CC_SOURCE, "step", BEST, mAP=0.726, cmc1=0.849),
                *Published.line("msmt17-v1", CC_ROW, CC_SOURCE, "step", PACKED, False, mAP=0.276, cmc1=0.56),
                *Published.line("personx", CC_ROW, CC_SOURCE, "step", BEST, mAP=0.847, cmc1=0.944),
            ),
        ),
    )
    yield Component(
        "spcl",
        "reidbench_cluster.spcl:adapt",
        SpCLParams,
        traits=SpCLParams.source_free,
        summary="hybrid memory of source classes, clusters and un-clustered instances; self-paced reliability",
        requires=frozenset({"bn"}),
        paper=Paper(
            title="Self-paced Contrastive Learning with Hybrid Memory for Domain Adaptive Object Re-ID",
            venue="NeurIPS 2020",
            url="https://arxiv.org/abs/2006.02713",
            code="https://github.com/yxgeee/SpCL",
            code_licence="MIT",
            deviations=(
                "pictures are resized bilinear; the official code's bicubic is `resize: bicubic` beside `image_size`",
                "plain identity batches instead of camera-aware ones: no camera ids are used",
                "one device: batch statistics are those of the whole half-batch, not of a quarter of it",
            ),
            published=tuple(_of_spcl()),
        ),
    )
