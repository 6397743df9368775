"""Clustering-based learning on an unlabelled target, and adabn."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, Paper, hookimpl

from . import presets, published
from .classifiers import presets as classifier_presets
from .classifiers import published as of_classifiers
from .classifiers.params import MMTParams, StrongBaselineParams
from .params import AdaBNParams, ClusterContrastParams, PseudoLabelParams, SpCLParams

SOURCE_FREE = frozenset({"source-free"})
WORKLOAD = "reidbench_cluster.workload:rounds"
# Few neighbours and small cores, so that a handful of images has clusters.
REHEARSAL = {
    "rounds": 1, "iterations": 2, "identities": 4, "images": 2, "k1": 4, "k2": 2, "min_samples": 2,
}  # fmt: skip

SHARED = (
    "batches use any images of a cluster; the official ones, which use camera ids, are `batches: cameras`",
    "a pass too short for a batch is continued by further ones; the official code stops there",
    "images are resized bilinearly; the official code's bicubic is `resize: bicubic` with `image_size`",
    "one device: batch statistics are over the whole batch, not over a quarter of it",
)
JOINT = (
    "with a source, its identities keep their rows of the classifier; in OpenUnReID they follow the clusters' and so "
    "take other rows when the number of clusters changes"
)
LAST = "the last round is kept; the official runs keep the best one on validation or test data"


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
    yield from classifiers()


def classifiers() -> Iterator[Component]:
    """Yield the methods with a classifier of clusters that starts at their centres."""
    yield Component(
        "strong-baseline",
        "reidbench_cluster.classifiers.strong_baseline:adapt",
        StrongBaselineParams,
        traits=StrongBaselineParams.source_free,
        summary="pseudo-label with a classifier started at the clusters' centres, and source images in the same batch",
        requires=StrongBaselineParams.required,
        protocol=StrongBaselineParams.cameras,
        presets=classifier_presets.STRONG_BASELINE,
        rehearsal={**REHEARSAL, "clusters": 4},
        workload=WORKLOAD,
        paper=Paper(
            title="OpenUnReID: strong_baseline (no paper)",
            venue="open-mmlab, 2020",
            url="https://github.com/open-mmlab/OpenUnReID",
            code="https://github.com/open-mmlab/OpenUnReID",
            code_licence="Apache-2.0",
            deviations=(
                "on the same random inputs its losses and their gradients equal the official ones to 8e-7",
                *SHARED,
                JOINT,
                LAST,
            ),
            published=of_classifiers.STRONG_BASELINE,
        ),
    )
    yield Component(
        "mmt",
        "reidbench_cluster.classifiers.mmt:adapt",
        MMTParams,
        traits=MMTParams.source_free,
        summary="two networks, each taught by the temporal average of the other in addition to clusters",
        requires=MMTParams.required,
        protocol=MMTParams.cameras,
        presets=classifier_presets.MMT,
        rehearsal={**REHEARSAL, "clusters": 4},
        workload=WORKLOAD,
        paper=Paper(
            title="Mutual Mean-Teaching: Pseudo Label Refinery for Unsupervised Domain Adaptation on Person "
            "Re-identification",
            venue="ICLR 2020",
            url="https://arxiv.org/abs/2001.01526",
            code="https://github.com/yxgeee/MMT",
            code_licence="MIT",
            deviations=(
                "on the same random inputs the four losses and their gradients equal the official ones to 5e-7; after "
                "30 steps of the official trainer on the same images the averages differ by 6e-6 of the largest weight",
                "both networks start from the same weights and differ by their views, as in OpenUnReID; the paper's "
                "two trainings of the source are `peer: {use: bot, ...}`, with `prepare_seed` as the second's seed",
                "`bot` trains on the source alone; the official source training also passes target images through "
                "the batch norm, without a loss",
                "the average of the first network is the result; the official runs report the better of the two",
                "the mean of both features is normalised before k-means too, as in OpenUnReID, and k-means has one "
                "start, not scikit-learn's former ten; a cluster of one image is left out",
                "the official DBSCAN derives eps from the nearest 0.16 % of the pairs; here it is a parameter",
                "`preset: openunreid`: the last step enters the averages, which OpenUnReID leaves out",
                *SHARED,
                JOINT,
                LAST,
            ),
            published=of_classifiers.MMT,
        ),
    )
