"""Clustering-based learning on an unlabelled target: adabn, pseudo-label, spcl, cluster-contrast."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, Paper, hookimpl

from . import presets, published
from .params import AdaBNParams, ClusterContrastParams, PseudoLabelParams, SpCLParams

SOURCE_FREE = frozenset({"source-free"})
WORKLOAD = "reidbench_cluster.workload:rounds"
# Few neighbours and small cores, so that a handful of images has clusters.
REHEARSAL = {
    "rounds": 1, "iterations": 2, "identities": 4, "images": 2, "k1": 4, "k2": 2, "min_samples": 2,
}  # fmt: skip


@hookimpl
def reidbench_adapters() -> Iterator[Component]:
    """Yield the methods of this plugin; all start from the recipe's backbone weights or fine-tuned embedder."""
    yield Component(
        "adabn",
        "reidbench_cluster.adabn:adapt",
        AdaBNParams,
        traits=SOURCE_FREE,
        summary="batch-norm statistics re-estimated on the target; nothing is trained",
        requires=frozenset({"bn"}),
        rehearsal={"batch": 8, "passes": 1},
        workload="reidbench_cluster.workload:adabn",
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
        summary="the basic loop: cluster, relabel, fine-tune, repeat",
        requires=PseudoLabelParams.required,
        protocol=PseudoLabelParams.cameras,
        rehearsal={**REHEARSAL, "clusters": 4},
        workload=WORKLOAD,
        paper=Paper(
            title="Unsupervised Domain Adaptive Re-Identification: Theory and Practice",
            venue="arXiv 1807.11334, 2018",
            url="https://arxiv.org/abs/1807.11334",
            code="https://github.com/lsongx/DomainAdaptiveReID",
            code_licence="MIT",
            deviations=(
                "only the loop is the paper's: its eps (mean of the nearest 0.16 % of pairs), distances to the source, "
                "triplets on two layers, SGD and 70 epochs between clusterings are not implemented; no preset exists",
                "label-smoothed cross-entropy is added to the triplet loss; each round draws a new classifier for it",
                "`clustering: circular` is a competition's rule: each image takes the identity of its nearest other "
                "image; its public ancestor, DMT, gives gallery images the identity of their nearest query below an "
                "angle (0.3, then 0.45) and trains them with the labelled set, as competition-joint does",
                "the last round is kept; images outside all clusters are excluded from a round",
            ),
            published=published.PSEUDO_LABEL,
        ),
    )
    yield Component(
        "cluster-contrast",
        "reidbench_cluster.cluster_contrast:adapt",
        ClusterContrastParams,
        traits=SOURCE_FREE,
        summary="one memory row per cluster, moved by each of its images in the batch, or by the hardest",
        requires=ClusterContrastParams.required,
        protocol=ClusterContrastParams.cameras,
        presets=presets.CLUSTER_CONTRAST,
        rehearsal=REHEARSAL,
        workload=WORKLOAD,
        paper=Paper(
            title="Cluster Contrast for Unsupervised Person Re-Identification",
            venue="ACCV 2022",
            url="https://arxiv.org/abs/2103.11568",
            code="https://github.com/alibaba/cluster-contrast-reid",
            code_licence="MIT",
            deviations=(
                "batches use any images of a cluster; the official ones, which use camera ids, are `batches: cameras`",
                "a pass too short for a batch is continued by further ones; the official code stops there",
                "images are resized bilinearly; the official code's bicubic is `resize: bicubic` with `image_size`",
                "pool: gem needs a map; a transformer uses `pool: backbone`, its class token, as in TransReID-SSL",
                "update: mean, one step to the batch mean of a cluster, is ours; the worlds' tables use it",
                "the last round is kept; the official runs report the best round on test data",
                "one device: batch statistics are over the whole batch, not over a quarter of it",
            ),
            published=published.CLUSTER_CONTRAST,
        ),
    )
    yield Component(
        "spcl",
        "reidbench_cluster.spcl:adapt",
        SpCLParams,
        version=2,
        traits=SpCLParams.source_free,
        summary="hybrid memory of source classes, clusters and un-clustered instances; self-paced reliability",
        requires=SpCLParams.required,
        protocol=SpCLParams.cameras,
        presets=presets.SPCL,
        rehearsal=REHEARSAL,
        workload=WORKLOAD,
        paper=Paper(
            title="Self-paced Contrastive Learning with Hybrid Memory for Domain Adaptive Object Re-ID",
            venue="NeurIPS 2020",
            url="https://arxiv.org/abs/2006.02713",
            code="https://github.com/yxgeee/SpCL",
            code_licence="MIT",
            deviations=(
                "batches use any images of a cluster; the official ones, which use camera ids, are `batches: cameras`",
                "a pass too short for a batch is continued by further ones; the official code stops there",
                "images are resized bilinearly; the official code's bicubic is `resize: bicubic` with `image_size`",
                "the last round is kept; the official runs report the round with the best mAP on test data",
                "one device: batch statistics are over the whole half-batch, not over a quarter of it",
            ),
            published=published.SPCL,
        ),
    )
